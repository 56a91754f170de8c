//! A task as a small value.

/// A task by its short name, which is also how it is written in configs and records; a user's task is written there as
/// its whole [`Definition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskId {
    Cola,
    Sst2,
    Mrpc,
    Stsb,
    Qqp,
    Mnli,
    Qnli,
    Rte,
    Wnli,
    Snli,
    Scitail,
    SickE,
    SickR,
    Hans,
    Ax,
    Squad,
    /// Reads the text files that the settings name.
    Mlm,
    /// Generated; reads no files.
    Demo,
    /// Read from a file of the user's.
    User(UserTask),
}

/// The number of a user's task that this process has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserTask(pub(super) u32);
