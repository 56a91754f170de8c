//! What a run means: typed settings, where they came from, and the presets named after papers.
//!
//! Layers, each overriding the one before: defaults < preset < file < flags and `--set`.

mod essential;
mod experiment;
mod init;
mod keys;
mod layers;
mod preset;
mod split;

pub use essential::{essential, essential_section, filled};
pub use experiment::{
    DataConfig, ExperimentConfig, ImportanceConfig, RunConfig, Section, SeedsConfig, TrainConfig,
};
pub use init::Init;
pub use layers::{Layers, canonical, leaves, parse as parse_toml, typed};
pub use preset::{DEFAULT_PRESET, EMBEDDED_PRESET, Preset, preset, presets};
pub use split::Split;

pub use crate::model::tiny::NAME as EMBEDDED_MODEL;
