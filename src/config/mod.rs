//! What a run means: typed settings, where they came from, and the presets named after papers.
//!
//! Layers, each overriding the one before: defaults < preset < file < flags and `--set`.

mod about;
mod essential;
mod experiment;
mod init;
mod keys;
mod kind;
mod layers;
mod per_task;
mod preset;
mod split;

pub use about::{Key, keys, keys_of, unset};
pub use essential::{essential, essential_section, filled};
pub use experiment::{
    DataConfig, ExperimentConfig, ImportanceConfig, RunConfig, Section, SeedsConfig, SharedConfig,
    TrainConfig,
};
pub use init::Init;
pub use keys::key_of_flag;
pub use layers::{Layers, canonical, is_sweep, leaves, parse as parse_toml, typed, without_nulls};
pub use preset::{DEFAULT_PRESET, EMBEDDED_PRESET, Preset, preset, presets};
pub use split::Split;

pub use crate::model::tiny::NAME as EMBEDDED_MODEL;
