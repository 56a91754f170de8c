//! Colours that colour-blind readers tell apart, with a second sign for readers of grey: a dash or a marker.

/// Okabe and Ito's colours (2008), without yellow, which is too light for lines.
const SERIES: [&str; 7] = ["#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#555555"];
const DASHES: [&str; 7] = ["", "6 3", "2 3", "8 3 2 3", "4 2", "10 3 2 3 2 3", "12 4"];

/// The colour of a mode, or of the nth series.
pub fn mode(name: &str, nth: usize) -> (&'static str, &'static str) {
    let at = match name {
        "good" => 0,
        "random" => 1,
        "bad" => 2,
        "inverse" => 3,
        "super-good" => 4,
        "super-random" => 5,
        "super-bad" => 6,
        _ => nth.max(3) % SERIES.len(),
    };
    (SERIES[at], DASHES[at])
}

pub fn series(nth: usize) -> (&'static str, &'static str) {
    (SERIES[nth % SERIES.len()], DASHES[nth % DASHES.len()])
}

/// viridis (van der Walt and Smith 2015) at 0, 1/10 … 1: its lightness rises evenly.
const VIRIDIS: [[f64; 3]; 11] = [
    [68.0, 1.0, 84.0],
    [72.0, 36.0, 117.0],
    [65.0, 68.0, 135.0],
    [53.0, 95.0, 141.0],
    [42.0, 120.0, 142.0],
    [33.0, 145.0, 140.0],
    [34.0, 168.0, 132.0],
    [68.0, 191.0, 112.0],
    [122.0, 209.0, 81.0],
    [189.0, 223.0, 38.0],
    [253.0, 231.0, 37.0],
];

/// The colour of a share, and that of text on it.
pub fn viridis(share: f64) -> (String, &'static str) {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let (below, above) = (VIRIDIS[at.floor() as usize], VIRIDIS[at.ceil() as usize]);
    let [r, g, b] = [0, 1, 2].map(|n| (below[n] + (above[n] - below[n]) * at.fract()).round() as u8);
    (format!("#{r:02x}{g:02x}{b:02x}"), if share > 0.55 { "#000000" } else { "#fefefe" })
}
