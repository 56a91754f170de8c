use super::{
    bars::{Bar, Cluster},
    curves::{Axes, Curve, Level},
    heat_map::Panel,
    histogram::Histogram,
    *,
};
use crate::report::group::Mean;
use std::{fs, path::Path};

fn mean(mean: f64, deviation: f64) -> Mean {
    Mean { n: 5, mean, deviation: Some(deviation) }
}

/// One drawing of each kind.
fn drawings() -> Vec<(&'static str, String)> {
    let bar = |name: &str, of: f64, light: bool| Bar {
        name: name.to_owned(),
        colour: palette::mode(name, 0).0,
        light,
        mean: mean(of, 0.02),
    };
    let cluster = Cluster {
        name: "a < b & c".to_owned(),
        bars: vec![bar("good", 0.8, true), bar("", 0.85, false), bar("bad", 0.5, true)],
        lines: vec![("full model", "", 0.9), ("majority class", "2 3", 0.5)],
    };
    let panel = Panel {
        title: "kept",
        values: vec![vec![0.0, 0.4], vec![1.0, f64::NAN]],
        rows: vec!["1".to_owned(), "2".to_owned()],
        columns: vec!["1".to_owned(), "2".to_owned()],
        row_name: "layer",
        column_name: "head",
        most: 1.0,
        decimals: 1,
        strip: Some(("FFN", vec![0.2, 0.8])),
    };
    // One of each marker, dash and colour.
    let curve = |nth: usize| {
        let (colour, dash) = palette::series(nth);
        let down = 0.05 * nth as f64;
        let name = if nth == 0 { "winning".to_owned() } else { format!("series {nth}") };
        Curve { name, colour, dash, points: vec![(0.2, 0.7 - down, 0.02), (0.6, 0.8 - down, 0.01)] }
    };
    let curves: Vec<Curve> = (0..7).map(curve).collect();
    let level = Level { name: "full model".to_owned(), mean: 0.82, deviation: 0.01 };
    let axes = Axes { x: "weights left", y: "accuracy", percent: true, markers: true };
    let histogram =
        Histogram { kept: vec![0.5, 0.9, 1.0], pruned: vec![0.1, 0.15], cuts: vec![("cut".to_owned(), 0.3)] };
    vec![
        ("bars", bars::draw(&[cluster], ["pruned", "retrained"], "score", "bars")),
        ("heat-map", heat_map::draw(&[panel], "survivors")),
        ("curves", curves::draw(&curves, &[level], &axes, "curves")),
        ("histogram", histogram::draw(&histogram, "importance", "heads", "histogram")),
    ]
}

#[test]
fn drawings_are_the_same_every_time_and_readable_as_svg() {
    for ((name, first), (_, second)) in drawings().into_iter().zip(drawings()) {
        assert_eq!(first, second, "{name}");
        let png = png(&first, 2.0).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n", "{name}");
        assert_eq!(png, super::png(&first, 2.0).unwrap());
        let [pdf, again] = [&first, &second].map(|svg| pdf(svg).unwrap());
        assert!(pdf == again, "{name}");
        assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"), "{name}");
        assert!(!first.contains("NaN") && !first.contains("inf"), "{name}: {first}");
    }
}

#[test]
fn marks_say_what_they_stand_for_and_text_is_escaped() {
    let all = drawings();
    let of = |name: &str| &all.iter().find(|(own, _)| *own == name).unwrap().1;
    assert!(
        of("bars").contains("<title>a &lt; b &amp; c good: 0.8000 ± 0.0200 (n = 5)</title>"),
        "{}",
        of("bars")
    );
    assert!(of("heat-map").contains("<title>layer 1, head 2: 0.400</title>"), "{}", of("heat-map"));
    assert!(of("heat-map").contains("<title>layer 2, FFN: 0.800</title>"));
    assert!(of("curves").contains("<title>winning, 60.0 %: 0.8000 ± 0.0100</title>"), "{}", of("curves"));
    assert!(of("histogram").contains("<title>0.100 to 0.150: 1 pruned</title>"), "{}", of("histogram"));
}

/// Against the files of `snapshots/`, which `LOTTERY_SNAPSHOTS=write` writes anew.
#[test]
fn drawings_equal_their_snapshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/figure/snapshots");
    for (name, drawn) in drawings() {
        let file = folder.join(format!("{name}.svg"));
        if std::env::var_os("LOTTERY_SNAPSHOTS").is_some_and(|value| value == "write") {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &drawn).unwrap();
        }
        let wanted = fs::read_to_string(&file).unwrap();
        assert!(drawn == wanted, "{} (LOTTERY_SNAPSHOTS=write writes it anew):\n{drawn}", file.display());
    }
}

/// What is drawn of text must show a trace: a font without the letters draws nothing.
#[test]
fn the_font_within_has_every_letter_of_a_figure() {
    let text = |letters: &str| {
        let mut canvas = canvas::Canvas::new(200.0, 20.0);
        canvas.text([10.0, 15.0], canvas::Anchor::Start, 12.0, letters);
        png(&canvas.finish(""), 1.0).unwrap()
    };
    let nothing = text("");
    for letter in ('!'..='~').chain("±×–−≥≤κα".chars()) {
        assert_ne!(text(&letter.to_string()), nothing, "{letter}");
    }
}

#[test]
fn ticks_are_round_numbers_within_their_range() {
    for (low, high, wanted) in [
        (0.0, 1.0, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.52, 0.58, vec![0.52, 0.54, 0.56, 0.58]),
        (-3.0, 12.0, vec![0.0, 5.0, 10.0]),
    ] {
        let (ticks, _) = plot::Range { low, high }.ticks(5);
        assert!(ticks.len() == wanted.len(), "{ticks:?}");
        assert!(ticks.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{ticks:?}");
    }
    assert_eq!(plot::Range { low: 0.0, high: 0.1 }.ticks(5).1, 2);
}

#[test]
fn names_of_files_are_plain() {
    assert_eq!(
        file_name("Survivors: mrpc heads+ffns/good sparsity 0.5"),
        "survivors-mrpc-heads-ffns-good-sparsity-0.5"
    );
    let [a, b] = ["a", "b"].map(|end| file_name(&format!("{}{end}", "x".repeat(300))));
    assert!(a != b && a.len() < 140, "{a} {b}");
}
