//! Records of runs.

use super::{harness, place::Place, readers, sweep::use_sweeps, told, tree::Seeds, world::world};
use std::path::Path;

#[test]
fn any_record_is_shown_or_passed_over_and_nothing_outside_is_touched() {
    let mut place = Place::new(|name| !name.starts_with("cache"));
    let names: Vec<_> = world().store.keys().filter(|name| name.starts_with("results")).cloned().collect();
    let mut seeds = Seeds::json(names.iter().map(|name| world().store[name].clone()).collect());
    harness::run("record", 40, |random| {
        place.reset();
        seeds.paths = place.paths();
        let mut places = Vec::new();
        for _ in 0..1 + random.below(2) {
            let nth = random.below(names.len());
            let text = seeds.mutated_of(nth, random);
            harness::show(&names[nth].to_string_lossy(), &text);
            let beside = ["seed-1337.0123456789ab.json", "seed-1 (1).json", "x.json"];
            let place_of = match random.below(3) {
                0 => names[nth].with_file_name(random.of_list(&beside)),
                _ => names[nth].clone(),
            };
            place.write(&place_of, &text);
            places.push(place_of);
        }
        if random.chance(15) {
            place.plant_link(random);
        }
        let Some(store) = place.open() else {
            place.check_outside();
            return;
        };
        if random.chance(30) {
            places.iter().for_each(|name| readers::record(&place.dir().join(name), &store));
        }
        use_sweeps(&store, random);
        if random.chance(30) {
            // A run that ends writes its own where this one lies.
            let own = String::from_utf8_lossy(place.file(&names[0])).into_owned();
            told(store.write_record(&place.dir().join(Path::new(&names[0])), &own));
        }
        place.check_outside();
    });
}
