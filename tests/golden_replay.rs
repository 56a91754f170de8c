//! Replays the published masks and importances of Prasanna, Rogers and Rumshisky 2020 through the code that runs
//! in an experiment: five GLUE tasks × five seeds on BERT-base.
//!
//! The golden folder is no part of this repository. It is `$LOTTERY_SHARED/golden`: JSON re-encodings of the
//! result files that the authors published with their code (commit f02280f; the importances of the full model
//! from commit a299327), described by the README beside them. Without the variable every test here says that it
//! was skipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
};

use lottery::{
    error::Result,
    model::{Bert, BertConfig, Head, params::Layout},
    prune::{
        ControlRules, Criterion, GateSums, Importance, Kind, Mask, Measurement, Method, Mode, Mt19937, Phase,
        Probe, PruneRules, PrunedUnits, RandomRule, RawImportance, SearchRules, Site, Ticket, Trace,
        control::{
            bad::{bad, bad_from_good},
            random::{bernoulli, keep_probability},
        },
        lowest, normalise,
    },
};
use serde::{Deserialize, de::DeserializeOwned};

const LAYERS: usize = 12;
const HEADS: usize = 12;
/// The order in which the published random masks were drawn; not all of these tasks are in the golden folder.
const TASKS: [&str; 9] = ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"];
const SEEDS: [u64; 5] = [1337, 42, 86, 71, 166];

/// The parsed golden file, or nothing (and a word on stderr) without `LOTTERY_SHARED`.
fn golden<T: DeserializeOwned>(test: &str, file: &str) -> Option<T> {
    let Some(shared) = std::env::var_os("LOTTERY_SHARED") else {
        eprintln!("skipped: {test}: LOTTERY_SHARED is not set");
        return None;
    };
    let path = PathBuf::from(shared).join("golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Every task of a file has the five seeds once.
fn five_seeds<'a>(cases: impl Iterator<Item = (&'a String, u64)>) {
    let mut seeds: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
    cases.for_each(|(task, seed)| seeds.entry(task).or_default().push(seed));
    assert!(!seeds.is_empty());
    for (task, mut of_task) in seeds {
        let mut published = SEEDS;
        published.sort_unstable();
        of_task.sort_unstable();
        assert_eq!(of_task, published, "{task}");
    }
}

fn flags(text: &str) -> Vec<bool> {
    text.chars().map(|c| c == '1').collect()
}

fn mask(heads: &str, ffns: &str) -> Mask {
    let rows: Vec<&str> = (0..LAYERS).map(|layer| &heads[layer * HEADS..(layer + 1) * HEADS]).collect();
    Mask::from_strings(&rows, ffns).unwrap()
}

fn raw(heads: Vec<f64>, ffns: Vec<f64>) -> RawImportance {
    RawImportance { heads, ffns }
}

fn control(mode: Mode, random: RandomRule, good: &Mask, seed: u64) -> Mask {
    let ticket = Ticket { mask: good, opposite: None, searched: Method::HeadsFfns.kinds() };
    mode.control(&ControlRules { random, ..ControlRules::default() })
        .draw(&Mask::full(LAYERS, HEADS), &[ticket], seed)
        .unwrap()
}

#[derive(Deserialize)]
struct HeadTransition {
    task: String,
    seed: u64,
    importance: Vec<f32>,
    mask_before: String,
    n_to_mask: usize,
    newly_masked: Vec<usize>,
    mask_after: String,
    final_mask: String,
    heads_left: usize,
    exact_final: bool,
}

#[derive(Deserialize)]
struct JointTransition {
    task: String,
    seed: u64,
    joint_steps_accepted: usize,
    head_only_steps_accepted: usize,
    mlp_only_steps_accepted: usize,
    mask_before: String,
    n_to_mask: usize,
    newly_masked: Vec<usize>,
    final_head_mask: String,
    final_mlp_mask: String,
    applicable: bool,
}

