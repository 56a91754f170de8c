//! Many runs: a grid of settings, the runs that it describes, and their execution, each in a process of its own, on
//! this machine or by workers on a Slurm cluster.
//!
//! ```text
//! <store>/sweeps/<id>/sweep.json            all runs with their settings
//! <store>/sweeps/<id>/runs/<run>.json       a run's state; absent while it is pending
//! <store>/sweeps/<id>/configs/<run>.toml    the settings that its process reads
//! <store>/sweeps/<id>/live/<run>.json       its progress while it runs
//! <store>/sweeps/<id>/logs/<run>.log        its stderr
//! <store>/sweeps/<id>/slurm/                the submissions to a cluster
//! <store>/sweeps/<id>/cancel                the last request to stop
//! <store>/locks/run-<hash12>                held by the process that executes the run, in any sweep
//! ```

pub mod cancel;
pub mod estimate;
pub mod gc;
pub mod grid;
mod job;
pub mod live;
pub mod local;
pub mod lone;
mod options;
mod pace;
pub mod plan;
mod process;
pub mod records;
pub mod run_result;
mod sharing;
pub mod slurm;
pub mod state;
pub mod status;

pub use grid::Grid;
pub use options::Options;
pub use plan::{Run, Sweep};
