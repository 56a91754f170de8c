//! Ticket files, which come from other machines.

use super::{bytes, harness, told, world::world};
use lottery::experiment::{TicketFile, ticket::Ticket};
use serde_json::{Value, json};
use std::path::Path;

/// The file of the ticket in the store.
fn exported() -> Vec<u8> {
    let (_, text) = world().store.iter().find(|(name, _)| name.ends_with("ticket.json")).unwrap();
    let mut search: Value = serde_json::from_slice(text).unwrap();
    let ticket: Ticket = serde_json::from_value(search.clone()).unwrap();
    ["heads", "ffns", "steps"].iter().for_each(|key| _ = search.as_object_mut().unwrap().remove(*key));
    let about = json!({
        "format_version": 1, "lottery_version": "0.1.0", "task": "sst2", "metric": "accuracy", "mode": "good",
        "seed": 1, "preset": null, "scores": {}, "config": null, "stages": {}, "search": search,
        "base": { "name": "model", "revision": null, "sha256": "0".repeat(64), "layers": ticket.layers,
            "heads": ticket.heads_per_layer, "hidden": 8, "ffn": 16 },
    });
    TicketFile::bytes(&ticket.mask, &serde_json::from_value(about).unwrap()).unwrap()
}

#[test]
fn any_ticket_file_is_taken_up_or_refused() {
    let own = exported();
    let path = Path::new("ticket.safetensors");
    assert_eq!(TicketFile::parse(path, &own).unwrap().about.task, "sst2");
    harness::run("ticket file", 20, |random| {
        let mut file = own.clone();
        bytes::mutate(&mut file, &own, random);
        harness::show("ticket.safetensors", &file);
        let Some(found) = told(TicketFile::parse(path, &file)) else { return };
        told(found.ticket());
        // What was read is a mask that can be written and read again.
        let again = TicketFile::bytes(&found.mask, &found.about).unwrap();
        assert_eq!(TicketFile::parse(path, &again).unwrap().mask, found.mask);
    });
}
