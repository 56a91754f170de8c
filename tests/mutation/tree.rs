//! Changes to JSON and TOML that keep it well formed, or nearly so.

use super::{bytes, random::Random};
use serde_json::{Map, Value};

/// What a text begins with that is written as it stands, without quotes.
const RAW: char = '\u{e000}';
/// What a key begins with that is there a second time.
const AGAIN: char = '\u{e001}';
/// Characters that stand for paths until all changes are made: a path that was cut could lead anywhere.
const PATHS: char = '\u{e100}';

/// Values at the ends of what a type can hold, and beyond.
const EXTREMES: &[&str] = &[
    "0",
    "-1",
    "1",
    "2",
    "3",
    "255",
    "65536",
    "16777216",
    "16777217",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1000000000",
    "0.0",
    "-0.0",
    "0.5",
    "1e-400",
    "5e-324",
    "1e308",
    "-1e308",
    "1e999",
    "nan",
    "inf",
    "null",
    "true",
    "false",
    "\"\"",
    "\" \"",
    "\".\"",
    "\"..\"",
    "\"/\"",
    "\"-\"",
    "\"a/b\"",
    "\"\\u0000\"",
    "\"\\u001b[2J\"",
    "\"\\r\\n\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "\"true\"",
    "\"1\"",
    "\"NaN\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[0]",
    "{\"\": {}}",
    "1979-05-27",
];

/// Which notation is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Json,
    Toml,
}

/// Texts to begin with, parsed once.
pub struct Seeds {
    pub notation: Notation,
    pub texts: Vec<Vec<u8>>,
    trees: Vec<Value>,
    /// What the path characters stand for.
    pub paths: Vec<String>,
}

impl Seeds {
    pub fn json(texts: Vec<Vec<u8>>) -> Self {
        let trees = texts.iter().map(|text| serde_json::from_slice(text).expect("a seed is JSON")).collect();
        Self { notation: Notation::Json, texts, trees, paths: usual_paths() }
    }

    pub fn toml(texts: Vec<Vec<u8>>) -> Self {
        let tree = |text: &Vec<u8>| toml::from_str::<Value>(std::str::from_utf8(text).ok()?).ok();
        let trees = texts.iter().map(|text| tree(text).expect("a seed is TOML")).collect();
        Self { notation: Notation::Toml, texts, trees, paths: usual_paths() }
    }

    /// A seed with changes to what it says, to its bytes, or to both.
    pub fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let seed = random.below(self.texts.len());
        self.mutated_of(seed, random)
    }

    pub fn mutated_of(&self, seed: usize, random: &mut Random) -> Vec<u8> {
        let kind = random.below(100);
        let mut text = if kind < 80 {
            let mut tree = self.trees[seed].clone();
            let other = random.of_list(&self.trees);
            (0..1 + random.below(3)).for_each(|_| change(&mut tree, other, random));
            self.written(&tree)
        } else {
            self.texts[seed].clone()
        };
        if kind >= 68 {
            let other: &Vec<u8> = random.of_list(&self.texts);
            bytes::mutate(&mut text, other, random);
        }
        self.with_paths(text)
    }

    fn written(&self, tree: &Value) -> Vec<u8> {
        let mut out = String::new();
        match tree {
            Value::Object(map) if self.notation == Notation::Toml => {
                for (key, value) in map {
                    write_pair(key, value, self.notation, &mut out);
                    out.push('\n');
                }
            }
            other => write(other, self.notation, &mut out),
        }
        out.into_bytes()
    }

    /// The paths in the place of their characters.
    pub fn with_paths(&self, text: Vec<u8>) -> Vec<u8> {
        let lead = &PATHS.to_string().into_bytes()[..2];
        if !text.windows(2).any(|two| two == lead) {
            return text;
        }
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut rest = &text[..];
        while let Some(first) = rest.first() {
            let nth = rest.strip_prefix(lead).and_then(|after| after.first()?.checked_sub(0x80));
            match nth.and_then(|nth| self.paths.get(usize::from(nth))) {
                Some(path) => {
                    out.extend_from_slice(path.as_bytes());
                    rest = &rest[3..];
                }
                None => {
                    out.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        out
    }
}

/// Of nothing that exists.
fn usual_paths() -> Vec<String> {
    ["../../x", "/nowhere/x", "../../../../../../x", "//x/../y"].map(str::to_owned).to_vec()
}

fn raw(text: &str) -> Value {
    Value::String(format!("{RAW}{text}"))
}

fn extreme(random: &mut Random) -> Value {
    match random.below(24) {
        0..=2 => {
            let nth = random.below(12) as u32;
            Value::String(char::from_u32(PATHS as u32 + nth).into_iter().collect())
        }
        3 => Value::String("x".repeat(10_000)),
        4 => Value::String("\u{1f39f}\u{301}".repeat(40)),
        5 => {
            let depth = *random.of_list(&[3, 60, 126, 130, 1000, 20_000]);
            raw(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
        }
        6 => {
            let depth = *random.of_list(&[3, 126, 1000]);
            raw(&format!("{}0{}", "{\"a\":".repeat(depth), "}".repeat(depth)))
        }
        7 => Value::Array(vec![raw(random.word(EXTREMES)); 300]),
        _ => raw(random.word(EXTREMES)),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|value| nth(value, n)),
        Value::Object(map) => map.values_mut().find_map(|value| nth(value, n)),
        _ => None,
    }
}

/// One of the values within, itself included.
fn any<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let mut n = random.below(count(value));
    // Mostly below the top.
    if n == 0 {
        n = random.below(count(value));
    }
    nth(value, &mut n).expect("there are as many values as were counted")
}

fn change(tree: &mut Value, other: &Value, random: &mut Random) {
    let node = any(tree, random);
    match random.below(10) {
        0..=3 => *node = extreme(random),
        4 => *node = any(&mut other.clone(), random).clone(),
        5 => {
            let inner = node.take();
            *node = if random.chance(50) { Value::Array(vec![inner]) } else { object([("x".into(), inner)]) };
        }
        6 => nudge(node, random),
        _ => match node {
            Value::Object(map) => change_keys(map, random),
            Value::Array(items) if !items.is_empty() => {
                let at = random.below(items.len());
                match random.below(3) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    _ => items.swap(0, at),
                }
            }
            _ => *node = extreme(random),
        },
    }
}

