//! The search against probes that follow a script.

use super::*;
use crate::{
    error::Result,
    model::{Bert, params::Layout},
    prune::{
        Criterion, GateSums, Importance, Mask, Measurement, Probe, PrunedUnits, RawImportance, normalise,
    },
};
use std::rc::Rc;

/// A network of 2 layers × 10 heads: a full step is 2 heads, a half step 1.
const LAYERS: usize = 2;
const HEADS: usize = 10;

/// Answers the passes with the scripted scores in turn (the last one for ever) and notes the masks it saw.
struct Script {
    scores: Vec<f64>,
    /// Importances by pass; the last one for ever.
    importances: Vec<RawImportance>,
    pruned_units: PrunedUnits,
    seen: Vec<Mask>,
}

impl Probe for Script {
    fn whole(&self) -> Mask {
        Mask::full(LAYERS, HEADS)
    }

    fn metric(&mut self, mask: &Mask) -> Result<f64> {
        let pass = self.seen.len();
        self.seen.push(mask.clone());
        Ok(self.scores[pass.min(self.scores.len() - 1)])
    }

    fn gate_gradients(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums)) -> Result<()> {
        panic!("the importances are scripted")
    }

    fn output_norms(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums, &[usize])) -> Result<()> {
        panic!("no outputs are scored")
    }

    fn weight_gradients(&mut self, _: &Mask, _: usize, _: &mut dyn FnMut(&Layout, &[f32])) -> Result<()> {
        panic!("no weights are scored")
    }

    fn model(&self) -> &Bert {
        panic!("there is no model")
    }
}

/// The scripted importances.
struct Importances {
    raw: Vec<RawImportance>,
    pruned_units: PrunedUnits,
    passes: usize,
}

impl Criterion for Importances {
    fn norm(&self) -> &'static str {
        "of a script"
    }

    fn measure(&mut self, _: &mut dyn Probe, _: &Mask) -> Result<Rc<dyn Measurement>> {
        self.passes += 1;
        let raw = self.raw[(self.passes - 1).min(self.raw.len() - 1)].clone();
        Ok(Rc::new(Scripted(raw, self.pruned_units)))
    }
}

struct Scripted(RawImportance, PrunedUnits);

impl Measurement for Scripted {
    fn importance(&self, mask: &Mask) -> Importance {
        normalise(&self.0, mask, self.1)
    }
}

