//! What a step leaves behind in the gradient.

use lottery::{
    engine::{Goal, Machine, Update},
    model::Head,
    ops::{
        dropout::DropoutPlan,
        optimizer::{AdamW, Optimizer},
    },
};

use crate::{
    packed::{Packed, config, random_bert_with},
    support::on_devices,
};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });

#[test]
fn what_a_step_left_in_the_gradient_is_not_in_the_next_ones() {
    on_devices("what a step left", |gpu, format| {
        for head in [Head::MaskedLm, Head::Classifier { labels: 2 }, Head::Spans] {
            let config = config(2, 48, 3, 80);
            let shape = config.full_shape();
            let bert = random_bert_with(config, shape, head, 19);
            let packed = Packed::random(&bert.config, &[5, 1, 33, 18], 2, 3);
            let goal = match head {
                Head::MaskedLm => Goal::MaskedTokens { rows: &packed.masked, words: &packed.words },
                Head::Classifier { .. } | Head::Spans => Goal::Labels(packed.targets_of(&bert)),
            };
            // Weights that stay as they are have the same gradient g each time, so that the first moment is
            // m = (1 - β) g and then β m + (1 - β) g.
            let update = Update { learning_rate: 0.0, clip: 0.0 };
            let plan = DropoutPlan { seed: 5, step: 3, hidden: 0.1, attention: 0.2, classifier: 0.1 };
            let state = OPTIMIZER.state(bert.params.data.len());
            let mut engine = Machine::Cuda { gpu: gpu.clone(), format }.trainer(bert, state, None)?;
            let mut step = || {
                engine.step(&packed.input(), goal, &plan, &update)?.wait()?;
                Ok::<_, lottery::error::Error>(engine.state()?.1.slots()[0].values.clone())
            };
            let (once, twice) = (step()?, step()?);
            let [beta, ..] = OPTIMIZER.numbers(0.0, 1);
            let expected: Vec<f32> = once.iter().map(|m| beta.mul_add(*m, *m)).collect();
            assert!(once.iter().any(|m| *m != 0.0));
            assert_eq!(twice, expected, "{format:?} {head:?}");
        }
        Ok(())
    });
}
