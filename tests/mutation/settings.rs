//! TOML: settings, and the files of sweeps.

use super::{harness, told, tree::Seeds, world};
use lottery::{
    config::{ExperimentConfig, Layers},
    experiment::run_name,
    store::Store,
    sweep::{Grid, Sweep, slurm},
};
use std::{fs, path::Path};

/// The TOML files of a folder of the repository.
fn files(dir: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let toml = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "toml"));
    toml.map(|path| fs::read(path).unwrap()).collect()
}

fn resolved(mut layers: Layers) -> Option<ExperimentConfig> {
    told(layers.value_below("task", "rte", "--task"));
    told(layers.value_below("model", "m", "--model"));
    told(layers.value_below("data.dir", "d", "--data"));
    told(layers.resolve())
}

#[test]
fn any_settings_are_read_or_refused() {
    let folder = world::folder();
    let path = folder.path().join("settings.toml");
    let mut texts = files("configs");
    let given =
        world::world().store.iter().filter(|(name, _)| name.extension().is_some_and(|end| end == "toml"));
    texts.extend(given.map(|(_, text)| text.clone()));
    let seeds = Seeds::toml(texts);
    let json = Seeds::json(world::world().configs.iter().map(|c| serde_json::to_vec(c).unwrap()).collect());
    harness::run("settings", 80, |random| {
        // As records and sweeps hold them.
        if random.chance(20) {
            let text = json.mutated(random);
            harness::show("settings", &text);
            if let Ok(config) = serde_json::from_slice::<ExperimentConfig>(&text) {
                told(config.validate());
                told(run_name(&config));
            }
            return;
        }
        let text = seeds.mutated(random);
        harness::show("settings.toml", &text);
        fs::write(&path, &text).unwrap();
        let mut layers = Layers::new();
        if told(layers.file(&path)).is_some()
            && let Some(config) = resolved(layers)
        {
            told(config.validate()).expect("what was resolved is valid");
            told(run_name(&config));
        }
        let assignment = String::from_utf8_lossy(&text);
        told(Layers::new().set(assignment.lines().find(|line| line.contains('=')).unwrap_or_default()));
    });
}

#[test]
fn any_file_of_a_sweep_is_read_or_refused() {
    let folder = world::folder();
    let path = folder.path().join("sweep.toml");
    let store = Store::at(folder.path()).unwrap();
    let mut texts = files("configs/sweeps");
    let with_slurm = "[grid]\nseed = [1, 2]\nmode = ['good', 'bad']\n[[exclude]]\nseed = 1\nmode = 'bad'\n\
        [[include]]\nseed = 3\n[slurm]\nworkers = 2\ntime = '1-02:00:00'\nmem = '4G'\ngres = 'gpu:2'\n\
        stop_before = 60\nsbatch_args = ['--nice']\nsetup = ['module load x']\n";
    texts.push(with_slurm.into());
    let seeds = Seeds::toml(texts);
    harness::run("grid", 40, |random| {
        let text = seeds.mutated(random);
        harness::show("sweep.toml", &text);
        fs::write(&path, text).unwrap();
        let Some((grid, mut rest)) = told(Grid::read(&path)) else { return };
        if let Some(toml::Value::Table(options)) = rest.remove("slurm") {
            told(slurm::Options::of_table(&options, "file x").map(|options| {
                let _ = (options.stop_before(), options.gpu_request(), options.directives());
                told(options.seconds());
            }));
        }
        let mut base = Layers::new();
        if told(base.table(&rest, "file x")).is_none() {
            return;
        }
        let below = |layers: &mut Layers| {
            layers.value_below("task", "rte", "--task")?;
            layers.value_below("model", "m", "--model")?;
            layers.value_below("data.dir", "d", "--data")
        };
        if let Some(runs) = told(grid.runs(&base, below))
            && let Some(sweep) = told(Sweep::new("x", runs, &store))
        {
            told(sweep.varying());
        }
    });
}
