//! Bars with error bars, in clusters, against lines.

use super::{
    canvas::{Anchor, Canvas, INK},
    plot::{Plot, Range},
};
use crate::report::group::Mean;

/// One bar.
pub struct Bar {
    pub name: String,
    pub colour: &'static str,
    /// A light bar: the first of the two names.
    pub light: bool,
    pub mean: Mean,
}

/// Bars side by side under one name.
pub struct Cluster {
    pub name: String,
    pub bars: Vec<Bar>,
    /// Scores to compare with: name, dash, value.
    pub lines: Vec<(&'static str, &'static str, f64)>,
}

const BAR: f64 = 20.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 44.0;
/// Size of a cluster's name, and the height of its lines.
const NAME: f64 = 11.0;
const LINE: f64 = 14.0;

/// Clusters on one scale, the light and dark bars (`names`) and the lines named above.
pub fn draw(clusters: &[Cluster], names: [&str; 2], y_name: &str, label: &str) -> String {
    let inner: f64 = clusters.iter().map(width).sum();
    let ends = clusters.iter().flat_map(|cluster| {
        let bars = cluster.bars.iter().flat_map(|bar| {
            let deviation = bar.mean.deviation.unwrap_or(0.0);
            [bar.mean.mean - deviation, bar.mean.mean + deviation]
        });
        bars.chain(cluster.lines.iter().map(|line| line.2)).collect::<Vec<_>>()
    });
    let ends: Vec<f64> = ends.chain([0.0]).collect();
    let range = Range::of(ends.iter().copied());
    let range = Range { low: if ends.iter().all(|end| *end >= 0.0) { 0.0 } else { range.low }, ..range };
    let lines = clusters.iter().map(|cluster| name_lines(cluster).len()).max().unwrap_or(1);
    let height = TOP + HEIGHT + 84.0 + LINE * (lines - 1) as f64;
    let mut canvas = Canvas::new((LEFT + inner + 16.0).max(LEFT + 540.0), height);
    let plot = Plot { area: [LEFT, TOP, inner, HEIGHT], x: Range { low: 0.0, high: inner }, y: range };
    plot.y_axis(&mut canvas, y_name);
    legend(&mut canvas, clusters, names);
    let mut x = 0.0;
    for cluster in clusters {
        draw_cluster(&mut canvas, &plot, cluster, x);
        x += width(cluster);
    }
    plot.x_line(&mut canvas, "");
    canvas.finish(label)
}

fn width(cluster: &Cluster) -> f64 {
    BAR * (cluster.bars.len() as f64 + 1.6)
}

/// Its name, in a line for each part where one is too long.
fn name_lines(cluster: &Cluster) -> Vec<&str> {
    match Canvas::width_of(&cluster.name, NAME) < width(cluster) {
        true => vec![&cluster.name],
        false => cluster.name.split(", ").collect(),
    }
}

fn draw_cluster(canvas: &mut Canvas, plot: &Plot, cluster: &Cluster, x0: f64) {
    let bottom = TOP + HEIGHT;
    let [left, _] = plot.at(x0 + 0.4 * BAR, plot.y.low);
    let right = left + BAR * (cluster.bars.len() as f64 + 0.8);
    for (n, bar) in cluster.bars.iter().enumerate() {
        let Mean { n: runs, mean, deviation } = bar.mean;
        let [x, y] = plot.at(x0 + BAR * (n as f64 + 0.8), mean);
        let [_, zero] = plot.at(x0, plot.y.low.max(0.0));
        let spread = deviation.map(|deviation| format!(" ± {deviation:.4}")).unwrap_or_default();
        let title = format!("{} {}: {mean:.4}{spread} (n = {runs})", cluster.name, bar.name);
        let rectangle = [x + 1.5, y.min(zero), BAR - 3.0, (zero - y).abs()];
        canvas.rect(rectangle, bar.colour, if bar.light { 0.4 } else { 1.0 }, &title);
        canvas.frame(rectangle, bar.colour, 1.0);
        if let Some(deviation) = deviation {
            let middle = x + BAR / 2.0;
            let [low, high] = [mean - deviation, mean + deviation].map(|value| plot.at(0.0, value)[1]);
            canvas.line(&[[middle, low], [middle, high]], INK, 1.2, "", "");
            for y in [low, high] {
                canvas.line(&[[middle - 3.5, y], [middle + 3.5, y]], INK, 1.2, "", "");
            }
        }
        // A pair of bars has one name, in its middle.
        canvas.turned([x + BAR + 3.0, bottom + 8.0], Anchor::End, 9.5, -45.0, INK, &bar.name);
    }
    for (name, dash, value) in &cluster.lines {
        let [_, y] = plot.at(0.0, *value);
        canvas.line(
            &[[left, y], [right, y]],
            INK,
            1.3,
            dash,
            &format!("{} {name}: {value:.4}", cluster.name),
        );
    }
    for (n, line) in name_lines(cluster).into_iter().enumerate() {
        let y = bottom + 70.0 + LINE * n as f64;
        canvas.text([(left + right) / 2.0, y], Anchor::Middle, NAME, line);
    }
}

fn legend(canvas: &mut Canvas, clusters: &[Cluster], names: [&str; 2]) {
    let mut x = LEFT;
    for (name, opacity) in names.into_iter().zip([0.4, 1.0]) {
        canvas.rect([x, 12.0, 12.0, 12.0], "#555555", opacity, "");
        canvas.frame([x, 12.0, 12.0, 12.0], "#555555", 1.0);
        canvas.text([x + 17.0, 22.0], Anchor::Start, 10.5, name);
        x += 38.0 + Canvas::width_of(name, 10.5);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (name, dash, _) in clusters.iter().flat_map(|cluster| &cluster.lines) {
        if !seen.contains(name) {
            seen.push(name);
            canvas.line(&[[x, 18.0], [x + 22.0, 18.0]], INK, 1.3, dash, "");
            canvas.text([x + 27.0, 22.0], Anchor::Start, 10.5, name);
            x += 48.0 + Canvas::width_of(name, 10.5);
        }
    }
}
