//! Every reader of files over mutated ones: none may panic, abort, ask for a gigabyte, hang, or write or remove anything
//! outside the store. The files begin as what the program itself wrote; see `harness.rs` for how many cases there are
//! and how to see one of them.

#![cfg(unix)]

mod bytes;
mod harness;
mod meter;
mod place;
mod random;
mod readers;
mod seeds;
mod table;
mod told;
mod tree;
mod world;

mod checkpoint;
mod config;
mod datasets;
mod hashes;
mod lease;
mod mask;
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

use told::told;

#[global_allocator]
static METER: meter::Meter = meter::Meter;
