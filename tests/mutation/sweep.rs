//! `sweep.json`, the states and reports of its runs, and what was submitted to a cluster.

use super::{
    harness,
    place::Place,
    random::Random,
    readers,
    stage::keep,
    told::{shown, told},
    tree::Seeds,
    world::world,
};
use lottery::{
    cli,
    experiment::Contents,
    store::Store,
    sweep::{
        Options, Run, Sweep,
        estimate::estimate,
        gc::collect,
        local::{self, Counts, Observer},
        records,
        run_result::{self, RunResult},
        slurm,
        state::State,
    },
};
use std::{
    path::{Component, Path},
    time::Instant,
};

/// Of a sweep that starts nothing.
struct NoObserver;

impl Observer for NoObserver {
    fn started(&mut self, _: Counts) {}
    fn run_ended(&mut self, _: &Sweep, _: &Run, _: &RunResult, _: Counts) {}
    fn tick(&mut self, _: &Sweep, _: &[&Run], _: Counts) {}
    fn stop_wanted(&self) -> bool {
        true
    }
}

/// What the verbs read and write of sweeps.
pub fn use_sweeps(store: &Store, random: &mut Random) {
    if random.chance(60) {
        readers::records(store);
    }
    if random.chance(30) {
        drop(told(collect(store, keep(random), random.chance(80))));
    }
    let Some(sweep) = told(Sweep::find("", store)) else { return };
    for run in &sweep.runs {
        let parts: Vec<_> = Path::new(&run.name).components().collect();
        if !matches!(parts[..], [Component::Normal(_)]) {
            harness::fault("a run's name is a path", run.name.clone());
        }
        // As a worker does once its process has ended.
        told(sweep.state(run).save(&sweep.dir));
        told(State::load(&sweep.dir, &run.name).save(&sweep.dir));
    }
    told(slurm::all(&sweep.dir));
    if random.chance(50)
        && let Some(results) = told(run_result::run_results(&sweep, store))
    {
        if let Some(table) = told(cli::table(&sweep, &results, Some(80))) {
            shown(&table);
        }
        told(cli::document(&sweep, store, &results, &[]));
        let runs: Vec<(&Run, bool)> =
            sweep.runs.iter().zip(&results).map(|(run, result)| (run, result.summary.is_some())).collect();
        if let Some(all) = told(records::all(store)) {
            let all: Vec<_> = all.found.into_iter().map(|(_, summary, ())| summary).collect();
            told(estimate(
                &runs,
                &all,
                &Default::default(),
                store,
                &mut Contents::new(&sweep.directory, store),
            ));
        }
    }
    if random.chance(30) {
        let options = Options {
            jobs: 1,
            threads: None,
            max_failures: None,
            retry: random.chance(50),
            wait_for_others: false,
            until: Some(Instant::now()),
            gpus: Vec::new(),
            keep: keep(random),
            tensorboard: None,
        };
        told(local::execute(&sweep, store, &options, &mut NoObserver));
    }
}

#[test]
fn any_sweep_is_shown_or_refused_and_nothing_outside_is_touched() {
    let mut place = Place::new(|name| !name.starts_with("cache"));
    let of_sweep = Path::new("sweeps").join(&world().sweep);
    let below = |room: &str| {
        let dir = of_sweep.join(room);
        let files = world().store.keys().filter(|name| name.starts_with(&dir));
        files.filter(|name| name.extension().is_some_and(|end| end == "json")).cloned().collect::<Vec<_>>()
    };
    let kinds = [vec![of_sweep.join("sweep.json")], below("runs"), below("live"), below("slurm")];
    let mut kinds = kinds.map(|names| {
        let seeds = Seeds::json(names.iter().map(|name| world().store[name].clone()).collect());
        (names, seeds)
    });
    let store = place.open().unwrap();
    let results = run_result::run_results(&Sweep::find("", &store).unwrap(), &store).unwrap();
    assert!(results.iter().all(|result| result.summary.is_some()), "what nobody changed is found");
    harness::run("sweep", 60, |random| {
        place.reset();
        for (n, (names, seeds)) in kinds.iter_mut().enumerate() {
            seeds.paths = place.paths();
            if random.chance(if n < 2 { 50 } else { 30 }) {
                let nth = random.below(names.len());
                let text = seeds.mutated_of(nth, random);
                harness::show(&names[nth].to_string_lossy(), &text);
                place.write(&names[nth], &text);
            }
        }
        if random.chance(15) {
            place.plant_link(random);
        }
        let Some(store) = place.open() else {
            place.check_outside();
            return;
        };
        use_sweeps(&store, random);
        place.check_outside();
    });
}
