//! Every reader of files over mutated ones: none may panic, abort, ask for a gigabyte, hang, or write or remove anything
//! outside the store. The files begin as what the program itself wrote; see `harness.rs` for how many cases there are
//! and how to see one of them.

#![cfg(unix)]

mod bytes;
mod harness;
mod meter;
mod place;
mod random;
mod table;
mod tree;
mod world;

mod checkpoint;
mod config;
mod datasets;
mod hashes;
mod lease;
mod record;
mod settings;
mod squad;
mod stage;
mod sweep;
mod text;
mod ticket;
mod ticket_file;
mod tokenizer;
mod torch;
mod tsv;
mod weights;

#[global_allocator]
static METER: meter::Meter = meter::Meter;

/// Texts of errors are short, and a terminal shows them as they are.
fn told<T>(outcome: lottery::error::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let text = error.to_string();
            harness::show("told", text.as_bytes());
            if text.len() > 8192 {
                harness::fault("an error's text is too long", text);
            }
            if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                harness::fault("an error's text has control characters", text);
            }
            None
        }
    }
}