#[derive(Deserialize)]
struct Normalisation {
    kind: String,
    task: String,
    seed: u64,
    range: f64,
    min: f64,
    published: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct FfnImportance {
    mlp_importance: Vec<f64>,
    mlp_mask: String,
}

#[derive(Deserialize)]
struct RandomMask {
    task: String,
    seed: u64,
    kind: String,
    keep_probability: f64,
    good: String,
    random: String,
}

#[derive(Deserialize)]
struct BadPair {
    good: String,
    bad: String,
    from_good: usize,
}

#[derive(Deserialize)]
struct BadMask {
    task: String,
    seed: u64,
    head_mask: BadPair,
    mlp_mask: BadPair,
}

#[derive(Deserialize)]
struct Sizes {
    params_full: usize,
    params_left: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct SuperMask {
    task: String,
    super_heads: String,
    super_mlps: String,
    n_super_heads: usize,
    n_super_mlps: usize,
    /// Draws one after another, heads before FFNs.
    super_bad_sequence: Vec<String>,
    super_middling_sequence: Vec<String>,
}

#[derive(Deserialize)]
struct MagnitudeSteps {
    steps_of_5_percent: BTreeMap<String, usize>,
    published_average: f64,
}

/// A search whose importances are the recovered published ones in the first pass and, from then on, 0 for what
/// the published ticket pruned and 1 for what it kept; passes listed in `rejected` score below the threshold.
/// Importances and scores of later passes were never published, so beyond the first step this replays the
/// schedule and its bookkeeping, not the ranking.
struct Published {
    first: RawImportance,
    last: Mask,
    rejected: Vec<usize>,
    passes: usize,
}

impl Probe for Published {
    fn whole(&self) -> Mask {
        Mask::full(LAYERS, HEADS)
    }

    fn metric(&mut self, _: &Mask) -> Result<f64> {
        let pass = self.passes;
        self.passes += 1;
        Ok(if self.rejected.contains(&pass) { 0.89 } else { 1.0 })
    }

    fn gate_gradients(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums)) -> Result<()> {
        panic!("the importances were published")
    }

    fn output_norms(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums, &[usize])) -> Result<()> {
        panic!("no outputs are scored")
    }

    fn weight_gradients(&mut self, _: &Mask, _: usize, _: &mut dyn FnMut(&Layout, &[f32])) -> Result<()> {
        panic!("no weights are scored")
    }

    fn model(&self) -> &Bert {
        panic!("the model was not published")
    }
}

/// The importances of a [`Published`] search.
struct Importances {
    first: Option<RawImportance>,
    later: RawImportance,
}

impl Criterion for Importances {
    fn norm(&self) -> &'static str {
        "as published"
    }

    fn measure(&mut self, _: &mut dyn Probe, _: &Mask) -> Result<Rc<dyn Measurement>> {
        Ok(Rc::new(Measured(self.first.take().unwrap_or_else(|| self.later.clone()))))
    }
}

struct Measured(RawImportance);

impl Measurement for Measured {
    fn importance(&self, mask: &Mask) -> Importance {
        normalise(&self.0, mask, PrunedUnits::Included)
    }
}

impl Published {
    fn search(mut self, method: Method, stale: bool) -> Trace {
        let kept = |kind| self.last.flags(kind).into_iter().map(|kept| f64::from(u8::from(kept))).collect();
        let later = raw(kept(Kind::Heads), kept(Kind::Ffns));
        let mut criterion = Importances { first: Some(self.first.clone()), later };
        let rules = SearchRules { stale, ..SearchRules::default() };
        method.search(rules, PruneRules::default()).run(&mut self, &mut criterion, &mut |_| {}).unwrap()
    }
}

/// The unnormalised head importances (rows of unit norm) behind each published full-model importance.
fn full_model_raw(
    importances: &[HeadTransition],
    maps: &[Normalisation],
) -> BTreeMap<(String, u64), Vec<f64>> {
    let of_case = |case: &HeadTransition| {
        let same = |m: &&Normalisation| {
            m.kind == "iteration0_full_model" && m.task == case.task && m.seed == case.seed
        };
        let map = maps.iter().find(same).unwrap();
        case.importance.iter().map(|h| map.range * f64::from(*h) + map.min).collect()
    };
    importances.iter().map(|case| ((case.task.clone(), case.seed), of_case(case))).collect()
}

fn accepted(outcome: &Trace, phase: Phase) -> usize {
    outcome.steps.iter().filter(|step| step.accepted && step.phase == phase).count()
}

