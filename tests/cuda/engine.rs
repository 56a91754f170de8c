//! Whole passes and steps on the device against the CPU's.

use std::{ops::Range, rc::Rc};

use lottery::{
    engine::{Goal, Machine, StepStats, Update},
    error::Result,
    model::{
        Bert, BertConfig, Ffn, Gates, Head, LayerShape,
        family::{BERT, DISTILBERT, Family, ROBERTA},
    },
    ops::{
        activation::Activation,
        cuda::{Format, Gpu},
        dropout::DropoutPlan,
        loss::Targets,
        optimizer::{AdamW, Optimizer},
        pending::Pending,
    },
};

use crate::{
    packed::{Packed, config, random_bert_with},
    support::{in_formats, on_devices},
};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });
const UPDATE: Update = Update { learning_rate: 1e-3, clip: 1.0 };

fn cuda(gpu: &Rc<dyn Gpu>, format: Format) -> Machine {
    Machine::Cuda { gpu: gpu.clone(), format }
}

/// Three layers that have all units, some, only one kind of them, and some neurons.
fn shapes() -> [Vec<LayerShape>; 4] {
    let layer = |heads: &[usize], ffn: bool| LayerShape { heads: heads.to_vec(), ffn: ffn.into() };
    let some = |heads: &[usize], neurons: &[usize]| LayerShape {
        heads: heads.to_vec(),
        ffn: Ffn::Neurons(neurons.to_vec()),
    };
    [
        vec![layer(&[0, 1, 2], true); 3],
        vec![layer(&[1], true), layer(&[0, 2], false), layer(&[], true)],
        vec![layer(&[], false), layer(&[2], true), layer(&[0, 1], false)],
        vec![some(&[1], &[0, 1, 2, 40, 41, 77, 79]), some(&[], &[]), some(&[0, 2], &[7])],
    ]
}

fn bert(shape: &[LayerShape], head: Head, seed: u64) -> Bert {
    random_bert_with(config(3, 48, 3, 80), shape.to_vec(), head, seed)
}

fn batch(bert: &Bert, labels: usize) -> Packed {
    Packed::random(&bert.config, &[5, 1, 33, 18], labels, 3)
}

fn plan(step: u32) -> DropoutPlan {
    DropoutPlan { seed: 5, step, hidden: 0.1, attention: 0.2, classifier: 0.1 }
}

/// ‖a - b‖ is at most this part of ‖b‖: 1e-4 in f32, 1e-2 in TensorFloat-32. In bf16 5e-2, since the roundings of three layers come together,
/// each of whose operations is within 2e-2 by itself.
fn assert_near(found: &[f32], expected: &[f32], format: Format, what: &str) {
    assert_within(found, expected, limit(format), what);
}

fn limit(format: Format) -> f64 {
    match format {
        Format::F32 => 1e-4,
        Format::Tf32 => 1e-2,
        Format::Bf16 => 5e-2,
    }
}

fn assert_within(found: &[f32], expected: &[f32], limit: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    let size = norm(&mut expected.iter().map(|v| f64::from(*v)));
    assert!(difference <= limit * size + 1e-7, "{what}: {:.2e} of {size:.2e}", difference / size);
}

