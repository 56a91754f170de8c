//! One labelled row of a task.

/// What the model is to predict: a class index into the task's label names, or a similarity score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    Class(u32),
    Score(f32),
}

/// One sentence, or a pair of sentences, with its label. The texts are as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub first: String,
    pub second: Option<String>,
    pub label: Label,
}
