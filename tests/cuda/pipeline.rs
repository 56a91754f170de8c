//! A whole experiment on the device: fine-tune, score, search, prune, rewind, retrain, and the record of it.

use std::path::Path;

use lottery::{
    config::Layers,
    engine::Machine,
    experiment::{self, Experiment},
    ops::cuda::Format,
    store::Store,
    train::Silent,
};
use serde_json::Value;

use crate::support::on_devices;

/// A few examples of the demo task; `settings` are set last.
pub fn experiment(settings: &[&str]) -> Experiment {
    let mut layers = Layers::new();
    let all = [
        "task=demo",
        "model=tiny",
        "mode=good",
        "data.train_limit=24",
        "data.dev_limit=6",
        "train.epochs=1",
        "train.batch_size=4",
        "run.device=cpu",
    ];
    for setting in all.iter().chain(settings) {
        layers.set(setting).unwrap();
    }
    Experiment::load(layers.resolve().unwrap(), None, &mut Silent).unwrap()
}

/// The logits of the development set that a stage of this record wrote.
pub fn logits(store: &Path, stage: &Value) -> Vec<f64> {
    let path = store.join("stages").join(stage.as_str().unwrap()).join("predictions.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.flat_map(|row| row["logits"].as_array().unwrap().clone()).map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn a_whole_experiment_on_the_device_agrees_with_the_cpus() {
    let dir = tempfile::tempdir().unwrap();
    let run = |experiment: &Experiment, name: &str| {
        let store = Store::open(&dir.path().join(name)).unwrap();
        let (record, _) = experiment::run(experiment, &store, &mut Silent).unwrap();
        serde_json::to_value(&record).unwrap()
    };
    let mut experiment = experiment(&[]);
    let expected = run(&experiment, "cpu");
    on_devices("a_whole_experiment_on_the_device", |gpu, format| {
        // An emulation needs half a minute for one.
        if format != Format::F32 {
            return Ok(());
        }
        experiment.inputs.machine = Machine::Cuda { gpu: gpu.clone(), format };
        let name = format!("{} {format:?}", gpu.description());
        let found = run(&experiment, &name);
        assert_eq!((&found["device"]["kind"], &found["device"]["kernels"]), (&"cuda".into(), &"cuda".into()));
        let stage = &expected["stages"]["finetune"];
        let (ours, theirs) = (logits(&dir.path().join("cpu"), stage), logits(&dir.path().join(&name), stage));
        for (a, b) in theirs.iter().zip(&ours) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
        for key in ["full", "ticket", "pruned", "stages"] {
            assert_eq!(found[key], expected[key], "{key}");
        }
        assert!(found["retrained"]["metrics"]["accuracy"].is_number(), "{found}");
        Ok(())
    });
}