#[test]
fn logits_and_gate_gradients_are_the_cpus() {
    on_devices("logits_and_gate_gradients", |gpu, format| {
        for (n, shape) in shapes().iter().enumerate() {
            for head in [Head::Classifier { labels: 3 }, Head::Classifier { labels: 1 }, Head::Spans] {
                let bert = bert(shape, head, 7);
                let packed = batch(&bert, bert.labels());
                let gates = (n == 0).then(|| Gates {
                    heads: [1.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0, 1.0].to_vec(),
                    ffns: [1.0, 0.5, 0.0].to_vec(),
                });
                for gates in [None, gates.as_ref()] {
                    let what = format!("{format:?} shape {n}, {head:?}, gates {}", gates.is_some());
                    let mut theirs = cuda(gpu, format).reader(&bert)?;
                    let mut ours = Machine::default().reader(&bert)?;
                    let expected = ours.logits(&packed.input(), gates)?.wait()?;
                    let logits = theirs.logits(&packed.input(), gates)?.wait()?;
                    assert_near(&logits, &expected, format, &what);
                    let targets = packed.targets_of(&bert);
                    let (logits, found) =
                        theirs.gate_gradients(&packed.input(), Goal::Labels(targets), gates)?.wait()?;
                    assert_near(&logits, &expected, format, &what);
                    let (_, wanted) =
                        ours.gate_gradients(&packed.input(), Goal::Labels(targets), gates)?.wait()?;
                    let (_, norms) =
                        theirs.squared_norms(&packed.input(), Goal::Labels(targets), gates)?.wait()?;
                    let (_, of_cpu) =
                        ours.squared_norms(&packed.input(), Goal::Labels(targets), gates)?.wait()?;
                    for (l, (a, b)) in norms.layers.iter().zip(&of_cpu.layers).enumerate() {
                        assert_near(&a.heads, &b.heads, format, &format!("{what}: ‖head‖² of layer {l}"));
                        assert_near(&a.ffn, &b.ffn, format, &format!("{what}: ‖FFN‖² of layer {l}"));
                    }
                    assert_eq!(found.layers.len(), wanted.layers.len());
                    for (l, (a, b)) in found.layers.iter().zip(&wanted.layers).enumerate() {
                        assert_near(&a.heads, &b.heads, format, &format!("{what}: heads of layer {l}"));
                        assert_near(&a.ffn, &b.ffn, format, &format!("{what}: FFN of layer {l}"));
                    }
                }
            }
        }
        Ok(())
    });
}

/// The loss, the norm and, from the first moments after one step without clipping, the gradient of every tensor.
fn assert_step_agrees(
    gpu: &Rc<dyn Gpu>,
    format: Format,
    bert: &Bert,
    packed: &Packed,
    goal: Goal,
    what: &str,
) -> Result<()> {
    let plan = plan(3);
    let update = Update { clip: 0.0, ..UPDATE };
    let start = || OPTIMIZER.state(bert.params.data.len());
    let mut ours = Machine::default().trainer(bert.clone(), start(), None)?;
    let mut theirs = cuda(gpu, format).trainer(bert.clone(), start(), None)?;
    let tell = |what: &str, found: &[f32], expected: &[f32]| {
        let layout = &bert.params.layout;
        let of_shift = |entry: &Range<usize>| {
            let last = layout.layers.last().map(|slots| &slots.ffn_beta);
            bert.head == Head::Spans && (*entry == layout.classifier_bias || Some(entry) == last)
        };
        for entry in &layout.entries {
            let at = entry.range.clone();
            // Exactly 0 by the mathematics: a shift of all scores of a query, or of all logits of a sequence's column.
            let is_zero =
                entry.name.ends_with(&format!("{}.bias", bert.config.family.qkv[1])) || of_shift(&at);
            if !is_zero {
                // The gradients by a sequence's span logits sum to 0, and small sums of large numbers are what is left;
                // ReLU's slope jumps where a rounding crosses 0.
                let spans = if bert.head == Head::Spans { 3.0 } else { 1.0 };
                let relu = if bert.config.activation == Activation::Relu { 2.0 } else { 1.0 };
                let (limit, what) = (spans * relu * limit(format), format!("{what}: {}", entry.name));
                assert_within(&found[at.clone()], &expected[at], limit, &what);
            }
        }
    };
    // Without dropout and without a step; nothing of it is left in the step that follows.
    {
        let (_, expected) = ours.weight_gradient(&packed.input(), goal)?.wait()?;
        let (_, found) = theirs.weight_gradient(&packed.input(), goal)?.wait()?;
        tell(&format!("{what}, without dropout"), &found, &expected);
        let (_, by_reader) =
            cuda(gpu, format).reader(bert)?.weight_gradient(&packed.input(), goal)?.wait()?;
        assert_eq!(by_reader, found);
    }
    let expected = ours.step(&packed.input(), goal, &plan, &update)?.wait()?;
    let found = theirs.step(&packed.input(), goal, &plan, &update)?.wait()?;
    assert_near(&[found.loss as f32], &[expected.loss as f32], format, &format!("{what}: loss"));
    assert_near(&[found.norm as f32], &[expected.norm as f32], format, &format!("{what}: norm"));
    let (ours, theirs) = (ours.state()?, theirs.state()?);
    tell(what, &theirs.1.slots()[0].values, &ours.1.slots()[0].values);
    assert_eq!(theirs.1.steps, 1);
    Ok(())
}

