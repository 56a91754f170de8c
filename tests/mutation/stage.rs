//! `stage.json` and the files it names; links where a store has folders.

use super::{
    harness,
    place::Place,
    random::Random,
    told,
    tree::Seeds,
    world::{UNFINISHED, resealed, world},
};
use lottery::{
    error::Error,
    store::{Availability, Begin, Done, Keep, StageId, Store},
    sweep::gc::collect,
};
use serde_json::{Value, json};
use std::path::Path;

pub fn keep(random: &mut Random) -> Keep {
    *random.of_list(&[Keep::Models, Keep::Tickets, Keep::None])
}

fn stays_away(_: &StageId) -> lottery::error::Result<()> {
    Err(Error::stopped("waiting"))
}

fn read(done: &Done, random: &mut Random) {
    let files = done.files();
    for name in &files {
        let path = done.path(name).ok();
        told(done.verified_path(name));
        let _ = (path, done.is_removed(name));
    }
    if !files.is_empty() {
        let name: &String = random.of_list(&files);
        told(done.read_json::<Value>(name));
    }
    told(done.read_json::<Value>("metrics.json"));
}

fn use_stage(store: &Store, id: &StageId, random: &mut Random) {
    match random.below(6) {
        0 => {
            if let Some(Some(done)) = told(store.stage(id).load()) {
                read(&done, random);
            }
        }
        1 => match told(store.begin(id, &mut stays_away)) {
            Some(Begin::Done(done)) => read(&done, random),
            Some(Begin::Compute(writer)) => {
                told(writer.write("metrics.json", b"{}"));
                told(writer.finish(json!({"seconds": 1})));
            }
            None => {}
        },
        2 => {
            let name = *random.of_list(&["model.safetensors", "metrics.json", "../../../victim/keep.txt"]);
            match told(store.pin_or_restore(id, name, &mut stays_away)) {
                Some(Availability::Pinned(pinned)) => read(pinned.done(), random),
                Some(Availability::Removed(restore)) => drop(told(restore.finish(b"others", "me"))),
                None => {}
            }
        }
        3 => drop(told(store.trim([id.as_str()], keep(random)))),
        4 => {
            if let Some(done) = Done::of_folder(store.stage(id).dir()) {
                read(&done, random);
            }
        }
        _ => {
            let really = random.chance(80);
            if let Some(gc) = told(collect(store, keep(random), really)) {
                for text in &gc.damaged {
                    told::<()>(Err(Error::data(text)));
                }
            }
        }
    }
}

#[test]
fn any_stage_is_used_or_refused_and_nothing_outside_is_touched() {
    let mut place = Place::new(|name| !name.starts_with("cache"));
    let ids: Vec<StageId> = place.stages().iter().filter_map(|name| StageId::parse(name)).collect();
    let manifest = |id: &StageId| Path::new("stages").join(id.as_str()).join("stage.json");
    let done: Vec<&StageId> = ids.iter().filter(|id| id.as_str() != UNFINISHED).collect();
    let mut seeds = Seeds::json(done.iter().map(|id| world().store[&manifest(id)].clone()).collect());
    let store = place.open().unwrap();
    assert!(done.iter().all(|id| store.stage(id).load().unwrap().is_some()), "what nobody changed is whole");
    harness::run("stage", 80, |random| {
        place.reset();
        seeds.paths = place.paths();
        let nth = random.below(done.len());
        let id = done[nth];
        if random.chance(85) {
            let mut text = seeds.mutated_of(nth, random);
            if random.chance(60)
                && let Ok(value) = serde_json::from_slice(&text)
            {
                text = resealed(value).to_string().into_bytes();
            }
            harness::show(id.as_str(), &text);
            place.write(manifest(id), &text);
        }
        if random.chance(30) {
            place.plant_link(random);
        }
        let Some(store) = place.open() else {
            place.check_outside();
            return;
        };
        for _ in 0..1 + random.below(3) {
            let id = if random.chance(80) { id } else { random.of_list(&ids) };
            use_stage(&store, id, random);
        }
        place.check_outside();
    });
}