#[test]
fn the_lowest_heads_are_those_that_the_first_published_step_pruned() {
    let test = "the_lowest_heads_are_those_that_the_first_published_step_pruned";
    let Some(cases) = golden::<Vec<HeadTransition>>(test, "transitions_heads_only.json") else { return };
    five_seeds(cases.iter().map(|case| (&case.task, case.seed)));
    for case in &cases {
        let name = format!("{}/{}", case.task, case.seed);
        let before = mask(&case.mask_before, "111111111111");
        assert_eq!(before, Mask::full(LAYERS, HEADS), "{name}");
        assert_eq!(SearchRules::default().heads_per_step(before.heads_total()), case.n_to_mask);
        let importance = Importance::of_units(&before, &case.importance, &[0.0; LAYERS]);
        let units = lowest(&importance, &before, Kind::Heads, case.n_to_mask).unwrap();
        let mut after = before;
        units.iter().for_each(|(site, head)| after.prune(site, *head));
        let place = |(site, head)| match site {
            Site::Heads(layer) => layer * HEADS + head,
            other => panic!("{other:?}"),
        };
        let lowest: Vec<usize> = units.into_iter().map(place).collect();
        assert_eq!(lowest, case.newly_masked, "{name}");
        assert_eq!(after.flags(Kind::Heads), flags(&case.mask_after), "{name}");
        let last = flags(&case.final_mask);
        assert!(lowest.iter().all(|index| !last[*index]), "{name}");
        assert_eq!(last.iter().filter(|kept| **kept).count(), case.heads_left, "{name}");
        assert_eq!(after.flags(Kind::Heads) == last, case.exact_final, "{name}");
    }
}

#[test]
fn a_heads_search_takes_the_published_first_step_and_ends_at_the_published_mask() {
    let test = "a_heads_search_takes_the_published_first_step_and_ends_at_the_published_mask";
    let Some(cases) = golden::<Vec<HeadTransition>>(test, "transitions_heads_only.json") else { return };
    let Some(maps) = golden::<Vec<Normalisation>>(test, "importance_normalisation.json") else { return };
    let raws = full_model_raw(&cases, &maps);
    for case in &cases {
        let name = format!("{}/{}", case.task, case.seed);
        let last = mask(&case.final_mask, "111111111111");
        let pruned = last.heads_total() - last.heads_kept();
        // The last step of a search that prunes everything takes what is left.
        assert!(pruned.is_multiple_of(case.n_to_mask) || last.heads_kept() == 0, "{name}");
        let steps = pruned.div_ceil(case.n_to_mask);
        let first = raw(raws[&(case.task.clone(), case.seed)].clone(), vec![1.0; LAYERS]);
        let published = Published { first, last: last.clone(), rejected: vec![steps + 1], passes: 0 };
        let outcome = published.search(Method::Heads, false);
        let mut first_step: Vec<usize> =
            outcome.steps[0].pruned_heads.iter().map(|[layer, head]| layer * HEADS + head).collect();
        first_step.sort_unstable();
        let mut published = case.newly_masked.clone();
        published.sort_unstable();
        assert_eq!(first_step, published, "{name}");
        assert_eq!(outcome.mask, last, "{name}");
        assert_eq!(accepted(&outcome, Phase::Heads), steps, "{name}");
    }
}

