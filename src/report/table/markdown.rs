//! Tables in Markdown (GitHub's).

use super::Table;

/// With its caption above and its notes below.
pub fn markdown(table: &Table) -> String {
    let (columns, rows) = table.shown();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    // Bars end cells, and line breaks rows.
    let plain = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
    let rules = columns.iter().map(|column| if Table::is_number(column) { "---:" } else { "---" }.to_owned());
    let mut text = format!("{}\n\n", table.caption);
    text += &line(columns.iter().map(|column| plain(column.title)).collect());
    text += &line(rules.collect());
    for row in rows {
        text += &line(row.iter().map(|cell| plain(cell)).collect());
    }
    let notes = table.notes.iter().map(|note| format!("\n{note}\n"));
    text + &notes.collect::<String>()
}
