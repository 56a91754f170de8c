//! Masks and ticket files with sites of every kind, as the program writes them.

use super::world::world;
use lottery::{
    experiment::{TicketFile, ticket::Ticket},
    prune::{Bits, Mask, MaskText, Site},
};
use serde_json::{Value, json};

fn every_third(len: usize) -> Bits {
    (0..len).map(|n| n % 3 != 0).collect()
}

/// Heads and FFNs of two layers with two heads, and neurons, blocks and weights.
fn of_every_kind() -> Mask {
    let tensor = || "bert.pooler.dense.weight".to_owned();
    Mask::full(2, 2)
        .with(Site::Heads(0), every_third(2))
        .with(Site::Neurons(1), every_third(8))
        .with(Site::Blocks { tensor: tensor(), size: [4, 4] }, every_third(4))
        .with(Site::Weights(tensor()), every_third(64))
}

/// A mask's JSON and the file beside it: of heads and FFNs alone, and of every kind.
pub fn masks() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let both = |mask: &Mask| {
        let text = serde_json::to_vec(&MaskText::from(mask)).expect("JSON");
        (text, mask.to_packed().expect("a mask is written"))
    };
    vec![both(&Mask::full(3, 4)), both(&of_every_kind())]
}

/// The file of the ticket in the store, and one of every kind.
pub fn ticket_files() -> Vec<Vec<u8>> {
    let (_, text) =
        world().store.iter().find(|(name, _)| name.ends_with("ticket.json")).expect("a ticket in the store");
    let mut search: Value = serde_json::from_slice(text).expect("JSON");
    let ticket: Ticket = serde_json::from_value(search.clone()).expect("a ticket");
    ["heads", "ffns", "steps"].iter().for_each(|key| _ = search.as_object_mut().unwrap().remove(*key));
    let about = json!({
        "format_version": 1, "lottery_version": "0.1.0", "task": "sst2", "metric": "accuracy", "mode": "good",
        "seed": 1, "preset": null, "scores": {}, "config": null, "stages": {}, "search": search,
        "base": { "name": "model", "revision": null, "sha256": "0".repeat(64), "layers": ticket.layers,
            "heads": ticket.heads_per_layer, "hidden": 8, "ffn": 8 },
    });
    let about = serde_json::from_value(about).expect("what a ticket file says");
    [ticket.mask, of_every_kind()].map(|mask| TicketFile::bytes(&mask, &about).expect("a file")).into()
}
