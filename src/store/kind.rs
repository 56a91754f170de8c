//! The kinds of stages: what the store, and whoever shows a stage, must know of each.

/// A kind of stage; its name begins the ids of its stages.
#[derive(Debug, PartialEq, Eq)]
pub struct StageKind {
    pub name: &'static str,
    pub weights: Weights,
    /// What the names of its scalars begin with in TensorBoard.
    pub scalars: &'static str,
}

/// Whether stages of a kind have weights, and whether these may be removed to save room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    None,
    /// A run that needs removed ones trains them once more, bit for bit.
    Restorable,
    /// No run can train them once more: what they were trained on is not in the store.
    Kept,
}

pub static FINETUNE: StageKind =
    StageKind { name: "finetune", weights: Weights::Restorable, scalars: "train" };
pub static SEARCH: StageKind = StageKind { name: "search", weights: Weights::None, scalars: "search" };
pub static EVALUATE: StageKind = StageKind { name: "evaluate", weights: Weights::None, scalars: "eval" };
pub static RETRAIN: StageKind =
    StageKind { name: "retrain", weights: Weights::Restorable, scalars: "retrain" };
pub static PRETRAIN: StageKind = StageKind { name: "pretrain", weights: Weights::Kept, scalars: "train" };

static KINDS: [&StageKind; 5] = [&FINETUNE, &SEARCH, &EVALUATE, &RETRAIN, &PRETRAIN];

impl StageKind {
    /// None for a kind of another version.
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
