//! The kinds of stages, with what the store and the display of stages need to know about each.

/// A kind of stage. Its name is the first part of the ids of its stages.
#[derive(Debug, PartialEq, Eq)]
pub struct StageKind {
    pub name: &'static str,
    pub weights: Weights,
    /// Prefix of the names of its scalars in TensorBoard.
    pub scalars: &'static str,
}

/// Whether stages of a kind have weights, and whether these may be removed to save disk space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    None,
    /// May be removed; a run that needs them restores them by training, bit for bit.
    Restorable,
    /// Always kept: no run could restore them, since their training data is not in the store.
    Kept,
}

pub static FINETUNE: StageKind =
    StageKind { name: "finetune", weights: Weights::Restorable, scalars: "train" };
pub static SEARCH: StageKind = StageKind { name: "search", weights: Weights::None, scalars: "search" };
/// Scores of all units, of which searches at several levels choose.
pub static SCORE: StageKind = StageKind { name: "score", weights: Weights::None, scalars: "search" };
pub static EVALUATE: StageKind = StageKind { name: "evaluate", weights: Weights::None, scalars: "eval" };
pub static RETRAIN: StageKind =
    StageKind { name: "retrain", weights: Weights::Restorable, scalars: "retrain" };
/// A ticket from a file, in the place of a search.
pub static TICKET: StageKind = StageKind { name: "ticket", weights: Weights::None, scalars: "search" };
pub static PRETRAIN: StageKind = StageKind { name: "pretrain", weights: Weights::Kept, scalars: "train" };
/// Scores of all units by several criteria.
pub static IMPORTANCE: StageKind =
    StageKind { name: "importance", weights: Weights::None, scalars: "importance" };
/// Scores of a fine-tuned model with parts of it changed.
pub static ABLATE: StageKind = StageKind { name: "ablate", weights: Weights::None, scalars: "ablate" };
/// What the heads of a fine-tuned model attend to.
pub static ATTENTION: StageKind =
    StageKind { name: "attention", weights: Weights::None, scalars: "attention" };

/// An encoder that several tasks share, with the classifiers of all.
pub static SHARED: StageKind = StageKind { name: "shared", weights: Weights::Restorable, scalars: "shared" };

static KINDS: [&StageKind; 11] = [
    &SHARED,
    &FINETUNE,
    &SCORE,
    &SEARCH,
    &EVALUATE,
    &RETRAIN,
    &PRETRAIN,
    &TICKET,
    &IMPORTANCE,
    &ABLATE,
    &ATTENTION,
];

impl StageKind {
    /// The kind of this name; `None` if it is from another version.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The kind of the stage of this id.
    pub fn of(id: &str) -> Option<&'static Self> {
        Self::named(id.rsplit_once('-')?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_name_alone() {
        for kind in KINDS {
            assert!(std::ptr::eq(StageKind::named(kind.name).unwrap(), kind));
            assert!(std::ptr::eq(StageKind::of(&format!("{}-0123456789ab", kind.name)).unwrap(), kind));
        }
        assert_eq!((StageKind::named("fine"), StageKind::of("finetune")), (None, None));
    }
}