#[test]
fn three_phases_with_the_published_step_counts_end_at_the_published_mask() {
    let test = "three_phases_with_the_published_step_counts_end_at_the_published_mask";
    let Some(cases) = golden::<Vec<JointTransition>>(test, "transitions_heads_mlps.json") else { return };
    let Some(heads) = golden::<Vec<HeadTransition>>(test, "transitions_heads_only.json") else { return };
    let Some(maps) = golden::<Vec<Normalisation>>(test, "importance_normalisation.json") else { return };
    let raws = full_model_raw(&heads, &maps);
    five_seeds(cases.iter().map(|case| (&case.task, case.seed)));
    for case in &cases {
        let name = format!("{}/{}", case.task, case.seed);
        assert_eq!(mask(&case.mask_before, "111111111111"), Mask::full(LAYERS, HEADS), "{name}");
        let (a, b, c) =
            (case.joint_steps_accepted, case.head_only_steps_accepted, case.mlp_only_steps_accepted);
        let last = mask(&case.final_head_mask, &case.final_mlp_mask);
        let kept = |flags: &[bool]| flags.iter().map(|kept| f64::from(u8::from(*kept))).collect();
        // FFN importances of the full model were not published: the first pass gives those of the final mask.
        let first = raw(raws[&(case.task.clone(), case.seed)].clone(), kept(&last.flags(Kind::Ffns)));
        // A phase ends with a rejected step, or with nothing left to take: then there is no further pass.
        let heads_left = |steps: usize, half: usize| 144usize.saturating_sub(14 * steps + 7 * half);
        let mut rejected = Vec::new();
        let mut passes = 1;
        for (accepted, is_left) in [
            (a, heads_left(a, 0) + 12usize.saturating_sub(a) > 0),
            (b, heads_left(a, b) > 0),
            (c, 12usize.saturating_sub(a + c) > 0),
        ] {
            passes += accepted;
            if is_left {
                rejected.push(passes);
                passes += 1;
            }
        }
        let published = Published { first, last: last.clone(), rejected, passes: 0 };
        let outcome = published.search(Method::HeadsFfns, true);
        let counts = [Phase::Joint, Phase::Heads, Phase::Ffns].map(|phase| accepted(&outcome, phase));
        assert_eq!(counts, [a, b, c], "{name}");
        assert_eq!(outcome.mask, last, "{name}");
        assert_eq!(outcome.mask.heads_kept(), heads_left(a, b), "{name}");
        assert_eq!(outcome.mask.ffns_kept(), 12usize.saturating_sub(a + c), "{name}");
        assert_eq!(outcome.passes, passes, "{name}");

        let first_step = &outcome.steps[0];
        assert_eq!(first_step.pruned_heads.len(), case.n_to_mask, "{name}");
        assert_eq!(first_step.accepted, case.applicable, "{name}");
        let tried: Vec<usize> = first_step.pruned_heads.iter().map(|[l, h]| l * HEADS + h).collect();
        assert!(tried.iter().all(|index| case.newly_masked.contains(index)), "{name}");
    }
}

#[test]
fn normalisation_gives_the_published_head_importances_back() {
    let test = "normalisation_gives_the_published_head_importances_back";
    let Some(maps) = golden::<Vec<Normalisation>>(test, "importance_normalisation.json") else { return };
    let Some(heads) = golden::<Vec<HeadTransition>>(test, "transitions_heads_only.json") else { return };
    assert!(!maps.is_empty());
    for case in &maps {
        let name = format!("{} {}/{}", case.kind, case.task, case.seed);
        let published: Vec<f64> = case.published.clone().unwrap_or_else(|| {
            assert_eq!(case.kind, "iteration0_full_model", "{name}");
            let same = |h: &&HeadTransition| h.task == case.task && h.seed == case.seed;
            heads.iter().find(same).unwrap().importance.iter().map(|v| f64::from(*v)).collect()
        });
        // Undo the min-max, then stretch every layer differently, as gradients of different layers are.
        let stretched = published.iter().enumerate().map(|(i, h)| {
            let layer = (i / HEADS) as i32;
            (case.range * h + case.min) * 3f64.powi(layer - 9)
        });
        // The published masks of these passes do not matter: masked heads were included.
        let every_third: Vec<bool> = (0..LAYERS * HEADS).map(|head| head % 3 > 0).collect();
        let pruned = Mask::full(LAYERS, HEADS).with_flags(Kind::Heads, &every_third);
        let ours = normalise(&raw(stretched.collect(), vec![1.0; 12]), &pruned, PrunedUnits::Included);
        for (ours, published) in ours.values(Kind::Heads).iter().zip(&published) {
            assert!((f64::from(*ours) - published).abs() < 5e-7, "{name}: {ours} {published}");
        }
    }
}

