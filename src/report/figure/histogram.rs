//! How many units have which importance, kept and pruned ones.

use super::{
    canvas::{Anchor, Canvas, INK},
    plot::{Plot, Range},
};

const BINS: usize = 20;
const AREA: [f64; 4] = [62.0, 34.0, 440.0, 220.0];
const KEPT: &str = "#0072B2";
const PRUNED: &str = "#E69F00";

/// Values of kept and of pruned units; cuts are where choices by these values alone would fall, with their names.
pub struct Histogram {
    pub kept: Vec<f64>,
    pub pruned: Vec<f64>,
    pub cuts: Vec<(String, f64)>,
}

pub fn draw(of: &Histogram, x_name: &str, y_name: &str, label: &str) -> String {
    let all = || of.kept.iter().chain(&of.pruned).copied();
    let high = all().fold(0.0, f64::max).max(1e-12);
    let count = |values: &[f64]| {
        let mut bins = [0usize; BINS];
        for value in values {
            bins[((value / high * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        bins
    };
    let [kept, pruned] = [count(&of.kept), count(&of.pruned)];
    let most = kept.iter().zip(&pruned).map(|(a, b)| a + b).max().unwrap_or(1);
    let plot =
        Plot { area: AREA, x: Range { low: 0.0, high }, y: Range { low: 0.0, high: most as f64 * 1.08 } };
    let mut canvas = Canvas::new(AREA[0] + AREA[2] + 20.0, AREA[1] + AREA[3] + 48.0);
    plot.y_axis(&mut canvas, y_name);
    let step = high / BINS as f64;
    for bin in 0..BINS {
        let mut below = 0.0;
        let kept_name = if of.pruned.is_empty() { "" } else { " kept" };
        for (name, bins, colour) in [(" pruned", pruned, PRUNED), (kept_name, kept, KEPT)] {
            let count = bins[bin] as f64;
            let ([left, bottom], [right, top]) =
                (plot.at(step * bin as f64, below), plot.at(step * (bin + 1) as f64, below + count));
            if count > 0.0 {
                let title =
                    format!("{:.3} to {:.3}: {count}{name}", step * bin as f64, step * (bin + 1) as f64);
                canvas.rect([left + 0.7, top, right - left - 1.4, bottom - top], colour, 1.0, &title);
            }
            below += count;
        }
    }
    plot.x_axis(&mut canvas, x_name, false);
    for (nth, (name, cut)) in of.cuts.iter().enumerate() {
        let [[x, bottom], [_, top]] = [plot.at(*cut, 0.0), plot.at(*cut, plot.y.high)];
        canvas.line(&[[x, bottom], [x, top]], INK, 1.4, "5 3", &format!("{name}: {cut:.4}"));
        // Names of cuts that lie close to each other do not stand on each other.
        let height = if of.cuts.len() > 1 { 5.0 + 11.0 * (nth % 2) as f64 } else { 4.0 };
        canvas.text([x, top - height], Anchor::Middle, 9.5, name);
    }
    let mut x = AREA[0];
    // Of several cuts no unit is kept or pruned by all.
    for (name, colour) in [("pruned", PRUNED), ("kept", KEPT)].into_iter().filter(|_| !of.pruned.is_empty()) {
        canvas.rect([x, 10.0, 12.0, 12.0], colour, 1.0, "");
        canvas.text([x + 17.0, 20.0], Anchor::Start, 10.5, name);
        x += 80.0;
    }
    canvas.finish(label)
}