/// Importances that rise with the index in every layer: ranks alternate between the layers, 0, 10, 1, 11, …
fn rising() -> RawImportance {
    RawImportance {
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
    let pruned_units = PrunedUnits::Excluded;
    Script { scores: scores.to_vec(), importances: vec![rising()], pruned_units, seen: vec![] }
}

fn run(method: Method, rules: SearchRules, script: &mut Script) -> Result<Trace> {
    run_with(method, rules, script, &mut |_| {})
}

fn run_with(
    method: Method,
    rules: SearchRules,
    script: &mut Script,
    on_pass: &mut dyn FnMut(&Pass),
) -> Result<Trace> {
    let raw = script.importances.clone();
    let mut criterion = Importances { raw, pruned_units: script.pruned_units, passes: 0 };
    method.search(rules, PruneRules::default()).run(script, &mut criterion, on_pass)
}

/// All three phases.
fn run_phases(script: &mut Script) -> Result<Trace> {
    run(Method::HeadsFfns, SearchRules::default(), script)
}

/// Heads alone, or FFNs alone.
fn run_kind(method: Method, script: &mut Script) -> Result<Trace> {
    run(method, SearchRules::default(), script)
}

/// Phase, accepted, heads, FFNs.
type Taken = (Phase, bool, Vec<[usize; 2]>, Vec<usize>);

fn steps(outcome: &Trace) -> Vec<Taken> {
    let taken = |s: &Step| (s.phase, s.accepted, s.pruned_heads.clone(), s.pruned_ffns.clone());
    outcome.steps.iter().map(taken).collect()
}

fn is_empty(mask: &Mask) -> bool {
    (mask.heads_kept(), mask.ffns_kept()) == (0, 0)
}

#[test]
fn three_phases_prune_jointly_then_heads_in_half_steps_then_ffns() {
    // Joint: accepted, rejected; heads: accepted, rejected; FFNs: accepted and none left.
    let mut scorer = script(&[1.0, 0.95, 0.5, 0.94, 0.5, 0.93]);
    let outcome = run_phases(&mut scorer).unwrap();
    assert_eq!(
        steps(&outcome),
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
    let outcome = run_phases(&mut scorer).unwrap();
    assert_eq!(steps(&outcome)[1], (Phase::Heads, true, vec![[0, 0]], vec![]));
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (19, 2));
    assert_eq!(outcome.score, 0.95);
}

#[test]
fn a_fresh_search_uses_the_importances_of_the_mask_it_starts_from() {
    // The joint step is rejected at a mask whose importances are reversed.
    let mut scorer = script(&[1.0, 0.1]);
    scorer.importances = vec![rising(), falling()];
    let outcome = run_phases(&mut scorer).unwrap();
    assert_eq!(
        steps(&outcome)[1..],
        [(Phase::Heads, false, vec![[0, 0]], vec![]), (Phase::Ffns, false, vec![], vec![0]),]
    );
}

#[test]
fn a_stale_search_starts_its_later_phases_with_the_importances_of_the_rejected_mask() {
    let mut scorer = script(&[1.0, 0.1]);
    // Joint rejected: falling; heads rejected: rising again, so the FFN phase must see rising.
    scorer.importances = vec![rising(), falling(), rising()];
    scorer.pruned_units = PrunedUnits::Included;
    let rules = SearchRules { stale: true, ..SearchRules::default() };
    let outcome = run(Method::HeadsFfns, rules, &mut scorer).unwrap();
    assert_eq!(
        steps(&outcome)[1..],
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
        let outcome =
            run(Method::Heads, SearchRules { stale, ..SearchRules::default() }, &mut scorer).unwrap();
        assert_eq!(outcome.steps[1].pruned_heads, [[0, 9], [1, 9]]);
    }
}

#[test]
fn a_score_of_exactly_the_threshold_passes_and_just_below_does_not() {
    let at: f64 = 0.9 * 0.7;
    let below = f64::from_bits(at.to_bits() - 1);
    let outcome = run_kind(Method::Heads, &mut script(&[0.7, at, below])).unwrap();
    let accepted: Vec<bool> = outcome.steps.iter().map(|step| step.accepted).collect();
    assert_eq!(accepted, [true, false]);
    assert_eq!(outcome.score, at);
}

#[test]
fn a_model_that_loses_nothing_is_pruned_to_nothing_and_the_search_still_ends() {
    let outcome = run_phases(&mut script(&[1.0])).unwrap();
    assert!(outcome.exhausted && is_empty(&outcome.mask));
    assert!(outcome.steps.iter().all(|step| step.accepted));
    // Ten joint steps of two heads; the FFNs are gone after two.
    assert_eq!(outcome.passes, 11);
}

#[test]
fn a_joint_step_goes_on_with_heads_when_no_ffn_is_left() {
    let mut scorer = script(&[1.0, 1.0, 1.0, 1.0, 0.1]);
    let outcome = run_phases(&mut scorer).unwrap();
    assert_eq!(steps(&outcome)[2], (Phase::Joint, true, vec![[0, 2], [1, 2]], vec![]));
    // The FFN phase has nothing to try.
    assert_eq!(steps(&outcome).last().unwrap().0, Phase::Heads);
    assert!(!outcome.exhausted);
}

#[test]
fn a_joint_step_goes_on_with_ffns_when_no_head_is_left() {
    let rules = SearchRules { head_step: 1.0, ..SearchRules::default() };
    let outcome = run(Method::HeadsFfns, rules, &mut script(&[1.0])).unwrap();
    assert_eq!(outcome.steps[0].pruned_heads.len(), 20);
    assert_eq!(steps(&outcome)[1], (Phase::Joint, true, vec![], vec![1]));
    assert!(outcome.exhausted);
}

#[test]
fn the_heads_method_takes_full_steps_and_never_an_ffn() {
    let mut scorer = script(&[1.0]);
    // FFNs without any score are no obstacle to a method that does not prune them.
    scorer.importances[0].ffns = vec![f64::NAN; 2];
    let outcome = run_kind(Method::Heads, &mut scorer).unwrap();
    assert!(outcome.steps.iter().all(|s| s.phase == Phase::Heads && s.pruned_heads.len() == 2));
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (0, 2));
    assert!(outcome.exhausted && !is_empty(&outcome.mask));
}