#[test]
fn normalisation_gives_the_published_ffn_importances_back() {
    let test = "normalisation_gives_the_published_ffn_importances_back";
    let Some(cases) = golden::<Vec<FfnImportance>>(test, "mlp_importance.json") else { return };
    assert!(!cases.is_empty());
    for case in &cases {
        let at = Mask::full(LAYERS, HEADS).with_flags(Kind::Ffns, &flags(&case.mlp_mask));
        let published: Vec<f32> = case.mlp_importance.iter().map(|v| *v as f32).collect();
        let ours = |ffns: Vec<f64>| {
            normalise(&raw(vec![1.0; 144], ffns), &at, PrunedUnits::Included).values(Kind::Ffns)
        };
        // Min-max twice is min-max once, and its input's scale and offset do not matter.
        assert_eq!(ours(case.mlp_importance.clone()), published);
        let moved = ours(case.mlp_importance.iter().map(|v| 3e-4 * v + 2e-5).collect());
        assert!(moved.iter().zip(&published).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn bernoulli_draws_are_the_published_random_masks_bit_for_bit() {
    let test = "bernoulli_draws_are_the_published_random_masks_bit_for_bit";
    let Some(cases) = golden::<Vec<RandomMask>>(test, "random_masks.json") else { return };
    for kind in ["head_mask", "mlp_mask"] {
        five_seeds(cases.iter().filter(|case| case.kind == kind).map(|case| (&case.task, case.seed)));
    }
    let mut generator = Mt19937::new(13);
    let mut replayed = 0;
    for task in TASKS {
        for seed in SEEDS {
            let find = |kind| cases.iter().find(|c| c.task == task && c.seed == seed && c.kind == kind);
            let (Some(heads), Some(ffns)) = (find("head_mask"), find("mlp_mask")) else {
                // The draws of a task that is not in the folder still took their uniforms.
                for _ in 0..LAYERS * HEADS + LAYERS {
                    generator.next_f64();
                }
                continue;
            };
            let good = mask(&heads.good, &ffns.good);
            assert_eq!(f64::from(keep_probability(&good.flags(Kind::Heads))), heads.keep_probability);
            assert_eq!(f64::from(keep_probability(&good.flags(Kind::Ffns))), ffns.keep_probability);
            assert_eq!(bernoulli(&good, &mut generator), mask(&heads.random, &ffns.random), "{task}/{seed}");
            replayed += 2;
        }
    }
    assert_eq!(replayed, cases.len());
    // The control of seed 13 is the first draw of that stream.
    let first = |kind| cases.iter().find(|c| c.task == "CoLA" && c.seed == 1337 && c.kind == kind).unwrap();
    let (heads, ffns) = (first("head_mask"), first("mlp_mask"));
    assert_eq!(
        control(Mode::Random, RandomRule::Bernoulli, &mask(&heads.good, &ffns.good), 13),
        mask(&heads.random, &ffns.random)
    );
}

#[test]
fn bad_masks_share_with_good_exactly_what_the_published_ones_share() {
    let test = "bad_masks_share_with_good_exactly_what_the_published_ones_share";
    let Some(cases) = golden::<Vec<BadMask>>(test, "bad_masks.json") else { return };
    five_seeds(cases.iter().map(|case| (&case.task, case.seed)));
    for case in &cases {
        let name = format!("{}/{}", case.task, case.seed);
        let good = mask(&case.head_mask.good, &case.mlp_mask.good);
        let published = mask(&case.head_mask.bad, &case.mlp_mask.bad);
        let from_good = (case.head_mask.from_good, case.mlp_mask.from_good);
        assert_eq!(bad_from_good(good.heads_kept(), good.heads_total()), from_good.0, "{name}");
        assert_eq!(bad_from_good(good.ffns_kept(), good.ffns_total()), from_good.1, "{name}");
        let ours = [
            control(Mode::Bad, RandomRule::Exact, &good, case.seed),
            bad(&good, &mut Mt19937::new(case.seed as u32)),
        ];
        for bad in ours.iter().chain([&published]) {
            assert_eq!(bad.heads_kept(), good.heads_kept(), "{name}");
            assert_eq!(bad.ffns_kept(), good.ffns_kept(), "{name}");
            let shared = bad.intersect(&good).unwrap();
            assert_eq!((shared.heads_kept(), shared.ffns_kept()), from_good, "{name}");
        }
    }
}

/// The published good masks by task and seed.
fn good_masks(test: &str) -> Option<BTreeMap<(String, u64), Mask>> {
    let cases = golden::<Vec<BadMask>>(test, "bad_masks.json")?;
    let entry = |case: BadMask| ((case.task, case.seed), mask(&case.head_mask.good, &case.mlp_mask.good));
    Some(cases.into_iter().map(entry).collect())
}

#[test]
fn super_survivors_are_the_published_intersections_over_seeds() {
    let test = "super_survivors_are_the_published_intersections_over_seeds";
    let Some(good) = good_masks(test) else { return };
    let Some(supers) = golden::<Vec<SuperMask>>(test, "super_masks.json") else { return };
    let mut tasks = BTreeSet::new();
    for published in &supers {
        let of_task = good.iter().filter(|((task, _), _)| *task == published.task);
        let Some(ours) = of_task.map(|(_, mask)| mask.clone()).reduce(|a, b| a.intersect(&b).unwrap()) else {
            continue;
        };
        assert_eq!(ours, mask(&published.super_heads, &published.super_mlps), "{}", published.task);
        assert_eq!((ours.heads_kept(), ours.ffns_kept()), (published.n_super_heads, published.n_super_mlps));
        tasks.insert(&published.task);
    }
    assert_eq!(tasks, good.keys().map(|(task, _)| task).collect());
}

#[test]
fn super_bad_and_super_random_masks_take_from_the_groups_that_the_published_ones_take_from() {
    let test = "super_bad_and_super_random_masks_take_from_the_groups_that_the_published_ones_take_from";
    let Some(good) = good_masks(test) else { return };
    let Some(supers) = golden::<Vec<SuperMask>>(test, "super_masks.json") else { return };
    for published in &supers {
        let of_task = good.iter().filter(|((task, _), _)| *task == published.task);
        let masks: Vec<&Mask> = of_task.map(|(_, mask)| mask).collect();
        if masks.is_empty() {
            continue;
        }
        let kinds = Method::HeadsFfns.kinds();
        let tickets: Vec<Ticket> =
            masks.iter().map(|mask| Ticket { mask, opposite: None, searched: kinds }).collect();
        let never =
            masks.iter().map(|mask| mask.complement()).reduce(|a, b| a.intersect(&b).unwrap()).unwrap();
        let always = mask(&published.super_heads, &published.super_mlps);
        for (mode, sequence) in [
            (Mode::SuperBad, &published.super_bad_sequence),
            (Mode::SuperRandom, &published.super_middling_sequence),
        ] {
            let ours = mode.control(&ControlRules::default());
            let ours = ours.draw(&Mask::full(LAYERS, HEADS), &tickets, 1337).unwrap();
            let theirs =
                sequence.iter().map(|flags| mask(&flags[..LAYERS * HEADS], &flags[LAYERS * HEADS..]));
            for drawn in theirs.chain([ours]) {
                for kind in [Kind::Heads, Kind::Ffns] {
                    let name = format!("{} {mode} {kind}", published.task);
                    let kept = |mask: &Mask| mask.count(kind).kept;
                    let shared = |with: &Mask| kept(&drawn.intersect(with).unwrap());
                    let (size, total) = (kept(&always), always.count(kind).total);
                    assert_eq!(kept(&drawn), size, "{name}");
                    if mode == Mode::SuperBad {
                        assert_eq!(shared(&never), size.min(kept(&never)), "{name}");
                    }
                    // Where there are enough units of neither kind, none of the super-survivors is taken.
                    let enough = if mode == Mode::SuperBad { 2 * size } else { 3 * size };
                    if total >= enough {
                        assert_eq!(shared(&always), 0, "{name}");
                    }
                }
            }
        }
    }
}

/// A model whose score holds for so many steps of a magnitude search.
struct Holds<'a> {
    bert: &'a Bert,
    steps: usize,
    passes: usize,
}

impl Probe for Holds<'_> {
    fn whole(&self) -> Mask {
        Mask::full(2, 4)
    }

    fn metric(&mut self, _: &Mask) -> Result<f64> {
        self.passes += 1;
        Ok(if self.passes > self.steps + 1 { 0.89 } else { 1.0 })
    }

    fn gate_gradients(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums)) -> Result<()> {
        panic!("magnitudes need no gradient")
    }

    fn output_norms(&mut self, _: &Mask, _: bool, _: &mut dyn FnMut(&GateSums, &[usize])) -> Result<()> {
        panic!("no outputs are scored")
    }

    fn weight_gradients(&mut self, _: &Mask, _: usize, _: &mut dyn FnMut(&Layout, &[f32])) -> Result<()> {
        panic!("magnitudes need no gradient")
    }

    fn model(&self) -> &Bert {
        self.bert
    }
}

