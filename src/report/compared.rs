//! Two sets of runs side by side: what differs, and whether it matters.

use super::{
    comparison::{Comparison, Side, correct},
    group::{Group, groups},
    run::{PARTS, Run},
    statistics::{expected_jaccard, jaccard, mean},
};
use std::collections::BTreeSet;

/// Groups of both sides that are compared, and those that have no partner.
pub struct Compared {
    /// Every part of every pair of groups: the first side minus the second.
    pub comparisons: Vec<Comparison>,
    pub masks: Vec<MaskChange>,
    /// Groups of the first and of the second side alone.
    pub alone: [Vec<String>; 2],
    /// What could not be read, and was left out.
    pub left_out: Vec<String>,
}

/// How much the masks of both sides have in common, seed by seed.
pub struct MaskChange {
    pub of: String,
    pub units: &'static str,
    pub n: usize,
    pub kept: [f64; 2],
    pub jaccard: f64,
    /// Of random masks of the same sizes.
    pub expected: f64,
}

/// `train.epochs 3 → 5`
fn changes(a: &Group, b: &Group) -> Vec<String> {
    let values = |group: &Group| -> Vec<(String, String)> {
        let named = [("method", group.method), ("mode", group.mode), ("model", group.model)];
        let named = named.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let level = ("level".to_owned(), group.level_text());
        let settings = group.settings.iter().filter_map(|setting| setting.split_once('='));
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        named.into_iter().chain([level]).chain(settings).collect()
    };
    let (a, b) = (values(a), values(b));
    let of = |side: &[(String, String)], key: &str| {
        side.iter().find(|(own, _)| own == key).map_or("–", |(_, value)| value).to_owned()
    };
    let keys: BTreeSet<&String> = a.iter().chain(&b).map(|(key, _)| key).collect();
    let change = |key: &&String| (of(&a, key), of(&b, key));
    let changed = keys.into_iter().filter(|key| change(key).0 != change(key).1);
    changed.map(|key| format!("{key} {} → {}", of(&a, key), of(&b, key))).collect()
}

/// Each group of `first` beside the group of `second` of the same task and metric that has the most in common with it.
/// `examples` reads predictions, too; `margin` is that of the equivalence tests.
pub fn compared(first: &[Run], second: &[Run], margin: f64, examples: bool) -> Compared {
    let (a, b) = (groups(first), groups(second));
    let mut found = Compared {
        comparisons: Vec::new(),
        masks: Vec::new(),
        alone: [Vec::new(), Vec::new()],
        left_out: Vec::new(),
    };
    let mut taken = BTreeSet::new();
    for group in &a {
        let partners = b.iter().enumerate().filter(|(_, other)| {
            (other.task, other.metric) == (group.task, group.metric) && !group.paired(other).is_empty()
        });
        // Of equal ones the first.
        let nearest = partners.min_by_key(|(_, other)| {
            (other.mode != group.mode, other.method != group.method, changes(group, other).len())
        });
        let Some((at, other)) = nearest else {
            found.alone[0].push(group.name());
            continue;
        };
        taken.insert(at);
        found.add(group, other, margin, examples);
    }
    let alone = b.iter().enumerate().filter(|(at, _)| !taken.contains(at));
    found.alone[1] = alone.map(|(_, group)| group.name()).collect();
    correct(&mut found.comparisons);
    found
}

impl Compared {
    fn add(&mut self, group: &Group, other: &Group, margin: f64, examples: bool) {
        let changes = changes(group, other).join(", ");
        for (part, name) in PARTS.iter().enumerate() {
            let (one, two) = (Side { group, part }, Side { group: other, part });
            let mut comparison = Comparison::of(one, two, margin);
            if examples && let Err(error) = comparison.test_examples(one, two) {
                self.left_out.push(error.to_string());
            }
            (comparison.first, comparison.second) = (format!("A {name}"), format!("B {name}"));
            comparison.method = format!("{} {}", group.method, group.mode);
            comparison.settings.clone_from(&changes);
            self.comparisons.push(comparison);
        }
        type Flags = fn(&Run) -> Vec<bool>;
        let kinds: [(&str, Flags); 2] = [("heads", |run| run.head_flags()), ("FFNs", |run| run.ffns.clone())];
        for (units, flags) in kinds {
            let pairs: Vec<[Vec<bool>; 2]> =
                group.paired(other).into_iter().map(|(a, b)| [flags(a), flags(b)]).collect();
            if pairs.iter().any(|[a, b]| a.is_empty() || a.len() != b.len()) {
                continue;
            }
            let count = |mask: &[bool]| mask.iter().filter(|kept| **kept).count();
            let over = |of: &dyn Fn(&[Vec<bool>; 2]) -> f64| mean(&pairs.iter().map(of).collect::<Vec<_>>());
            self.masks.push(MaskChange {
                of: group.name(),
                units,
                n: pairs.len(),
                kept: [over(&|[a, _]| count(a) as f64), over(&|[_, b]| count(b) as f64)],
                jaccard: over(&|[a, b]| jaccard(a, b)),
                expected: over(&|[a, b]| expected_jaccard(a.len(), count(a), count(b))),
            });
        }
    }
}
