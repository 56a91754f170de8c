//! Matrices as colours: survivors by layer and head, and overlaps between tasks.

use super::{
    canvas::{Anchor, Canvas, INK},
    palette::viridis,
};

/// A matrix whose cells are coloured by their share of `most`.
pub struct Panel<'a> {
    pub title: &'a str,
    /// Row by row, from the top; NaN stays empty.
    pub values: Vec<Vec<f64>>,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    pub row_name: &'a str,
    pub column_name: &'a str,
    pub most: f64,
    /// Of the numbers in the cells.
    pub decimals: usize,
    /// Beside the matrix: a strip of one number a row, with its name.
    pub strip: Option<(&'a str, Vec<f64>)>,
}

const CELL: f64 = 26.0;
/// At least; more where names of rows are long.
const LEFT: f64 = 64.0;
const TOP: f64 = 58.0;
const GAP: f64 = 18.0;

impl Panel<'_> {
    fn left(&self) -> f64 {
        let names = self.rows.iter().map(|name| Canvas::width_of(name, 10.0));
        LEFT.max(26.0 + names.fold(0.0, f64::max))
    }

    /// What the names of columns need above the cells.
    fn top(&self) -> f64 {
        let longest = self.columns.iter().map(|name| Canvas::width_of(name, 10.0)).fold(0.0, f64::max);
        TOP.max(34.0 + 0.65 * longest)
    }

    fn width(&self) -> f64 {
        let strip = if self.strip.is_some() { GAP + CELL } else { 0.0 };
        let title = Canvas::width_of(self.title, 12.0);
        let left = self.left();
        (left + CELL * self.columns.len() as f64 + strip + 14.0).max(left + title)
    }

    fn height(&self) -> f64 {
        self.top() + CELL * self.rows.len() as f64 + 54.0
    }

    fn draw(&self, canvas: &mut Canvas, [x0, y0]: [f64; 2]) {
        let (left, top) = (x0 + self.left(), y0 + self.top());
        canvas.text([left, y0 + 20.0], Anchor::Start, 12.0, self.title);
        let longest = self.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (n, name) in self.columns.iter().enumerate() {
            let x = left + CELL * (n as f64 + 0.5);
            match longest {
                0..=3 => canvas.text([x, top - 6.0], Anchor::Middle, 10.0, name),
                _ => canvas.turned([x + 3.0, top - 6.0], Anchor::Start, 10.0, -40.0, INK, name),
            }
        }
        for (n, (name, row)) in self.rows.iter().zip(&self.values).enumerate() {
            let y = top + CELL * n as f64;
            canvas.text([left - 6.0, y + CELL / 2.0 + 3.5], Anchor::End, 10.0, name);
            for (m, value) in row.iter().enumerate() {
                let of = format!("{} {name}, {} {}", self.row_name, self.column_name, self.columns[m]);
                self.cell(canvas, [left + CELL * m as f64, y], *value, &of);
            }
        }
        let bottom = top + CELL * self.rows.len() as f64;
        let middle = left + CELL * self.columns.len() as f64 / 2.0;
        if !self.column_name.is_empty() {
            canvas.text([middle, bottom + 16.0], Anchor::Middle, 11.0, self.column_name);
        }
        let half = top + CELL * self.rows.len() as f64 / 2.0;
        canvas.turned([x0 + 14.0, half], Anchor::Middle, 11.0, -90.0, INK, self.row_name);
        if let Some((name, values)) = &self.strip {
            let x = left + CELL * self.columns.len() as f64 + GAP;
            canvas.text([x + CELL / 2.0, top - 6.0], Anchor::Middle, 10.0, name);
            for (n, value) in values.iter().enumerate() {
                let of = format!("{} {}, {name}", self.row_name, self.rows[n]);
                self.cell(canvas, [x, top + CELL * n as f64], *value, &of);
            }
        }
        self.scale(canvas, [left, bottom + 26.0]);
    }

    fn cell(&self, canvas: &mut Canvas, [x, y]: [f64; 2], value: f64, of: &str) {
        if !value.is_finite() {
            return;
        }
        let (fill, ink) = viridis(value / self.most);
        let number = format!("{value:.0$}", self.decimals);
        canvas.rect([x + 0.5, y + 0.5, CELL - 1.0, CELL - 1.0], &fill, 1.0, &format!("{of}: {value:.3}"));
        let size = if number.len() > 3 { 8.0 } else { 9.0 };
        canvas.turned([x + CELL / 2.0, y + CELL / 2.0 + 3.0], Anchor::Middle, size, 0.0, ink, &number);
    }

    /// What the colours mean.
    fn scale(&self, canvas: &mut Canvas, [x, y]: [f64; 2]) {
        const STEPS: usize = 32;
        let width = (CELL * self.columns.len() as f64).clamp(60.0, 200.0);
        for n in 0..STEPS {
            let (fill, _) = viridis((n as f64 + 0.5) / STEPS as f64);
            let step = width / STEPS as f64;
            canvas.rect([x + step * n as f64, y, step + 0.3, 8.0], &fill, 1.0, "");
        }
        canvas.text([x, y + 19.0], Anchor::Start, 9.0, "0");
        let most =
            if self.most.fract() == 0.0 { format!("{}", self.most) } else { format!("{:.2}", self.most) };
        canvas.text([x + width, y + 19.0], Anchor::End, 9.0, &most);
    }
}

/// What colours of a panel without a scale of its own are shares of: above 0, whatever the values.
pub fn largest(values: &[Vec<f64>]) -> f64 {
    values.iter().flatten().copied().filter(|value| value.is_finite()).fold(1e-9, f64::max)
}

/// Panels side by side, two in a row.
pub fn draw(panels: &[Panel], label: &str) -> String {
    let height = panels.iter().map(Panel::height).fold(0.0, f64::max);
    let rows = || panels.chunks(2);
    let width = |row: &[Panel]| row.iter().map(Panel::width).sum::<f64>();
    let widest = rows().map(width).fold(0.0, f64::max);
    let mut canvas = Canvas::new(widest + 10.0, height * rows().count() as f64);
    for (n, row) in rows().enumerate() {
        let mut x = 0.0;
        for panel in row {
            panel.draw(&mut canvas, [x, height * n as f64]);
            x += panel.width();
        }
    }
    canvas.finish(label)
}