#[test]
fn magnitude_searches_with_the_published_steps_end_at_the_published_densities() {
    let test = "magnitude_searches_with_the_published_steps_end_at_the_published_densities";
    let Some(tasks) = golden::<BTreeMap<String, MagnitudeSteps>>(test, "magnitude_steps.json") else {
        return;
    };
    let config = BertConfig { vocab_size: 10, ..BertConfig::of_shape(2, 128, 4, 512) };
    let bert = Bert::random(config, Head::Classifier { labels: 2 }, 7);
    let prune = PruneRules { step: 0.05, max_steps: 30, ..PruneRules::default() };
    let mut criterion = Importances { first: None, later: raw(vec![1.0; 8], vec![1.0; 2]) };
    for (task, published) in &tasks {
        let density = |steps: &usize| {
            let mut probe = Holds { bert: &bert, steps: *steps, passes: 0 };
            let search = Method::Magnitude.search(SearchRules::default(), prune);
            let found = search.run(&mut probe, &mut criterion, &mut |_| {}).unwrap();
            assert_eq!(accepted(&found, Phase::Weights), *steps, "{task}");
            assert_eq!(found.exhausted, *steps == 30, "{task}");
            let count = found.mask.count(Kind::Weights);
            assert_eq!(found.opposite.unwrap().count(Kind::Weights), count);
            count.kept as f64 / count.total as f64
        };
        let densities: Vec<f64> = published.steps_of_5_percent.values().map(density).collect();
        let mean = densities.iter().sum::<f64>() / densities.len() as f64;
        assert!((mean - published.published_average).abs() < 1e-4, "{task}: {mean}");
    }
    assert!(!tasks.is_empty());
}

