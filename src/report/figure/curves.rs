//! Lines over a number, each with a band of ± one standard deviation.

use super::{
    canvas::{Anchor, Canvas, INK},
    plot::{Plot, Range},
};

/// One line.
pub struct Curve {
    pub name: String,
    pub colour: &'static str,
    pub dash: &'static str,
    /// x, y, and the deviation of y.
    pub points: Vec<(f64, f64, f64)>,
}

pub struct Axes<'a> {
    pub x: &'a str,
    pub y: &'a str,
    /// Write x as per cent.
    pub percent: bool,
    /// Draw markers at the points.
    pub markers: bool,
}

/// A line across: its name, its height and the deviation about it.
pub struct Level {
    pub name: String,
    pub mean: f64,
    pub deviation: f64,
}

const AREA: [f64; 4] = [62.0, 18.0, 440.0, 260.0];

pub fn draw(curves: &[Curve], levels: &[Level], axes: &Axes, label: &str) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let ends = points().flat_map(|(_, y, d)| [y - d, y + d]);
    let ends = ends
        .chain(levels.iter().flat_map(|level| [level.mean - level.deviation, level.mean + level.deviation]));
    let plot = Plot { area: AREA, x: Range::of(points().map(|point| point.0)), y: Range::of(ends) };
    let names = curves.iter().map(|curve| &curve.name).chain(levels.iter().map(|level| &level.name));
    let legend = names.map(|name| Canvas::width_of(name, 10.5)).fold(0.0, f64::max) + 52.0;
    let mut canvas = Canvas::new(AREA[0] + AREA[2] + 14.0 + legend, AREA[1] + AREA[3] + 48.0);
    plot.y_axis(&mut canvas, axes.y);
    plot.x_axis(&mut canvas, axes.x, axes.percent);
    for level in levels {
        let across = |y: f64| [plot.at(plot.x.low, y), plot.at(plot.x.high, y)];
        let [low, high] = [level.mean - level.deviation, level.mean + level.deviation].map(across);
        canvas.area(&[low[0], low[1], high[1], high[0]], INK, 0.12);
        let title = format!("{}: {:.4} ± {:.4}", level.name, level.mean, level.deviation);
        canvas.line(&across(level.mean), INK, 1.3, "", &title);
    }
    for curve in curves {
        let edge = |sign: f64| curve.points.iter().map(move |(x, y, d)| (*x, y + sign * d));
        let band: Vec<[f64; 2]> = edge(1.0).chain(edge(-1.0).rev()).map(|(x, y)| plot.at(x, y)).collect();
        if curve.points.iter().any(|point| point.2 > 0.0) {
            canvas.area(&band, curve.colour, 0.15);
        }
        let line: Vec<[f64; 2]> = curve.points.iter().map(|(x, y, _)| plot.at(*x, *y)).collect();
        canvas.line(&line, curve.colour, 1.8, curve.dash, &curve.name);
        // A band of no width is an error bar.
        if let [(x, y, d)] = curve.points[..] {
            canvas.line(&[plot.at(x, y - d), plot.at(x, y + d)], curve.colour, 1.4, "", "");
        }
    }
    // Above all bands.
    for (nth, curve) in curves.iter().enumerate().filter(|_| axes.markers) {
        for (x, y, d) in &curve.points {
            let at = if axes.percent { format!("{:.1} %", 100.0 * x) } else { format!("{x}") };
            marker(
                &mut canvas,
                plot.at(*x, *y),
                nth,
                curve.colour,
                &format!("{}, {at}: {y:.4} ± {d:.4}", curve.name),
            );
        }
    }
    let x = AREA[0] + AREA[2] + 14.0;
    for (nth, curve) in curves.iter().enumerate() {
        let y = AREA[1] + 10.0 + 18.0 * nth as f64;
        canvas.line(&[[x, y], [x + 28.0, y]], curve.colour, 1.8, curve.dash, "");
        if axes.markers {
            marker(&mut canvas, [x + 14.0, y], nth, curve.colour, "");
        }
        canvas.text([x + 34.0, y + 3.5], Anchor::Start, 10.5, &curve.name);
    }
    for (nth, level) in levels.iter().enumerate() {
        let y = AREA[1] + 10.0 + 18.0 * (curves.len() + nth) as f64;
        canvas.rect([x, y - 5.0, 28.0, 10.0], INK, 0.12, "");
        canvas.line(&[[x, y], [x + 28.0, y]], INK, 1.3, "", "");
        canvas.text([x + 34.0, y + 3.5], Anchor::Start, 10.5, &level.name);
    }
    canvas.finish(label)
}

/// A shape for each of six series, which are told apart without colour.
fn marker(canvas: &mut Canvas, [x, y]: [f64; 2], nth: usize, colour: &str, title: &str) {
    const R: f64 = 4.0;
    let regular = |corners: usize, radius: f64, first: f64| -> Vec<[f64; 2]> {
        let angle = |n: usize| (first + 360.0 * n as f64 / corners as f64).to_radians();
        (0..corners).map(|n| [x + radius * angle(n).sin(), y - radius * angle(n).cos()]).collect()
    };
    let points = match nth % 6 {
        0 => regular(4, 1.25 * R, 45.0),
        1 => regular(3, 1.25 * R, 0.0),
        2 => regular(4, 1.25 * R, 0.0),
        3 => regular(16, R, 0.0),
        4 => regular(3, 1.25 * R, 180.0),
        // A cross: its arms' ends on a circle, with notches between them.
        _ => (0..4)
            .flat_map(|arm| {
                let turned = |by: f64, radius: f64| {
                    let angle = (45.0 + 90.0 * f64::from(arm) + by).to_radians();
                    [x + radius * angle.sin(), y - radius * angle.cos()]
                };
                [turned(-16.0, 1.3 * R), turned(16.0, 1.3 * R), turned(45.0, 0.5 * R)]
            })
            .collect(),
    };
    canvas.shape(&points, colour, title);
}
