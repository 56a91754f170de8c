//! Tables in LaTeX, with the rules of the package booktabs.

use super::{Column, Shape, Table};

/// Characters of a line across two columns.
const LINE: usize = 120;

/// A float with caption and label, which needs `\usepackage{booktabs,graphicx}`. What is the same in all rows stands in the
/// caption, what matters least is left out of a table that is too wide, which is said below it, and what is still wider than
/// a line is made smaller.
pub fn latex(table: &Table) -> String {
    let (mut columns, mut rows) = table.shown();
    let same = constants(&mut columns, &mut rows);
    let left_out = without_extras(&mut columns, &mut rows);
    let shape: String =
        columns.iter().map(|column| if Table::is_number(column) { 'r' } else { 'l' }).collect();
    let line = |cells: Vec<String>| format!("    {} \\\\\n", cells.join(" & "));
    let head = line(columns.iter().map(|column| escaped(column.title)).collect());
    let body: String = rows.iter().map(|row| line(row.iter().map(|cell| escaped(cell)).collect())).collect();
    let notes =
        table.notes.iter().chain(&left_out).map(|note| format!("% {}\n", note.replace(['\n', '\r'], " ")));
    format!(
        "% \\usepackage{{booktabs,graphicx}}\n\\begin{{table}}\n  \\centering\n  \\caption{{{}{same}}}\n  \\label{{tab:{}}}\n  \\footnotesize\n  \
         \\setlength{{\\tabcolsep}}{{3pt}}\n  \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n  \
         \\begin{{tabular}}{{{shape}}}\n    \\toprule\n{head}    \\midrule\n{body}    \\bottomrule\n  \\end{{tabular}}}}\n\
         \\end{{table}}\n{}",
        escaped(&table.caption),
        table.name,
        notes.collect::<String>()
    )
}

/// Takes out the columns of one text, and says what it is; of a single row all columns stay.
fn constants(columns: &mut Vec<&Column>, rows: &mut [Vec<String>]) -> String {
    let mut same = Vec::new();
    for at in (0..columns.len()).rev() {
        let first = rows.first().map(|row| row[at].clone()).unwrap_or_default();
        if columns[at].shape == Shape::Text && rows.len() > 1 && rows.iter().all(|row| row[at] == first) {
            same.insert(0, format!("{} {first}", columns.remove(at).title));
            rows.iter_mut().for_each(|row| _ = row.remove(at));
        }
    }
    if same.is_empty() { String::new() } else { escaped(&format!(" All: {}.", same.join(", "))) }
}

/// Takes out extra columns, the last first, until the others fit a line, and says which.
fn without_extras(columns: &mut Vec<&Column>, rows: &mut [Vec<String>]) -> Option<String> {
    let mut left_out = Vec::new();
    for at in (0..columns.len()).rev().filter(|at| columns[*at].extra).collect::<Vec<_>>() {
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| row[at].as_str()).chain([columns[at].title]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + 1
        };
        if (0..columns.len()).map(widest).sum::<usize>() > LINE {
            left_out.insert(0, columns.remove(at).title);
            rows.iter_mut().for_each(|row| _ = row.remove(at));
        }
    }
    let names = left_out.join(", ");
    (!left_out.is_empty()).then(|| format!("Left out, and in the other formats: {names}."))
}

/// Text as LaTeX: its own characters escaped, signs of mathematics in its mode.
fn escaped(text: &str) -> String {
    let of = |c: char| match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '\\' => "\\textbackslash{}".to_owned(),
        '~' => "\\textasciitilde{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        '±' => "$\\pm$".to_owned(),
        '−' => "$-$".to_owned(),
        '×' => "$\\times$".to_owned(),
        '≥' => "$\\geq$".to_owned(),
        '<' => "$<$".to_owned(),
        '>' => "$>$".to_owned(),
        'κ' => "$\\kappa$".to_owned(),
        'α' => "$\\alpha$".to_owned(),
        'ε' => "$\\varepsilon$".to_owned(),
        'ρ' => "$\\rho$".to_owned(),
        '₂' => "$_2$".to_owned(),
        '–' => "--".to_owned(),
        '—' => "---".to_owned(),
        '\n' | '\r' | '\t' => " ".to_owned(),
        c if c.is_control() => String::new(),
        c => c.to_string(),
    };
    text.chars().map(of).collect()
}
