//! Changes to tab-separated files.

use super::{bytes, random::Random};

const CELLS: &[&str] = &[
    "",
    " ",
    "-",
    "0",
    "1",
    "2",
    "-1",
    "nan",
    "5.0",
    "1e999",
    "\"",
    "\"a",
    "'",
    "\0",
    "a\0b",
    "\u{feff}",
    "\r",
    "a\rb",
    "\u{1b}[2J",
    "entailment",
    "not_entailment",
    "neutral",
    "contradiction",
    "label",
    "\u{2028}",
    "\u{1f39f}",
    "#",
];

/// A file in this layout with changes to its cells, rows, line ends or bytes.
pub fn mutated(seed: &str, other: &str, random: &mut Random) -> Vec<u8> {
    let mut rows: Vec<Vec<String>> =
        seed.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    for _ in 0..random.below(4) {
        let at = random.below(rows.len());
        match random.below(8) {
            0 if rows.len() > 1 => drop(rows.remove(at)),
            1 => rows.push(rows[at].clone()),
            2 => rows.swap(0, at),
            3 => rows.insert(at, vec![random.word(CELLS).to_string(); random.below(12)]),
            4 => change_column(&mut rows, random),
            _ => change_row(&mut rows[at], random),
        }
        if rows.is_empty() {
            rows.push(Vec::new());
        }
    }
    let end = random.word(&["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\u{2028}"]);
    let mut text = rows.iter().map(|row| row.join("\t") + end).collect::<String>();
    match random.below(12) {
        0 => text.insert(0, '\u{feff}'),
        1 => text = text.trim_end().to_owned(),
        2 => text = text.replace('\t', random.word(&[" ", ",", "\t\t", ";"])),
        _ => {}
    }
    let mut text = text.into_bytes();
    match random.below(24) {
        0..=9 => bytes::mutate(&mut text, other.as_bytes(), random),
        // UTF-16
        10 => text = text.iter().flat_map(|byte| [*byte, 0]).collect(),
        11 => drop(text.splice(..0, *b"\x1f\x8b\x08\0\0\0\0\0\0\xff")),
        _ => {}
    }
    text
}

fn change_row(row: &mut Vec<String>, random: &mut Random) {
    if row.is_empty() {
        row.push(String::new());
    }
    let at = random.below(row.len());
    match random.below(5) {
        0 => drop(row.remove(at)),
        1 => row.insert(at, random.word(CELLS).to_string()),
        2 => row.swap(0, at),
        3 => row[at] = row[at].repeat(1 + random.below(300)),
        _ => row[at] = random.word(CELLS).to_string(),
    }
}

fn change_column(rows: &mut [Vec<String>], random: &mut Random) {
    let (one, two) = (random.below(8), random.below(8));
    let removes = random.chance(50);
    for row in rows.iter_mut().filter(|row| one < row.len() && two < row.len()) {
        if removes {
            row.remove(one);
        } else {
            row.swap(one, two);
        }
    }
}
