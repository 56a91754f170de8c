//! The hub client against servers on this machine that do what servers must not do. Two ports are two hosts: whatever
//! happens, the one that is not the hub never sees the token.

mod content;
mod default_run;
mod names;
mod patience;
mod processes;
mod python;
mod server;
mod token;
mod world;