fn change_keys(map: &mut Map<String, Value>, random: &mut Random) {
    let keys: Vec<String> = map.keys().cloned().collect();
    let Some(key) = (!keys.is_empty()).then(|| random.of_list(&keys)) else {
        map.insert("x".into(), extreme(random));
        return;
    };
    match random.below(5) {
        0 | 1 => drop(map.shift_remove(key)),
        2 => {
            let value = if random.chance(50) { map[key].clone() } else { extreme(random) };
            map.insert(format!("{AGAIN}{key}"), value);
        }
        3 => {
            let value = map.shift_remove(key).unwrap_or_default();
            let new = match extreme(random) {
                Value::String(text) if !text.starts_with(RAW) => text,
                _ => random.word(&["", ".", "..", "a/b", "\0", "x", "\u{1b}[2J", "a.b"]).to_string(),
            };
            map.insert(new, value);
        }
        _ => {
            let (other, value) = (random.of_list(&keys), map[key].clone());
            map.insert(other.clone(), value);
        }
    }
}

fn nudge(node: &mut Value, random: &mut Random) {
    *node = match &*node {
        Value::Number(number) => match random.below(6) {
            0 => raw(&format!("-{number}")),
            1 => raw(&format!("{number}0")),
            2 => raw(&format!("{number}.5")),
            3 => Value::String(number.to_string()),
            4 => raw(&number.as_i64().map_or(0, |n| n.wrapping_add(1)).to_string()),
            _ => raw(&number.as_i64().map_or(0, |n| n.wrapping_sub(1)).to_string()),
        },
        Value::String(text) if !text.starts_with(RAW) => {
            let letters = text.chars().count();
            let kept: String = text.chars().take(random.below(letters + 1)).collect();
            match random.below(4) {
                0 => Value::String(kept),
                1 => Value::String(text.to_uppercase()),
                2 => Value::String(format!("{kept}{text}")),
                _ => Value::String(format!("{text}{}", random.word(&[" ", "\0", "/", "/x", ".", "\n", "0"]))),
            }
        }
        Value::Bool(truth) => Value::Bool(!truth),
        _ => extreme(random),
    };
}

fn object<const N: usize>(pairs: [(String, Value); N]) -> Value {
    Value::Object(pairs.into_iter().collect())
}

fn write(value: &Value, notation: Notation, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => match text.strip_prefix(RAW) {
            Some(raw) => out.push_str(raw),
            None => out.push_str(&quoted(text)),
        },
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write(item, notation, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (n, (key, value)) in map.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write_pair(key, value, notation, out);
            }
            out.push('}');
        }
    }
}

fn write_pair(key: &str, value: &Value, notation: Notation, out: &mut String) {
    out.push_str(&quoted(key.trim_start_matches(AGAIN)));
    out.push_str(if notation == Notation::Json { ":" } else { " = " });
    write(value, notation, out);
}

/// What JSON and TOML both read.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
