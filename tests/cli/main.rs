//! The real binary, driven from outside: a random BERT of a few thousand weights and generated task files in the GLUE
//! layout, so that every run trains, scores, searches and retrains for real within a second.

mod adaptation;
mod analyses;
mod bad_data;
mod bad_model;
mod bad_settings;
mod bad_store;
#[cfg(unix)]
mod by_hand;
mod clock;
mod cluster_examples;
mod content;
mod demo;
mod docs;
mod encoders;
mod eval;
mod events;
mod export;
mod finetuned;
mod fixture;
mod gc;
mod gc_debris;
#[cfg(unix)]
mod gc_processes;
mod generate;
#[cfg(unix)]
mod hostile_store;
mod keep;
mod methods;
mod modes;
mod near_misses;
mod output;
mod overlap;
mod pretrain;
mod processes;
mod recipe;
mod registry;
mod report;
mod reproduce;
mod resume;
mod reuse;
mod rounds;
mod schema;
#[cfg(target_os = "linux")]
mod share;
mod shared;
mod slurm;
mod slurm_elements;
mod slurm_real;
mod snapshots;
mod spans;
mod status;
mod sweep;
mod sweep_kills;
mod tasks;
mod tensorboard;
#[cfg(target_os = "linux")]
mod terminal;
mod ticket;
mod tokenizers;
mod user_tasks;
mod validator;
mod words;
mod worker;
