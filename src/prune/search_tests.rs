//! The search against scorers that follow a script.

use super::*;

/// A network of 2 layers × 10 heads: a full step is 2 heads, a half step 1.
const LAYERS: usize = 2;
const HEADS: usize = 10;

/// Answers the passes with the scripted scores in turn (the last one for ever) and notes the masks it saw.
struct Script {
    scores: Vec<f64>,
    /// Importances by pass; the last one for ever.
    importances: Vec<RawImportance>,
    seen: Vec<Mask>,
}

impl Scorer for Script {
    fn score(&mut self, mask: &Mask) -> Result<(f64, RawImportance)> {
        let pass = self.seen.len();
        self.seen.push(mask.clone());
        let score = self.scores[pass.min(self.scores.len() - 1)];
        Ok((score, self.importances[pass.min(self.importances.len() - 1)].clone()))
    }
}

/// Importances that rise with the index in every layer: ranks alternate between the layers, 0, 10, 1, 11, …
fn rising() -> RawImportance {
    RawImportance {
        layers: LAYERS,
        heads_per_layer: HEADS,
        heads: (0..LAYERS * HEADS).map(|i| 1.0 + (i % HEADS) as f64).collect(),
        ffns: vec![1.0, 2.0],
    }
}

/// The opposite order: 9, 19, 8, 18, … and FFN 1 before FFN 0.
fn falling() -> RawImportance {
    let mut raw = rising();
    raw.heads.reverse();
    raw.ffns.reverse();
    raw
}

fn script(scores: &[f64]) -> Script {
    Script { scores: scores.to_vec(), importances: vec![rising()], seen: vec![] }
}

fn method(method: Method) -> SearchConfig {
    SearchConfig { method, ..SearchConfig::default() }
}

fn run(cfg: &SearchConfig, scorer: &mut Script) -> Result<Outcome> {
    search(cfg, LAYERS, HEADS, scorer, &mut |_| {})
}

/// Phase, accepted, heads, FFNs.
type Told = (Phase, bool, Vec<[usize; 2]>, Vec<usize>);

fn story(outcome: &Outcome) -> Vec<Told> {
    let tell = |s: &Step| (s.phase, s.accepted, s.pruned_heads.clone(), s.pruned_ffns.clone());
    outcome.steps.iter().map(tell).collect()
}

#[test]
fn three_phases_prune_jointly_then_heads_in_half_steps_then_ffns() {
    // Joint: accepted, rejected; heads: accepted, rejected; FFNs: accepted and none left.
    let mut scorer = script(&[1.0, 0.95, 0.5, 0.94, 0.5, 0.93]);
    let outcome = run(&SearchConfig::default(), &mut scorer).unwrap();
    assert_eq!(
        story(&outcome),
        [
            (Phase::Joint, true, vec![[0, 0], [1, 0]], vec![0]),
            (Phase::Joint, false, vec![[0, 1], [1, 1]], vec![1]),
            (Phase::Heads, true, vec![[0, 1]], vec![]),
            (Phase::Heads, false, vec![[1, 1]], vec![]),
            (Phase::Ffns, true, vec![], vec![1]),
        ]
    );
    assert_eq!(outcome.mask, Mask::from_strings(&["0011111111", "0111111111"], "00").unwrap());
    assert_eq!((outcome.full_score, outcome.score, outcome.passes), (1.0, 0.93, 6));
    assert_eq!(outcome.passes, scorer.seen.len());
    assert!(!outcome.exhausted && outcome.note.is_none());
}

#[test]
fn a_rejected_first_joint_step_leaves_the_other_phases_the_full_mask() {
    let mut scorer = script(&[1.0, 0.1, 0.95, 0.1, 0.1]);
    let outcome = run(&SearchConfig::default(), &mut scorer).unwrap();
    assert_eq!(story(&outcome)[1], (Phase::Heads, true, vec![[0, 0]], vec![]));
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (19, 2));
    assert_eq!(outcome.score, 0.95);
}

#[test]
fn a_fresh_search_uses_the_importances_of_the_mask_it_starts_from() {
    // The joint step is rejected at a mask whose importances are reversed.
    let mut scorer = script(&[1.0, 0.1]);
    scorer.importances = vec![rising(), falling()];
    let outcome = run(&SearchConfig::default(), &mut scorer).unwrap();
    assert_eq!(
        story(&outcome)[1..],
        [(Phase::Heads, false, vec![[0, 0]], vec![]), (Phase::Ffns, false, vec![], vec![0]),]
    );
}

