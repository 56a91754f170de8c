//! `ticket.json` and `metrics.json` of finished stages, whose hashes fit them.

use super::{
    harness,
    place::Place,
    told,
    tree::Seeds,
    world::{self, world},
};
use lottery::{
    experiment::{Experiment, plan, run},
    train::Silent,
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[test]
fn any_ticket_and_any_metrics_are_gone_on_from_or_refused() {
    let folder = world::folder();
    let here = folder.path().to_str().unwrap();
    world::write(&folder.path().join("model"), &world().model);
    world::write(&folder.path().join("glue"), &world().data);
    let config = world::moved(world().configs[0].clone(), "/nowhere", here);
    let experiment = Experiment::load(config, None, &mut Silent).unwrap();
    let mut place = Place::new(|name| !name.starts_with("sweeps"));
    let store = place.open().unwrap();
    // Without a change everything is found.
    let plan_of_all = plan(&experiment, &store).unwrap();
    let found = plan_of_all.iter().filter(|line| line.contains("in the store")).count();
    assert_eq!(found, 4, "{plan_of_all:?}");
    let wanted = ["ticket.json", "metrics.json"];
    let names: Vec<PathBuf> = world()
        .store
        .keys()
        .filter(|name| wanted.iter().any(|wanted| name.ends_with(wanted)))
        .cloned()
        .collect();
    let mut seeds = Seeds::json(names.iter().map(|name| world().store[name].clone()).collect());
    harness::run("ticket", 20, |random| {
        place.reset();
        seeds.paths = place.paths();
        // Of the search every other time.
        let ticket = names.iter().position(|name| name.ends_with("ticket.json")).unwrap();
        let nth = if random.chance(60) { ticket } else { random.below(names.len()) };
        let text = seeds.mutated_of(nth, random);
        harness::show(&names[nth].to_string_lossy(), &text);
        place.write(&names[nth], &text);
        let manifest = names[nth].with_file_name("stage.json");
        let mut value: Value = serde_json::from_slice(&world().store[&manifest]).unwrap();
        let name = names[nth].file_name().unwrap().to_str().unwrap();
        value["files"][name] = json!({"size": text.len(), "blake3": blake3::hash(&text).to_hex().as_str()});
        place.write(&manifest, world::resealed(value).to_string().as_bytes());
        let Some(store) = place.open() else {
            place.check_outside();
            return;
        };
        told(plan(&experiment, &store));
        if let Some((record, _)) = told(run(&experiment, &store, &mut Silent)) {
            serde_json::to_string(&record).unwrap();
        }
        place.check_outside();
    });
}
