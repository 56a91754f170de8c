//! Which sparsities match the full model, a line for each: at the end of a sweep, and in `lottery status`.

use super::output::counted;
use crate::{
    error::{Result, excerpt},
    report::{Highest, Runs, highest_of},
    store::Store,
    sweep::records::Summary,
};
use std::{collections::BTreeSet, path::Path};

/// Of these records of the store; those of tickets whose size was not asked for are not read again.
///
/// # Errors
/// Data: there is no store.
pub fn matching<'a>(
    store: &Store,
    records: impl Iterator<Item = (&'a Path, &'a Summary)>,
) -> Result<Vec<Highest>> {
    let sized: BTreeSet<&Path> =
        records.filter(|(_, summary)| summary.has_level()).map(|(path, _)| path).collect();
    let runs = if sized.is_empty() { Runs::default() } else { Runs::among(store, &sized)? };
    Ok(highest_of(&runs))
}

/// `matching: mrpc imp, 3 seeds: up to 30 % pruned within one standard deviation of the full model [20 %, 40 %], …`
pub fn lines(found: &[Highest]) -> String {
    found.iter().map(line).collect()
}

fn line(one: &Highest) -> String {
    let Highest { task, method, settings, n, sparsity, strict, relaxed, interval } = one;
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let words = [task, method, settings].map(|word| excerpt(word)).into_iter();
    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let told = match sparsity {
        None => "no sparsity is within one standard deviation of the full model".to_owned(),
        Some(sparsity) => {
            let interval = interval.map(|of| format!(" [{}, {}]", percent(of.low), percent(of.high)));
            let or_none = |share: &Option<f64>| share.map_or_else(|| "none".to_owned(), percent);
            format!(
                "up to {} pruned within one standard deviation of the full model{}, {} at its mean, {} at 99 % of it",
                percent(*sparsity),
                interval.unwrap_or_default(),
                or_none(strict),
                or_none(relaxed)
            )
        }
    };
    format!("matching: {name}, {}: {told}\n", counted(*n, "seed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::Interval;

    #[test]
    fn a_line_says_what_matches_by_each_rule_or_that_nothing_does() {
        let found = Highest {
            task: "mrpc".to_owned(),
            method: "imp".to_owned(),
            settings: String::new(),
            n: 3,
            sparsity: Some(0.3),
            strict: None,
            relaxed: Some(0.2),
            interval: Some(Interval { low: 0.1, high: 0.4 }),
        };
        let none = Highest { n: 1, sparsity: None, interval: None, ..found.clone() };
        assert_eq!(
            lines(&[found, none]),
            "matching: mrpc imp, 3 seeds: up to 30 % pruned within one standard deviation of the full model [10 %, 40 %], none at \
             its mean, 20 % at 99 % of it\n\
             matching: mrpc imp, 1 seed: no sparsity is within one standard deviation of the full model\n"
        );
    }
}