#[test]
fn a_stale_search_starts_its_later_phases_with_the_importances_of_the_rejected_mask() {
    let mut scorer = script(&[1.0, 0.1]);
    // Joint rejected: falling; heads rejected: rising again, so the FFN phase must see rising.
    scorer.importances = vec![rising(), falling(), rising()];
    let cfg = SearchConfig { stale: true, pruned_units: PrunedUnits::Included, ..SearchConfig::default() };
    let outcome = run(&cfg, &mut scorer).unwrap();
    assert_eq!(
        story(&outcome)[1..],
        [(Phase::Heads, false, vec![[0, 9]], vec![]), (Phase::Ffns, false, vec![], vec![0]),]
    );
    assert_eq!(
        outcome.steps[1].importance,
        normalise(&falling(), &Mask::full(LAYERS, HEADS), PrunedUnits::Included)
    );
}

#[test]
fn after_an_accepted_step_stale_and_fresh_searches_use_the_same_importances() {
    for stale in [false, true] {
        let mut scorer = script(&[1.0, 0.95, 0.1]);
        scorer.importances = vec![rising(), falling()];
        let outcome = run(&SearchConfig { stale, ..method(Method::Heads) }, &mut scorer).unwrap();
        assert_eq!(outcome.steps[1].pruned_heads, [[0, 9], [1, 9]]);
    }
}

#[test]
fn a_score_of_exactly_the_threshold_passes_and_just_below_does_not() {
    let at: f64 = 0.9 * 0.7;
    let below = f64::from_bits(at.to_bits() - 1);
    let outcome = run(&method(Method::Heads), &mut script(&[0.7, at, below])).unwrap();
    let accepted: Vec<bool> = outcome.steps.iter().map(|step| step.accepted).collect();
    assert_eq!(accepted, [true, false]);
    assert_eq!(outcome.score, at);
}

#[test]
fn a_model_that_loses_nothing_is_pruned_to_nothing_and_the_search_still_ends() {
    let outcome = run(&SearchConfig::default(), &mut script(&[1.0])).unwrap();
    assert!(outcome.exhausted && outcome.mask.is_exhausted());
    assert!(outcome.steps.iter().all(|step| step.accepted));
    // Ten joint steps of two heads; the FFNs are gone after two.
    assert_eq!(outcome.passes, 11);
}

#[test]
fn a_joint_step_goes_on_with_heads_when_no_ffn_is_left() {
    let mut scorer = script(&[1.0, 1.0, 1.0, 1.0, 0.1]);
    let outcome = run(&SearchConfig::default(), &mut scorer).unwrap();
    assert_eq!(story(&outcome)[2], (Phase::Joint, true, vec![[0, 2], [1, 2]], vec![]));
    // The FFN phase has nothing to try.
    assert_eq!(story(&outcome).last().unwrap().0, Phase::Heads);
    assert!(!outcome.exhausted);
}

#[test]
fn a_joint_step_goes_on_with_ffns_when_no_head_is_left() {
    let cfg = SearchConfig { head_step: 1.0, ..SearchConfig::default() };
    let outcome = run(&cfg, &mut script(&[1.0])).unwrap();
    assert_eq!(outcome.steps[0].pruned_heads.len(), 20);
    assert_eq!(story(&outcome)[1], (Phase::Joint, true, vec![], vec![1]));
    assert!(outcome.exhausted);
}

#[test]
fn the_heads_method_takes_full_steps_and_never_an_ffn() {
    let mut scorer = script(&[1.0]);
    // FFNs without any score are no obstacle to a method that does not prune them.
    scorer.importances[0].ffns = vec![f64::NAN; 2];
    let outcome = run(&method(Method::Heads), &mut scorer).unwrap();
    assert!(outcome.steps.iter().all(|s| s.phase == Phase::Heads && s.pruned_heads.len() == 2));
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (0, 2));
    assert!(outcome.exhausted && !outcome.mask.is_exhausted());
}

#[test]
fn the_ffns_method_takes_one_ffn_at_a_time_and_never_a_head() {
    let outcome = run(&method(Method::Ffns), &mut script(&[1.0, 0.95, 0.1])).unwrap();
    assert_eq!(
        story(&outcome),
        [(Phase::Ffns, true, vec![], vec![0]), (Phase::Ffns, false, vec![], vec![1]),]
    );
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (20, 1));
}

#[test]
fn with_the_last_head_rule_every_layer_keeps_its_best_head() {
    let cfg = SearchConfig { keep_last_head: true, ..method(Method::Heads) };
    let outcome = run(&cfg, &mut script(&[1.0])).unwrap();
    assert_eq!(outcome.mask.head_strings(), ["0000000001", "0000000001"]);
    assert!(outcome.exhausted);
}

#[test]
fn steps_are_a_tenth_of_all_heads_rounded_down_and_at_least_one() {
    let cfg = SearchConfig::default();
    let sizes: Vec<usize> = [144, 72, 20, 9].iter().map(|total| cfg.heads_per_step(*total)).collect();
    assert_eq!(sizes, [14, 7, 2, 1]);
}