#[test]
fn the_parameters_left_are_the_published_ones_but_for_the_output_bias_of_empty_layers() {
    let test = "the_parameters_left_are_the_published_ones_but_for_the_output_bias_of_empty_layers";
    let Some(good) = good_masks(test) else { return };
    let Some(supers) = golden::<Vec<SuperMask>>(test, "super_masks.json") else { return };
    let Some(sizes) = golden::<BTreeMap<String, Sizes>>(test, "sizes.json") else { return };
    let config = BertConfig::of_shape(LAYERS, 768, HEADS, 3072);
    let mut empty_layers = 0;
    for (key, size) in &sizes {
        let (kind, task) = key.split_once('/').unwrap();
        for (seed, left) in &size.params_left {
            let ticket = match kind {
                "good" => good[&(task.to_string(), seed.parse().unwrap())].clone(),
                _ => {
                    let published = supers.iter().find(|s| s.task == task).unwrap();
                    mask(&published.super_heads, &published.super_mlps)
                }
            };
            // The published removal drops the output projection's bias with the last head of a layer; here it
            // stays, so that a removed ticket computes what the masked one computes.
            let empty = (0..LAYERS).filter(|layer| ticket.kept_heads(*layer).is_empty()).count();
            let head = Head::Classifier { labels: if task == "STS-B" { 1 } else { 2 } };
            let full = Layout::new(&config, &config.full_shape(), head).parameters();
            assert_eq!(full, size.params_full, "{key}");
            let ours = Layout::new(&config, &ticket.layer_shapes(), head).parameters();
            assert_eq!(ours - empty * config.hidden_size, *left, "{key}/{seed}");
            // What records say.
            assert_eq!(ticket.shares(&config, head).unwrap().all, ours as f64 / full as f64);
            empty_layers += empty;
        }
    }
    assert!(!sizes.is_empty());
    assert!(empty_layers > 0);
}
