//! Leases beside locks, and what was left over a take-over.

use super::{
    harness,
    place::Place,
    told,
    tree::Seeds,
    world::{UNFINISHED, world},
};
use lottery::{
    store::{Lock, lease},
    sweep::gc::collect,
};
use std::path::Path;

#[test]
fn any_lease_is_taken_over_or_respected_and_nothing_outside_is_touched() {
    let mut place = Place::new(|name| name.starts_with("locks"));
    let name = format!("locks/{UNFINISHED}.lease");
    let own = world().store[Path::new(&name)].clone();
    let text = String::from_utf8(own.clone()).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&text).unwrap();
    (other["machine"], other["patience"]) = ("another".into(), 0.into());
    let mut seeds = Seeds::json(vec![own, other.to_string().into_bytes()]);
    harness::run("lease", 40, |random| {
        place.reset();
        seeds.paths = place.paths();
        let text = seeds.mutated(random);
        harness::show("lease", &text);
        place.write(&name, &text);
        if random.chance(30) {
            // Of somebody who died over taking it over.
            let token = seeds.mutated(random);
            place.write(format!("locks/{UNFINISHED}.after-nobody-0"), &token);
        }
        if random.chance(10) {
            place.plant_link(random);
        }
        let Some(store) = place.open() else {
            place.check_outside();
            return;
        };
        let path = place.dir().join("locks").join(UNFINISHED);
        let _ = lease::is_held(&path);
        match random.below(4) {
            0 => drop(told(collect(&store, super::stage::keep(random), true))),
            _ => {
                if let Some(mut lock) = told(Lock::at(&path)) {
                    for _ in 0..3 {
                        if let Some(Some(lease)) = told(lock.take()) {
                            place.write(&name, &seeds.mutated(random));
                            told(lease.check());
                            break;
                        }
                    }
                }
            }
        }
        place.check_outside();
    });
}