#[test]
fn the_ffns_method_takes_one_ffn_at_a_time_and_never_a_head() {
    let outcome = run_kind(Method::Ffns, &mut script(&[1.0, 0.95, 0.1])).unwrap();
    assert_eq!(
        steps(&outcome),
        [(Phase::Ffns, true, vec![], vec![0]), (Phase::Ffns, false, vec![], vec![1]),]
    );
    assert_eq!((outcome.mask.heads_kept(), outcome.mask.ffns_kept()), (20, 1));
}

#[test]
fn steps_are_a_tenth_of_all_heads_rounded_down_and_at_least_one() {
    let rules = SearchRules::default();
    let sizes: Vec<usize> = [144, 72, 20, 9].iter().map(|total| rules.heads_per_step(*total)).collect();
    assert_eq!(sizes, [14, 7, 2, 1]);
}

#[test]
fn a_step_of_one_head_has_half_steps_of_one_head() {
    let mut scorer = script(&[1.0, 0.1, 1.0, 0.1]);
    let rules = SearchRules { head_step: 0.0, ..SearchRules::default() };
    let outcome = run(Method::HeadsFfns, rules, &mut scorer).unwrap();
    assert_eq!(steps(&outcome)[1], (Phase::Heads, true, vec![[0, 0]], vec![]));
}

#[test]
fn every_step_is_reported_with_the_tried_mask_and_logged_with_its_importances() {
    let mut scorer = script(&[1.0, 0.95, 0.5]);
    let (mut numbers, mut reported) = (vec![], vec![]);
    let outcome = run_with(Method::HeadsFfns, SearchRules::default(), &mut scorer, &mut |pass| {
        numbers.push((pass.number, pass.score >= pass.threshold));
        reported.extend(pass.step.map(|step| (step.clone(), pass.mask.clone())));
    })
    .unwrap();
    let accepted = outcome.steps.iter().map(|step| step.accepted);
    assert!(numbers.into_iter().eq((1..).zip([true].into_iter().chain(accepted))));
    assert_eq!(reported.len(), outcome.steps.len());
    let mut start = Mask::full(LAYERS, HEADS);
    for (i, (step, tried)) in reported.iter().enumerate() {
        assert_eq!(*tried, scorer.seen[i + 1]);
        assert_eq!(step.score, if i == 0 { 0.95 } else { 0.5 });
        let scores = step.importance.values(Kind::Heads);
        for (score, kept) in scores.iter().zip(start.flags(Kind::Heads)) {
            assert_eq!(score.is_nan(), !kept);
        }
        // Heads that were kept and are now not are exactly those logged.
        let gone = start.heads_kept() - tried.heads_kept();
        assert_eq!(gone, step.pruned_heads.len());
        assert!(step.pruned_heads.iter().all(|[layer, head]| !tried.kept_heads(*layer).contains(head)));
        if step.accepted {
            start = tried.clone();
        }
    }
    assert!(outcome.steps.iter().any(|step| !step.accepted));
    assert_eq!(start, outcome.mask);
}

#[test]
fn a_step_is_written_as_the_ticket_format_says() {
    let outcome = run_kind(Method::Ffns, &mut script(&[1.0, 0.5])).unwrap();
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
        let error = run_phases(&mut script(&[bad])).unwrap_err();
        assert!(error.to_string().contains("pass 1"), "{error}");
        let error = run_phases(&mut script(&[1.0, 0.95, bad])).unwrap_err();
        assert!(error.to_string().contains("pass 3"), "{error}");
    }
}

#[test]
fn an_importance_that_is_not_finite_stops_the_search_and_names_the_unit() {
    let mut scorer = script(&[1.0]);
    scorer.importances[0].heads[13] = f64::INFINITY;
    let error = run_phases(&mut scorer).unwrap_err();
    assert!(error.to_string().contains("head 3 of layer 1"), "{error}");
}

#[test]
fn a_full_score_that_is_not_positive_keeps_the_full_mask_and_says_why() {
    for full_score in [0.0, -0.02] {
        let mut scorer = script(&[full_score, 1.0]);
        let outcome = run_phases(&mut scorer).unwrap();
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
        let rules = SearchRules { threshold, head_step, stale: false };
        assert_eq!(run(Method::HeadsFfns, rules, &mut scorer).unwrap_err().exit_code(), 2);
        assert!(scorer.seen.is_empty());
    }
}

#[test]
fn importances_of_another_shape_are_an_error_and_no_panic() {
    let mut scorer = script(&[1.0]);
    scorer.importances[0].heads.pop();
    assert_eq!(run_phases(&mut scorer).unwrap_err().exit_code(), 1);
}
