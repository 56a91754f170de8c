//! Tables in LaTeX, with the rules of the package booktabs.

use super::Table;

/// A float with caption and label; it needs `\usepackage{booktabs}`.
pub fn latex(table: &Table) -> String {
    let (columns, rows) = table.shown();
    let shape: String =
        columns.iter().map(|column| if Table::is_number(column) { 'r' } else { 'l' }).collect();
    let line = |cells: Vec<String>| format!("    {} \\\\\n", cells.join(" & "));
    let head = line(columns.iter().map(|column| escaped(column.title)).collect());
    let body: String = rows.iter().map(|row| line(row.iter().map(|cell| escaped(cell)).collect())).collect();
    let notes = table.notes.iter().map(|note| format!("% {}\n", note.replace(['\n', '\r'], " ")));
    format!(
        "\\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n  \\label{{tab:{}}}\n  \\begin{{tabular}}{{{shape}}}\n    \\toprule\n\
         {head}    \\midrule\n{body}    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}\n{}",
        escaped(&table.caption),
        table.name,
        notes.collect::<String>()
    )
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
