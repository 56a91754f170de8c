//! What the heads of a fine-tuned model attend to, beside those of the pre-trained one.

use super::files;
use crate::{
    error::{Error, Result},
    experiment::{
        Inputs,
        attention::{Counts, SHORTEST},
        stage::{Given, Identity, Known, Stage},
    },
    model::Workspace,
    store::{ATTENTION, StageWriter},
    train::Progress,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Its file: how often each head has each pattern.
pub const PATTERNS: &str = "patterns.json";

/// Looks at the attention of one fine-tuned model.
#[derive(Clone, Debug, Serialize)]
pub struct Attend {
    /// The node that fine-tunes the model.
    pub finetune: &'static str,
    /// Of the development set at most, the first ones that are long enough.
    pub examples: usize,
}

/// What [`PATTERNS`] holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Patterns {
    /// Numbers of the development examples.
    pub examples: Vec<usize>,
    pub finetuned: Counts,
    pub pretrained: Counts,
}

impl Stage for Attend {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.finetune, "finetune", &ATTENTION, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("attention over {} examples", self.examples)
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let finetuned = files::load_model(inputs, given.outcome(self.finetune)?)?;
        let pretrained = inputs.model.clone().build(inputs.head(), 0, true)?;
        let data = &inputs.dev;
        let is_long = |example: &usize| data.encoded[*example].ids.len() >= SHORTEST;
        let examples: Vec<usize> = (0..data.encoded.len()).filter(is_long).take(self.examples).collect();
        if examples.is_empty() {
            return Err(Error::data(format!(
                "no development example has {SHORTEST} tokens or more: shorter ones have no pattern. Raise data.max_length, or \
                 choose another task."
            )));
        }
        progress.begin(ATTENTION.name, 2 * examples.len() as u64);
        let mut workspace = Workspace::default();
        let mut done = 0;
        let mut counts = Vec::new();
        for bert in [&finetuned, &pretrained] {
            let mut of = Counts::of(bert);
            for example in &examples {
                if progress.stop_wanted() {
                    return Err(Error::stopped("between two examples, which begin anew"));
                }
                of.add(bert, data, *example, &mut workspace);
                done += 1;
                progress.step(done, "");
            }
            counts.push(of);
        }
        progress.end(&format!("{}: {} examples", given.id, examples.len()));
        let [finetuned, pretrained] = counts.try_into().expect("two models");
        files::write_json(out, PATTERNS, &Patterns { examples, finetuned, pretrained })?;
        Ok(json!({}))
    }
}
