//! A rectangle with axes: from numbers to places on the canvas.

use super::canvas::{Anchor, Canvas, FAINT, INK};

/// Values from `low` to `high` along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    /// Around these values, with some room; of no width where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return Self { low: 0.0, high: 1.0 };
        }
        let room = if high > low { 0.06 * (high - low) } else { 0.05 * low.abs().max(0.1) };
        Self { low: low - room, high: high + room }
    }

    pub fn share(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Round numbers within, about `wanted` of them, and their decimals.
    pub fn ticks(self, wanted: usize) -> (Vec<f64>, usize) {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough);
        let step = step.unwrap_or(power);
        let decimals = (0..6).find(|n| (step * 10f64.powi(*n)).fract().abs() < 1e-9).unwrap_or(6) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        ((first..=last).map(|n| n as f64 * step).collect(), decimals)
    }
}

/// The area within the axes.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Left, top, width, height.
    pub area: [f64; 4],
    pub x: Range,
    pub y: Range,
}

impl Plot {
    pub fn at(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top, width, height] = self.area;
        [left + width * self.x.share(x), top + height * (1.0 - self.y.share(y))]
    }

    /// The scale of y, with lines across, and its name.
    pub fn y_axis(&self, canvas: &mut Canvas, name: &str) {
        let [left, top, width, height] = self.area;
        let (ticks, decimals) = self.y.ticks(5);
        for tick in ticks {
            let [_, y] = self.at(self.x.low, tick);
            canvas.line(&[[left, y], [left + width, y]], FAINT, 0.7, "", "");
            canvas.text([left - 6.0, y + 3.5], Anchor::End, 10.0, &format!("{tick:.decimals$}"));
        }
        canvas.turned([left - 42.0, top + height / 2.0], Anchor::Middle, 11.0, -90.0, INK, name);
        canvas.line(&[[left, top], [left, top + height]], INK, 1.0, "", "");
    }

    /// The line below, and its name.
    pub fn x_line(&self, canvas: &mut Canvas, name: &str) {
        let [left, top, width, height] = self.area;
        canvas.line(&[[left, top + height], [left + width, top + height]], INK, 1.0, "", "");
        canvas.text([left + width / 2.0, top + height + 34.0], Anchor::Middle, 11.0, name);
    }

    /// The line below with round numbers; `percent` writes shares as per cent.
    pub fn x_axis(&self, canvas: &mut Canvas, name: &str, percent: bool) {
        let (ticks, decimals) = self.x.ticks(6);
        let bottom = self.area[1] + self.area[3];
        for tick in ticks {
            let [x, _] = self.at(tick, self.y.low);
            canvas.line(&[[x, bottom], [x, bottom + 4.0]], INK, 1.0, "", "");
            let text = if percent {
                format!("{:.1$} %", 100.0 * tick, decimals.saturating_sub(2))
            } else {
                format!("{tick:.decimals$}")
            };
            canvas.text([x, bottom + 16.0], Anchor::Middle, 10.0, &text);
        }
        self.x_line(canvas, name);
    }
}
