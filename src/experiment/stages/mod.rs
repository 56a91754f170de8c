//! The stages, one file each, and the files that several of them write.

mod ablate;
mod attend;
mod evaluate;
mod files;
mod gradual;
mod importance;
mod level;
mod magnitude;
mod of_shared;
mod score;
mod search;
mod start;
mod subnetwork;
mod take_finetuned;
mod take_up;
mod train;
mod train_shared;

pub use ablate::{ABLATIONS, Ablate, Ablations};
pub use attend::{Attend, PATTERNS, Patterns};
pub use evaluate::Evaluate;
pub use files::{
    METRICS, Metrics, PREDICTIONS, answers_by_id, metrics, predictions, scores, write_json, write_model,
};
pub use gradual::Gradual;
pub use importance::{Importance, SCORES, Scores, SplitScores, Units};
pub use level::Level;
pub use magnitude::{Magnitude, USUAL};
pub use of_shared::OfShared;
pub use score::{SCORED, Score};
pub use search::Search;
pub use start::Start;
pub use subnetwork::Subnetwork;
pub use take_finetuned::TakeFinetuned;
pub use take_up::TakeUp;
pub use train::Train;
pub use train_shared::{Member, TrainShared};