#[test]
fn a_step_of_one_head_has_half_steps_of_one_head() {
    let mut scorer = script(&[1.0, 0.1, 1.0, 0.1]);
    let cfg = SearchConfig { head_step: 0.0, ..SearchConfig::default() };
    let outcome = run(&cfg, &mut scorer).unwrap();
    assert_eq!(story(&outcome)[1], (Phase::Heads, true, vec![[0, 0]], vec![]));
}

#[test]
fn every_step_is_reported_with_the_tried_mask_and_logged_with_its_importances() {
    let mut scorer = script(&[1.0, 0.95, 0.5]);
    let (mut numbers, mut told) = (vec![], vec![]);
    let outcome = search(&SearchConfig::default(), LAYERS, HEADS, &mut scorer, &mut |pass| {
        numbers.push((pass.number, pass.score >= pass.threshold));
        told.extend(pass.step.map(|step| (step.clone(), pass.mask.clone())));
    })
    .unwrap();
    let accepted = outcome.steps.iter().map(|step| step.accepted);
    assert!(numbers.into_iter().eq((1..).zip([true].into_iter().chain(accepted))));
    assert_eq!(told.len(), outcome.steps.len());
    let mut start = Mask::full(LAYERS, HEADS);
    for (i, (step, tried)) in told.iter().enumerate() {
        assert_eq!(*tried, scorer.seen[i + 1]);
        assert_eq!(step.score, if i == 0 { 0.95 } else { 0.5 });
        for (index, kept) in start.heads.iter().enumerate() {
            assert_eq!(step.importance.heads[index].is_nan(), !kept);
        }
        // Heads that were kept and are now not are exactly those logged.
        let gone = start.heads_kept() - tried.heads_kept();
        assert_eq!(gone, step.pruned_heads.len());
        assert!(step.pruned_heads.iter().all(|[layer, head]| !tried.layer_heads(*layer)[*head]));
        if step.accepted {
            start = tried.clone();
        }
    }
    assert!(outcome.steps.iter().any(|step| !step.accepted));
    assert_eq!(start, outcome.mask);
}

#[test]
fn a_step_is_written_as_the_ticket_format_says() {
    let outcome = run(&method(Method::Ffns), &mut script(&[1.0, 0.5])).unwrap();
    let json = serde_json::to_value(&outcome.steps[0]).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["phase", "accepted", "score", "pruned_heads", "pruned_ffns", "importance"]);
    assert_eq!((&json["phase"], &json["pruned_ffns"]), (&"ffns".into(), &vec![0].into()));
    assert_eq!(json["importance"]["heads"].as_array().map(Vec::len), Some(LAYERS));
    assert_eq!(serde_json::from_value::<Step>(json).unwrap(), outcome.steps[0]);
}

#[test]
fn a_score_that_is_not_finite_stops_the_search_with_the_pass_it_happened_in() {
    for bad in [f64::NAN, f64::INFINITY] {
        let error = run(&SearchConfig::default(), &mut script(&[bad])).unwrap_err();
        assert!(error.to_string().contains("pass 1"), "{error}");
        let error = run(&SearchConfig::default(), &mut script(&[1.0, 0.95, bad])).unwrap_err();
        assert!(error.to_string().contains("pass 3"), "{error}");
    }
}

#[test]
fn an_importance_that_is_not_finite_stops_the_search_and_names_the_unit() {
    let mut scorer = script(&[1.0]);
    scorer.importances[0].heads[13] = f64::INFINITY;
    let error = run(&SearchConfig::default(), &mut scorer).unwrap_err();
    assert!(error.to_string().contains("head 3 of layer 1"), "{error}");
}

#[test]
fn a_full_score_that_is_not_positive_keeps_the_full_mask_and_says_why() {
    for full_score in [0.0, -0.02] {
        let mut scorer = script(&[full_score, 1.0]);
        let outcome = run(&SearchConfig::default(), &mut scorer).unwrap();
        assert_eq!(outcome.mask, Mask::full(LAYERS, HEADS));
        assert!(outcome.steps.is_empty() && !outcome.exhausted);
        assert_eq!((outcome.passes, scorer.seen.len(), outcome.score), (1, 1, full_score));
        assert!(outcome.note.unwrap().contains("not positive"));
    }
}

#[test]
fn shares_outside_zero_to_one_are_refused_before_any_pass() {
    for (threshold, head_step) in [(1.5, 0.1), (f64::NAN, 0.1), (0.9, -0.1)] {
        let mut scorer = script(&[1.0]);
        let cfg = SearchConfig { threshold, head_step, ..SearchConfig::default() };
        assert_eq!(run(&cfg, &mut scorer).unwrap_err().exit_code(), 2);
        assert!(scorer.seen.is_empty());
    }
}

#[test]
fn importances_of_another_shape_are_an_error_and_no_panic() {
    let mut scorer = script(&[1.0]);
    scorer.importances[0].heads.pop();
    assert_eq!(run(&SearchConfig::default(), &mut scorer).unwrap_err().exit_code(), 1);
}
