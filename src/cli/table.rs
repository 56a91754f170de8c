//! Tables that fit the width of the terminal and keep what matters.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// How a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Text,
    Number,
    /// A number that is left out first where the table does not fit.
    Extra,
    /// Text that is never left out.
    Mark,
}

/// A table.
pub struct Sheet {
    columns: Vec<(String, Column)>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Column)>) -> Self {
        Self {
            columns: columns.into_iter().map(|(name, kind)| (name.into(), kind)).collect(),
            rows: Vec::new(),
        }
    }

    /// Text in the first column, numbers in the others.
    pub fn of_numbers<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let kind = |n| if n == 0 { Column::Text } else { Column::Number };
        Self::new(names.into_iter().enumerate().map(|(n, name)| (name, kind(n))))
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The columns that two neighbouring rules and the widest cells take.
    fn wide(&self) -> usize {
        let widest = |n: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(n)).chain([&self.columns[n].0]);
            cells.flat_map(|cell| cell.lines()).map(|line| line.chars().count()).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(|n| widest(n) + 3).sum::<usize>() + 1
    }

    fn remove(&mut self, n: usize) -> (String, String) {
        let (name, _) = self.columns.remove(n);
        let cells: Vec<String> = self.rows.iter_mut().map(|row| row.remove(n)).collect();
        (name, cells.into_iter().next().unwrap_or_default())
    }

    fn is_constant(&self, n: usize) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row[n] == self.rows[0][n])
    }

    /// Removes columns of one value until the others fit; names and values of those that were removed.
    fn constants(&mut self, width: usize, may: impl Fn(Column) -> bool) -> Vec<(String, String)> {
        let mut removed = Vec::new();
        for n in (0..self.columns.len()).rev() {
            if self.wide() > width && may(self.columns[n].1) && self.is_constant(n) {
                removed.insert(0, self.remove(n));
            }
        }
        removed
    }

    /// The table, in at most `width` columns: then columns of one value stand above it, deviations and intervals below
    /// their means, and extras are left out, which is said; what is still too wide is wrapped.
    pub fn text(mut self, width: Option<usize>) -> String {
        let width = width.unwrap_or(usize::MAX);
        let mut all = self.constants(width, |kind| [Column::Text, Column::Extra].contains(&kind));
        if self.wide() > width {
            let below = |cell: &mut String| *cell = cell.replace(" ± ", "\n± ").replace(" [", "\n[");
            self.rows.iter_mut().flatten().for_each(below);
        }
        let mut left_out = Vec::new();
        for n in (0..self.columns.len()).rev() {
            if self.wide() > width && self.columns[n].1 == Column::Extra {
                left_out.insert(0, self.remove(n).0);
            }
        }
        all.extend(self.constants(width, |kind| kind != Column::Mark));
        let all = all.iter().filter(|(_, value)| !value.is_empty());
        let all: Vec<String> =
            all.map(|(name, value)| format!("{name} {}", value.replace('\n', " "))).collect();
        let above = if all.is_empty() { String::new() } else { format!("all: {}\n", all.join(", ")) };
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        if self.wide() > width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        table.set_header(self.columns.iter().map(|(name, _)| name));
        table.add_rows(self.rows);
        for (column, (_, kind)) in table.column_iter_mut().zip(&self.columns) {
            if ![Column::Text, Column::Mark].contains(kind) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let below = match left_out.is_empty() {
            true => String::new(),
            false => format!("left out at this width: {}\n", left_out.join(", ")),
        };
        format!("{above}{table}\n{below}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new([
            ("task", Column::Text),
            ("mode", Column::Text),
            ("full", Column::Number),
            ("weights", Column::Extra),
        ]);
        sheet.row(["demo", "good", "0.9475 ± 0.0045", "41.9 %"]);
        sheet.row(["demo", "random", "0.9475 ± 0.0045", "41.9 %"]);
        sheet
    }

    #[test]
    fn a_table_fits_any_width_and_loses_the_least_important_first() {
        let whole = sheet().text(None);
        assert!(whole.lines().next().unwrap().chars().count() == 45, "{whole}");
        for width in [45, 40, 30, 24, 16] {
            let text = sheet().text(Some(width));
            let table = text.lines().filter(|line| !line.starts_with("all: "));
            assert!(table.clone().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
        assert_eq!(sheet().text(Some(45)), whole);
        assert!(sheet().text(Some(40)).starts_with("all: weights 41.9 %\n"));
        let narrow = sheet().text(Some(16));
        assert!(narrow.starts_with("all: task demo, weights 41.9 %, full 0.9475 ± 0.0045\n"), "{narrow}");
    }
}
