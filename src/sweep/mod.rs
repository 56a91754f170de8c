//! Many runs: a grid of settings, the plan that it makes, and its execution, each run in a process of its own:
//! on this machine, or by workers on a Slurm cluster.
//!
//! ```text
//! <store>/sweeps/<id>/sweep.json            the runs, complete
//! <store>/sweeps/<id>/runs/<run>.json       how one stands; none while it is pending
//! <store>/sweeps/<id>/configs/<run>.toml    what its process was given
//! <store>/sweeps/<id>/live/<run>.json       the stage it is in, while it runs
//! <store>/sweeps/<id>/logs/<run>.log        its stderr
//! <store>/sweeps/<id>/slurm/                what was submitted to a cluster
//! <store>/locks/run-<hash12>                held by whoever computes the run, in whichever sweep
//! ```

pub mod estimate;
pub mod fate;
pub mod gc;
pub mod grid;
mod job;
pub mod live;
pub mod local;
mod options;
pub mod plan;
mod process;
pub mod records;
mod sharing;
pub mod slurm;
pub mod state;
pub mod status;

pub use grid::Grid;
pub use options::Options;
pub use plan::{Run, Sweep};
