//! What the mutated files begin as: files that the program itself wrote, of the smallest model and runs.

use lottery::{
    config::ExperimentConfig,
    experiment::{Experiment, run},
    model::{Bert, BertConfig, Head},
    ops::optimizer::{AdamW, Optimizer},
    prune::Mode,
    store::{Lock, StageId, Store, canonical_json},
    sweep::{
        Sweep,
        live::Live,
        slurm::{Array, Options, Submission},
        state::{State, Status},
    },
    task::TaskId,
    text::train_vocabulary,
    train::{Checkpoints, Silent, checkpoint::Position},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;

const WORDS: [&str; 8] = ["good", "bad", "film", "plot", "warm", "dull", "and", "the"];

/// Files by their path below a folder.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

pub struct World {
    pub model: Files,
    pub data: Files,
    /// A store with finished runs, their sweep, and a training that was interrupted.
    pub store: Files,
    pub configs: Vec<ExperimentConfig>,
    pub sweep: String,
}

/// Made once, and kept in memory.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(make)
}

/// A folder that needs no disk where the system has one in memory.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let in_memory = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder"))
}

pub fn write(dir: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}

pub fn tiny(vocabulary: usize) -> BertConfig {
    let mut config = BertConfig::of_shape(2, 8, 2, 8);
    config.vocab_size = vocabulary;
    config.max_position_embeddings = 16;
    config
}

/// Twelve rows of RTE.
pub fn rte(first: usize) -> String {
    let row = |n: usize| {
        let label = ["entailment", "not_entailment"][n % 2];
        format!("{n}\t{} {}\t{}\t{label}\n", WORDS[n % 8], WORDS[(n * 3) % 8], WORDS[(n * 5) % 8])
    };
    format!("index\tsentence1\tsentence2\tlabel\n{}", (first..first + 12).map(row).collect::<String>())
}

fn make() -> World {
    let root = folder();
    let (model_dir, data_dir) = (root.path().join("model"), root.path().join("glue"));
    let lines: Vec<&str> = WORDS.iter().chain(&WORDS).copied().collect();
    let vocabulary = train_vocabulary(&lines, 48, true).expect("a vocabulary");
    vocabulary.save(&model_dir, 16).expect("a tokenizer");
    let words = fs::read_to_string(model_dir.join("vocab.txt")).expect("a vocabulary").lines().count();
    let bert = Bert::random(tiny(words), Head::Classifier { labels: 2 }, 7);
    fs::write(model_dir.join("config.json"), bert.to_config_json(&[]).expect("a config")).expect("a file");
    fs::write(model_dir.join("model.safetensors"), bert.to_safetensors().expect("weights")).expect("a file");
    let data = [("RTE/train.tsv", rte(0)), ("RTE/dev.tsv", rte(12))];
    let data: Files = data.into_iter().map(|(name, text)| (name.into(), text.into_bytes())).collect();
    write(&data_dir, &data);

    let store = Store::open(&root.path().join("runs")).expect("a store");
    let configs = [Mode::Good, Mode::Full].map(|mode| settings(&model_dir, &data_dir, mode));
    let records = configs.each_ref().map(|config| record(config, &store));
    // What is mutated holds no path that exists, and nothing that is another the next time.
    let here = root.path().to_str().expect("a path in UTF-8").to_owned();
    let configs = configs.map(|config| moved(config, &here, "/nowhere")).to_vec();
    let sweep = Sweep::new("tiny", configs.clone(), &store).expect("a sweep");
    sweep.save().expect("a sweep");
    for (n, (run, path)) in sweep.runs.iter().zip(&records).enumerate() {
        let mut state = State::pending(&run.name);
        (state.status, state.attempts, state.seconds) = (Status::Done, 1, Some(0.5));
        state.record = Some(path.clone());
        if n > 0 {
            (state.status, state.exit_code, state.error) = (Status::Failed, Some(3), Some("no data".into()));
        }
        state.save(&sweep.dir).expect("a state");
        let live = Live { stage: "finetune".into(), done: 1, total: 2, eta: Some(3.5), ..Live::default() };
        let live = serde_json::to_vec(&live).expect("JSON");
        fs::write(Live::path(&sweep.dir, &run.name), live).expect("a report");
        let toml = toml::to_string(&run.config).expect("TOML");
        fs::write(sweep.dir.join("configs").join(format!("{}.toml", run.name)), toml).expect("a file");
        fs::write(sweep.log(run), "error: no data\n").expect("a log");
    }
    let slurm = sweep.dir.join("slurm/1");
    fs::create_dir_all(&slurm).expect("a folder");
    fs::write(slurm.join("submission.json"), serde_json::to_vec(&submission()).expect("JSON"))
        .expect("a file");
    checkpoint(&store);
    lease(&store);
    let sweep = sweep.id;
    let mut files = read(store.dir());
    for (name, bytes) in &mut files {
        // Other files of stages are as their hashes say.
        let is_free = !name.starts_with("stages") || name.ends_with("stage.json");
        let is_text = is_free && name.extension().is_some_and(|end| end == "json" || end == "lease");
        if is_text && let Ok(mut value) = serde_json::from_slice(bytes) {
            settle(&mut value, &here);
            *bytes = format!("{:#}\n", resealed(value)).into_bytes();
        }
    }
    World { model: read(&model_dir), data, store: files, configs, sweep }
}

