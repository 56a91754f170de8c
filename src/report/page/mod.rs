//! The report as one page: no network, light and dark, tables that sort and filter, figures with values on hover.

use super::{
    figure::{Figure, marked_up},
    group::Group,
    report::Report,
    table::{Cell, Table},
    tables,
};
use crate::experiment::provenance::VERSION;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Text as HTML.
fn escaped(text: &str) -> String {
    marked_up(text, |c| (c == '\n').then_some(c))
}

/// The page. `store` is what it is named after.
pub fn page(report: &Report, figures: &[Figure], store: &str) -> String {
    let mut body = String::new();
    let records = report.runs.len();
    let _ = writeln!(
        body,
        "<header><h1>lottery: {}</h1><p>{records} records, {} groups of equal settings, model and data; written by lottery {}.</p>\
         </header>",
        escaped(store),
        report.groups.len(),
        escaped(VERSION.as_str())
    );
    body += &warnings(report);
    let tables = report.tables(false);
    let runs = tables::runs(report.runs);
    body += "<nav><ul>";
    for one in tables.iter().chain([&runs]) {
        let _ = write!(body, "<li><a href=\"#{0}\">{0}</a></li>", one.name);
    }
    if !figures.is_empty() {
        body += "<li><a href=\"#figures\">figures</a></li>";
    }
    body += "<li><a href=\"#groups\">records</a></li></ul></nav>\n<main>\n";
    for one in &tables {
        body += &table(one, |row| (one.name == "results").then(|| format!("#group-{row}")));
    }
    if !figures.is_empty() {
        body += "<section id=\"figures\"><h2>Figures</h2>\n";
        for Figure { name, title, caption, svg } in figures {
            let _ = writeln!(
                body,
                "<figure id=\"figure-{}\"><h3>{}</h3><div class=\"wide\">{svg}</div><figcaption>{}</figcaption></figure>",
                escaped(name),
                escaped(title),
                escaped(caption)
            );
        }
        body += "</section>\n";
    }
    body += &table(&runs, |_| None);
    body += "<section id=\"groups\"><h2>Records and commands</h2>\n";
    for (nth, one) in report.groups.iter().enumerate() {
        body += &group(nth, one);
    }
    body += "</section>\n</main>\n";
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>lottery: \
         {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(store)
    )
}

/// What a reader has to know first.
fn warnings(report: &Report) -> String {
    let mut items: Vec<String> = Vec::new();
    for warning in &report.warnings {
        items.push(format!("{} ({} of {} records)", escaped(&warning.text), warning.records, warning.of));
    }
    items.extend(report.left_out.iter().map(|text| escaped(text)));
    for one in report.ignored {
        items.push(format!(
            "<code>{}</code> {}; it is not counted",
            escaped(&one.path.display().to_string()),
            escaped(&one.why)
        ));
    }
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{item}</li>")).collect();
    format!("<section id=\"warnings\" role=\"note\"><h2>Warnings</h2><ul>{items}</ul></section>\n")
}

/// A table with its caption and notes; `link` is where a row's numbers lead.
fn table(of: &Table, link: impl Fn(usize) -> Option<String>) -> String {
    let (columns, rows) = of.shown();
    let mut out = format!(
        "<section id=\"{0}\"><h2>{0}</h2><p>{1}</p>\n<input type=\"search\" placeholder=\"filter rows\" aria-label=\"filter the rows of \
         {0}\">\n<div class=\"wide\"><table><thead><tr>",
        of.name,
        escaped(&of.caption)
    );
    // Places among shown columns and among all. Settings are long and stand last, so that scores are in sight.
    let mut places: Vec<(usize, usize)> = (0..of.columns.len())
        .filter(|at| of.columns[*at].join.is_none() && !of.columns[*at].hidden)
        .enumerate()
        .collect();
    places.sort_by_key(|(_, at)| of.columns[*at].key == "settings");
    for &(at, _) in &places {
        let column = columns[at];
        let class = if Table::is_number(column) { " class=\"number\"" } else { "" };
        let _ = write!(out, "<th{class} aria-sort=\"none\"><button>{}</button></th>", escaped(column.title));
    }
    out += "</tr></thead><tbody>\n";
    for (nth, (row, shown)) in of.rows.iter().zip(&rows).enumerate() {
        let href = link(nth);
        out += "<tr>";
        for &(at, of_all) in &places {
            let (column, text) = (columns[at], &shown[at]);
            let (class, sort) = match &row[of_all] {
                Cell::Number(number) => (" class=\"number\"", format!(" data-sort=\"{number}\"")),
                Cell::Count(count) => (" class=\"number\"", format!(" data-sort=\"{count}\"")),
                _ if Table::is_number(column) => (" class=\"number\"", String::new()),
                _ => ("", String::new()),
            };
            let text = escaped(text);
            match href.as_ref().filter(|_| Table::is_number(column) && !text.is_empty()) {
                Some(href) => _ = write!(out, "<td{class}{sort}><a href=\"{href}\">{text}</a></td>"),
                None => _ = write!(out, "<td{class}{sort}>{text}</td>"),
            }
        }
        out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    for note in &of.notes {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escaped(note));
    }
    out + "</section>\n"
}

/// The records that a row averages, and the command that makes each again.
fn group(nth: usize, group: &Group) -> String {
    let mut out = format!(
        "<details id=\"group-{nth}\"><summary>{}, {} runs</summary><ul>",
        escaped(&group.name()),
        group.runs.len()
    );
    for run in &group.runs {
        let _ = write!(
            out,
            "<li>seed {}: <code>{}</code>, written {}<pre>{}</pre></li>",
            run.seed,
            escaped(&run.place()),
            escaped(&run.written),
            escaped(&run.again())
        );
    }
    out + "</ul></details>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::{Column, Join, Shape};

    #[test]
    fn what_files_say_is_text_in_the_page_and_numbers_sort_by_their_values() {
        let of = Table {
            name: "results",
            caption: "<script>".to_owned(),
            columns: vec![
                Column::new("task", "task", Shape::Text),
                Column::hidden("seeds", Shape::Text),
                Column::new("settings", "settings that differ", Shape::Text),
                Column::new("full", "full", Shape::Decimals(2)),
                Column::joined("std", Shape::Decimals(2), Join::Deviation),
            ],
            rows: vec![vec!["a<b>&\"".into(), "7".into(), "init=random".into(), 0.8125.into(), 0.03.into()]],
            notes: Vec::new(),
        };
        let html = table(&of, |row| Some(format!("#group-{row}")));
        assert!(
            html.contains("<td>a&lt;b&gt;&amp;&quot;</td>") && html.contains("<p>&lt;script&gt;</p>"),
            "{html}"
        );
        assert!(
            html.contains(
                "<td class=\"number\" data-sort=\"0.8125\"><a href=\"#group-0\">0.81 ± 0.03</a></td>\
                 <td>init=random</td></tr>"
            ),
            "{html}"
        );
    }
}
