//! The order of modes in tables: the ticket, then what it is compared with.

use crate::{choice::Choice, prune::Mode};

const FIRST: [Mode; 3] = [Mode::Good, Mode::Random, Mode::Bad];

/// A number that orders modes: good, random, bad, then the others as they are listed.
pub fn place(mode: &str) -> usize {
    let others = Mode::all().iter().filter(|mode| !FIRST.contains(mode));
    FIRST.iter().chain(others).position(|one| one.name() == mode).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_stands_between_good_and_bad_and_every_mode_has_a_place_of_its_own() {
        let mut names = Mode::names();
        names.sort_by_key(|name| place(name));
        assert_eq!(names[..3], ["good", "random", "bad"]);
        let places: Vec<usize> = names.iter().map(|name| place(name)).collect();
        assert_eq!(places, (0..names.len()).collect::<Vec<_>>());
    }
}
