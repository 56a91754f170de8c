//! The command line: the only place that knows clap.

pub mod args;