#[test]
fn gradients_of_all_tensors_are_the_cpus() {
    in_formats(&[Format::F32, Format::Tf32, Format::Bf16], "gradients_of_all_tensors", |gpu, format| {
        for (n, shape) in shapes().iter().enumerate() {
            for head in [Head::Classifier { labels: 2 }, Head::Classifier { labels: 1 }, Head::Spans] {
                let bert = bert(shape, head, 11);
                let packed = batch(&bert, bert.labels());
                let goal = Goal::Labels(packed.targets_of(&bert));
                assert_step_agrees(gpu, format, &bert, &packed, goal, &format!("{format:?} shape {n}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_masked_lm_head_is_the_cpus() {
    on_devices("the_masked_lm_head", |gpu, format| {
        let bert = bert(&shapes()[0], Head::MaskedLm, 13);
        let packed = batch(&bert, 2);
        let goal = Goal::MaskedTokens { rows: &packed.masked, words: &packed.words };
        assert_step_agrees(gpu, format, &bert, &packed, goal, &format!("{format:?} masked LM"))?;
        let mut theirs = cuda(gpu, format).reader(&bert)?;
        let found = theirs.predictions(&packed.input(), &packed.masked, &packed.words)?.wait()?;
        let mut ours = Machine::default().reader(&bert)?;
        let expected = ours.predictions(&packed.input(), &packed.masked, &packed.words)?.wait()?;
        let losses =
            |all: &[lottery::ops::loss::Prediction]| all.iter().map(|p| p.loss as f32).collect::<Vec<_>>();
        assert_near(&losses(&found), &losses(&expected), format, "losses");
        if format == Format::F32 {
            assert!(found.iter().zip(&expected).all(|(a, b)| a.correct == b.correct));
        }
        let (outputs, found) = theirs.gate_gradients(&packed.input(), goal, None)?.wait()?;
        let (_, wanted) = ours.gate_gradients(&packed.input(), goal, None)?.wait()?;
        let of_outputs: Vec<f32> = outputs.iter().step_by(2).copied().collect();
        assert_near(&of_outputs, &losses(&expected), format, "losses beside gate gradients");
        let (_, norms) = theirs.squared_norms(&packed.input(), goal, None)?.wait()?;
        let (_, of_cpu) = ours.squared_norms(&packed.input(), goal, None)?.wait()?;
        for (what, theirs, ours) in [("gates", found, wanted), ("norms", norms, of_cpu)] {
            for (l, (a, b)) in theirs.layers.iter().zip(&ours.layers).enumerate() {
                assert_near(&a.heads, &b.heads, format, &format!("masked LM, {what}: heads of layer {l}"));
                assert_near(&a.ffn, &b.ffn, format, &format!("masked LM, {what}: FFN of layer {l}"));
            }
        }
        Ok(())
    });
}

#[test]
fn other_families_are_the_cpus() {
    static OTHER: Family = Family { position_offset: 2, token_types: None, pooler: None, ..BERT };
    on_devices("other_families", |gpu, format| {
        let families = [
            (&OTHER, Activation::Gelu),
            (&ROBERTA, Activation::GeluTanh),
            (&DISTILBERT, Activation::Relu),
            (&BERT, Activation::Relu),
        ];
        let heads = [Head::Classifier { labels: 2 }, Head::MaskedLm, Head::Spans];
        for ((family, activation), head) in families.into_iter().flat_map(|f| heads.map(|head| (f, head))) {
            let config = BertConfig { family, activation, ..config(3, 48, 3, 80) };
            let bert = random_bert_with(config, shapes()[0].clone(), head, 23);
            let packed = batch(&bert, 2);
            assert!(packed.segments.contains(&1), "some families have no row for it");
            let goal = match head {
                Head::Classifier { .. } | Head::Spans => Goal::Labels(packed.targets_of(&bert)),
                Head::MaskedLm => Goal::MaskedTokens { rows: &packed.masked, words: &packed.words },
            };
            assert_step_agrees(
                gpu,
                format,
                &bert,
                &packed,
                goal,
                &format!("{format:?} {} {head:?}", family.model_type),
            )?;
        }
        Ok(())
    });
}

#[test]
fn some_steps_lead_where_the_cpus_lead_and_a_stopped_training_goes_on_bit_for_bit() {
    on_devices("some_steps", |gpu, format| {
        let bert = bert(&shapes()[1], Head::Classifier { labels: 2 }, 17);
        let packed = batch(&bert, 2);
        let goal = Goal::Labels(packed.targets(2));
        let (machine, start) = (cuda(gpu, format), || OPTIMIZER.state(bert.params.data.len()));
        let steps = |machine: &Machine, bert: Bert, state, steps: std::ops::Range<u32>| {
            let mut engine = machine.trainer(bert, state, None)?;
            let outcomes = steps.map(|n| engine.step(&packed.input(), goal, &plan(n), &UPDATE));
            // All steps are asked for before anybody waits.
            let outcomes = outcomes.collect::<Result<Vec<Pending<StepStats>>>>()?;
            let outcomes: Vec<StepStats> = outcomes.into_iter().map(Pending::wait).collect::<Result<_>>()?;
            let state = engine.state()?.1.clone();
            Ok((engine.finish()?, state, outcomes))
        };
        let (expected, ..) = steps(&Machine::default(), bert.clone(), start(), 0..4)?;
        let (whole, state, outcomes) = steps(&machine, bert.clone(), start(), 0..4)?;
        // What four steps changed, not what was there before.
        let changed = |trained: &Bert| -> Vec<f32> {
            trained.params.data.iter().zip(&bert.params.data).map(|(a, b)| a - b).collect()
        };
        let (found, wanted) = (changed(&whole), changed(&expected));
        let norm = |v: &[f32]| v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let difference: Vec<f32> = found.iter().zip(&wanted).map(|(a, b)| a - b).collect();
        // AdamW's first steps have the size of the learning rate however small a gradient is, so a rounding may turn
        // one round where nothing but rounding is left of the gradient.
        let limit = if format == Format::F32 { 2e-2 } else { 0.3 };
        assert!(norm(&difference) < limit * norm(&wanted), "{} of {}", norm(&difference), norm(&wanted));
        assert!(outcomes[3].loss < outcomes[0].loss);

        let (half, between, _) = steps(&machine, bert.clone(), start(), 0..2)?;
        let (again, state_again, _) = steps(&machine, half, between, 2..4)?;
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again.params.data), bits(&whole.params.data));
        assert_eq!(state_again, state);
        Ok(())
    });
}

#[test]
fn neither_a_step_whose_loss_is_no_number_nor_those_behind_it_change_anything() {
    on_devices("a_step_whose_loss_is_no_number", |gpu, format| {
        let bert = bert(&shapes()[1], Head::Classifier { labels: 2 }, 19);
        let packed = batch(&bert, 2);
        let right = Goal::Labels(packed.targets(2));
        // A class that there is none of has no loss.
        let wrong = Goal::Labels(Targets::Classes(&[0, 1, 2, 0]));
        let trainer =
            || cuda(gpu, format).trainer(bert.clone(), OPTIMIZER.state(bert.params.data.len()), None);
        let mut engine = trainer()?;
        let goals = [right, wrong, right, right];
        let outcomes: Vec<Pending<StepStats>> = goals
            .iter()
            .zip(0..)
            .map(|(goal, n)| engine.step(&packed.input(), *goal, &plan(n), &UPDATE))
            .collect::<Result<_>>()?;
        let logits = engine.logits(&packed.input(), None)?;
        let outcomes: Vec<StepStats> = outcomes.into_iter().map(Pending::wait).collect::<Result<_>>()?;
        assert!(outcomes[0].loss.is_finite() && outcomes[0].norm.is_finite());
        assert!(outcomes[1].loss.is_nan() && outcomes[1].norm.is_nan());

        let mut expected = trainer()?;
        let known = expected.step(&packed.input(), right, &plan(0), &UPDATE)?.wait()?;
        assert_eq!(known, outcomes[0]);
        assert_eq!(logits.wait()?, expected.logits(&packed.input(), None)?.wait()?);
        expected.state()?;

        let told = "the loss or the gradient of a step is not a finite number: training diverged";
        assert_eq!(engine.state().unwrap_err().to_string(), told);
        assert_eq!(engine.finish().unwrap_err().to_string(), told);
        Ok(())
    });
}
