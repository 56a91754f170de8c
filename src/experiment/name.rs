//! Names of nodes that are numbered: by a seed, or by a round.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// `search_42`. A program uses few such names, and each is kept once for as long as it runs.
pub fn numbered(name: &str, number: u64) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let full = format!("{name}_{number}");
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(full.as_str()) {
        Some(known) => known,
        None => {
            let name: &'static str = Box::leak(full.into_boxed_str());
            names.insert(name);
            name
        }
    }
}