/// Times, names of processes and paths, as they are not the same twice.
fn settle(value: &mut Value, here: &str) {
    match value {
        Value::String(text) => *text = text.replace(here, "/nowhere"),
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, here)),
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "directory" => *value = "/nowhere".into(),
                    "host" => *value = "host".into(),
                    "process" => *value = 4242.into(),
                    "name" if value.as_str().is_some_and(|name| name.len() == 16) => {
                        *value = "0123456789abcdef".into()
                    }
                    key if value.is_f64() && (key.contains("seconds") || key.ends_with("_s")) => {
                        *value = 0.5.into()
                    }
                    _ => settle(value, here),
                }
            }
        }
        _ => {}
    }
}

/// A `stage.json` that was changed, with the hash of itself that whoever changes it on purpose would give it.
pub fn resealed(mut manifest: Value) -> Value {
    if manifest.get("seal").is_none() {
        return manifest;
    }
    let mut bare = manifest.clone();
    bare.as_object_mut().expect("it has a key").remove("seal");
    let files =
        bare.get_mut("files").and_then(Value::as_object_mut).into_iter().flat_map(|files| files.values_mut());
    for facts in files.filter_map(Value::as_object_mut) {
        facts.retain(|key, _| key != "removed" && key != "others");
    }
    let text = canonical_json(&bare).expect("JSON");
    manifest["seal"] = blake3::hash(text.as_bytes()).to_hex().as_str().into();
    manifest
}

/// The settings with their paths below another folder.
pub fn moved(mut config: ExperimentConfig, from: &str, to: &str) -> ExperimentConfig {
    config.model = config.model.replace(from, to);
    config.data.dir = config.data.dir.map(|dir| dir.replace(from, to));
    config
}

fn settings(model: &Path, data: &Path, mode: Mode) -> ExperimentConfig {
    let mut config = ExperimentConfig::new(TaskId::Rte, model.to_string_lossy(), data.to_string_lossy());
    (config.mode, config.data.max_length) = (mode, 16);
    (config.train.epochs, config.train.batch_size) = (2, 8);
    // Nearly every mask is good enough: a ticket with something pruned.
    config.search.threshold = 0.1;
    config
}

fn record(config: &ExperimentConfig, store: &Store) -> PathBuf {
    let cache = store.dir().join("cache");
    let experiment = Experiment::load(config.clone(), Some(&cache), &mut Silent).expect("an experiment");
    run(&experiment, store, &mut Silent).expect("a run").1
}

fn submission() -> Submission {
    let array = Array { job: 12, cluster: None, elements: 2, script: "/nowhere/worker.sh".into() };
    Submission {
        format_version: 1,
        number: 1,
        submitted: 1_700_000_000,
        arrays: vec![array],
        jobs: Some(1),
        options: Options { workers: Some(2), time: Some("1:00:00".into()), ..Options::default() },
        folder: PathBuf::new(),
    }
}

/// The stage that was interrupted.
pub const UNFINISHED: &str = "retrain-0123456789ab";

fn checkpoint(store: &Store) {
    let id = StageId::parse(UNFINISHED).expect("an id");
    let dir = store.stage(&id).dir().join("checkpoint");
    fs::write(store.dir().join("locks").join(UNFINISHED), "").expect("a lock");
    let mut checkpoints = Checkpoints::new(dir, Duration::ZERO);
    let position = Position { step: 1, tokens: 8, seconds: 0.5, epoch_predictions: 8, ..Position::default() };
    let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
    checkpoints.save(&position, &[0.5; 4], &Optimizer::AdamW(adamw).state(4)).expect("a checkpoint");
}

/// As a process of this machine that was killed would leave it.
fn lease(store: &Store) {
    let lock = store.dir().join("locks").join(UNFINISHED);
    let held = Lock::at(&lock).expect("a lock").take().expect("a lock").expect("nobody else is here");
    let path = lock.with_extension("lease");
    let text = fs::read(&path).expect("a lease");
    drop(held);
    fs::write(path, text).expect("a lease");
}

pub fn read(dir: &Path) -> Files {
    let (mut files, mut folders) = (Files::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("it is below").to_owned();
                files.insert(name, fs::read(path).expect("a file"));
            }
        }
    }
    files
}
