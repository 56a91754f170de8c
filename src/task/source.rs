//! Where the registered tasks' data are on the Hugging Face hub, at the revisions that the program uses.

use super::TaskId;
use crate::choice::Choice;

/// A task's files in a data set on the hub. The revision is a commit, so that they are the same for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `owner/name@revision`
    pub name: &'static str,
    /// The files of the training and development sets.
    pub files: Vec<String>,
    /// Those of the unlabelled test sets.
    pub test_files: Vec<String>,
    /// Examples of the training and development sets.
    pub examples: &'static [usize],
}

const SNLI: &str = "stanfordnlp/snli@cdb5c3d5eed6ead6e5a341c8e56e669bb666725b";
const SQUAD: &str = "rajpurkar/squad@7b6d24c440a36b6815f21b70d25016731768db1f";
const GLUE: &str = "nyu-mll/glue@bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c";

/// The files of one folder of a data set, each split in one Parquet file.
fn source(
    name: &'static str,
    folder: &str,
    dev: &[&str],
    test: &[&str],
    examples: &'static [usize],
) -> Option<Source> {
    let file = |split: &&str| format!("{folder}/{split}-00000-of-00001.parquet");
    let files = ["train"].iter().chain(dev).map(file).collect();
    Some(Source { name, files, test_files: test.iter().map(file).collect(), examples })
}

impl TaskId {
    /// The nine tasks of GLUE.
    pub fn glue() -> Vec<Self> {
        let of_glue = |task: &Self| task.source().is_some_and(|source| source.name.contains("/glue@"));
        <Self as Choice>::all().iter().copied().filter(of_glue).collect()
    }

    /// Where its data are on the hub.
    pub fn source(self) -> Option<Source> {
        let glue = |examples| source(GLUE, self.spec().name, &["validation"], &["test"], examples);
        match self {
            Self::Cola => glue(&[8551, 1043]),
            Self::Sst2 => glue(&[67349, 872]),
            Self::Mrpc => glue(&[3668, 408]),
            Self::Stsb => glue(&[5749, 1500]),
            Self::Qqp => glue(&[363_846, 40430]),
            Self::Mnli => source(
                GLUE,
                "mnli",
                &["validation_matched", "validation_mismatched"],
                &["test_matched", "test_mismatched"],
                &[392_702, 9815, 9832],
            ),
            Self::Qnli => glue(&[104_743, 5463]),
            Self::Rte => glue(&[2490, 277]),
            Self::Wnli => glue(&[635, 71]),
            // Without the pairs that have no label.
            Self::Snli => source(SNLI, "plain_text", &["validation"], &["test"], &[549_367, 9842]),
            Self::Squad => source(SQUAD, "plain_text", &["validation"], &[], &[87_599, 10_570]),
            // On the hub only in formats of others, or as a program.
            Self::Scitail | Self::SickE | Self::SickR | Self::Hans | Self::Ax => None,
            Self::Mlm | Self::Demo | Self::User(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_a_file_and_a_number_of_examples_for_every_labelled_split() {
        let source = TaskId::Mnli.source().unwrap();
        assert_eq!(source.files[1], "mnli/validation_matched-00000-of-00001.parquet");
        assert_eq!((source.files.len(), source.examples.len(), source.test_files.len()), (3, 3, 2));
        let rte = TaskId::Rte.source().unwrap();
        assert_eq!(rte.files, ["rte/train-00000-of-00001.parquet", "rte/validation-00000-of-00001.parquet"]);
        assert_eq!((rte.examples, TaskId::Demo.source()), (&[2490, 277][..], None));
    }
}
