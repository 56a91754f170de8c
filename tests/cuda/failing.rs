//! A device that fails in the middle of a run: nothing half-written stays, and the run can be taken up again.

use std::{cell::Cell, path::Path, rc::Rc};

use lottery::{
    engine::Machine,
    error::{Error, Result},
    experiment,
    ops::cuda::{Argument, Format, Gpu},
    store::Store,
    train::Silent,
};

use crate::{
    altered::Altered,
    pipeline::{experiment, logits},
    support::devices,
};

fn take(left: &Cell<usize>, wanted: usize, what: &str) -> Result<()> {
    let rest = left.get().checked_sub(wanted).ok_or_else(|| Error::internal(what))?;
    left.set(rest);
    Ok(())
}

/// A device that takes so many kernels, or gives so much memory, and no more.
fn failing(gpu: &Rc<dyn Gpu>, launches: usize, bytes: usize) -> Rc<dyn Gpu> {
    let (launches, bytes) = (Cell::new(launches), Cell::new(bytes));
    Rc::new(Altered {
        gpu: gpu.clone(),
        allocate: move |wanted| take(&bytes, wanted, "no memory is left"),
        launch: move |_: &dyn Gpu, _: &str, _: &[Argument]| take(&launches, 1, "the device is lost"),
    })
}

/// The stages in a store that are whole, and the files that are not anybody's.
fn left_behind(store: &Path) -> (usize, Vec<String>) {
    let (mut whole, mut temporary, mut folders) = (0, Vec::new(), vec![store.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            whole += usize::from(name == "stage.json");
            if name.contains(".tmp") {
                temporary.push(name);
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    (whole, temporary)
}

#[test]
fn a_run_whose_device_fails_leaves_nothing_half_written_and_goes_on_bit_for_bit() {
    let mut experiment =
        experiment(&["mode=full", "run.checkpoint_every=0", "data.train_limit=12", "data.dev_limit=4"]);
    let dir = tempfile::tempdir().unwrap();
    for (n, gpu) in devices("a_run_whose_device_fails").into_iter().enumerate() {
        let path = dir.path().join(n.to_string());
        let mut run = |name: &str, launches: usize, bytes: usize| {
            let gpu = failing(&gpu, launches, bytes);
            experiment.inputs.machine = Machine::Cuda { gpu, format: Format::F32 };
            let store = Store::open(&path.join(name)).unwrap();
            experiment::run(&experiment, &store, &mut Silent).map(|(record, _)| record)
        };
        let refused = run("broken", usize::MAX, 12 << 20).unwrap_err();
        assert_eq!(refused.to_string(), "no memory is left");
        assert_eq!(left_behind(&path.join("broken")), (0, vec![]));

        // In the middle of the steps: a checkpoint stays.
        let lost = run("broken", 190, usize::MAX).unwrap_err();
        assert_eq!(lost.to_string(), "the device is lost");
        assert_eq!(left_behind(&path.join("broken")), (0, vec![]));
        let again = run("broken", usize::MAX, usize::MAX).unwrap();
        let whole = run("whole", usize::MAX, usize::MAX).unwrap();
        assert_eq!(again.full.metrics, whole.full.metrics);
        let stage = serde_json::json!(whole.stages["finetune"]);
        assert_eq!(logits(&path.join("broken"), &stage), logits(&path.join("whole"), &stage));
        let info = path.join("broken/stages").join(stage.as_str().unwrap()).join("stage.json");
        let info: serde_json::Value = serde_json::from_slice(&std::fs::read(info).unwrap()).unwrap();
        assert!(info["seconds_before"].as_f64().unwrap() > 0.0, "it began anew: {info}");
    }
}
