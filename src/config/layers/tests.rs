use std::collections::BTreeSet;

use super::*;
use crate::{
    config::{Split, presets},
    engine::Device,
    prune::{Estimator, PrunedUnits, RandomRule, Sparsity, WeightSet},
    train::{Batches, Schedule, Select},
};

fn base() -> Layers {
    let mut layers = Layers::new();
    layers.value("task", "rte", "--task").unwrap();
    layers.value("model", "minilm", "--model").unwrap();
    layers.value("data.dir", "glue", "--data").unwrap();
    layers
}

fn set(assignment: &str) -> Result<ExperimentConfig> {
    let mut layers = base();
    layers.set(assignment)?;
    layers.resolve()
}

fn refusal(assignment: &str) -> String {
    let error = set(assignment).expect_err(assignment);
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_list_of_keys_is_exactly_what_a_config_holds() {
    let mut config = ExperimentConfig::new(TaskId::Rte, "m", "d");
    config.preset = Some("small".into());
    config.ticket = Some("t".into());
    config.ticket_from = Some(TaskId::Mrpc);
    config.prune.sparsity = Some(Sparsity::units(0.5));
    config.prune.level = Some(1);
    (config.shared.learning_rate, config.shared.finetune_learning_rate) = (Some(1e-4), Some(1e-4));
    config.prune.weights = Some(WeightSet::Chen);
    config.prune.initial = Some(0.5);
    config.finetuned = Some("f".into());
    (config.data.text, config.data.dev_text) = (Some("a".into()), Some("b".into()));
    config.data.train_limit = Some(1);
    config.data.dev_limit = Some(1);
    config.train.classifier_dropout = Some(0.2);
    config.run.threads = Some(1);
    config.seeds.order = Some(1);
    config.seeds.init = Some(1);
    (config.seeds.dropout, config.seeds.data) = (Some(1), Some(1));
    let table = as_table(&config).unwrap();
    let held: BTreeSet<_> = leaves(&table).into_iter().map(|(key, _)| key).collect();
    let listed: BTreeSet<_> = KEYS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(held, listed);
    config.validate().unwrap();
}

#[test]
fn the_defaults_are_the_recipe_of_the_default_preset() {
    let mut expected = ExperimentConfig::new(TaskId::Rte, "minilm", "glue");
    expected.preset = Some(DEFAULT_PRESET.into());
    assert_eq!(base().resolve().unwrap(), expected);
}

#[test]
fn every_preset_resolves_and_says_all_of_its_recipe() {
    // What follows another setting where it has no value.
    let recipe = |key: &str| {
        key != "train.classifier_dropout"
            && ["train.", "importance.", "search.", "control."].iter().any(|section| key.starts_with(section))
    };
    for preset in presets() {
        let mut layers = base();
        layers.value("preset", preset.name, "--preset").unwrap();
        let config = layers.resolve().unwrap();
        assert_eq!(config.preset.as_deref(), Some(preset.name));
        config.validate().unwrap();
        let table: Table = preset.toml.parse().unwrap();
        let said: BTreeSet<_> = leaves(&table).into_iter().map(|(key, _)| key).collect();
        for (key, ..) in KEYS.iter().filter(|(key, ..)| recipe(key)) {
            assert!(said.contains(*key), "{} does not say {key}", preset.name);
        }
    }
}

#[test]
fn the_parity_preset_differs_from_the_paper_only_where_the_code_does() {
    let mut layers = base();
    layers.value("preset", "prasanna2020-code", "--preset").unwrap();
    let code = layers.resolve().unwrap();
    let paper = base().resolve().unwrap();
    assert_eq!((code.importance.estimator, code.search.stale), (Estimator::Cumulative, true));
    assert_eq!(
        (code.importance.pruned_units, code.control.random),
        (PrunedUnits::Included, RandomRule::Bernoulli)
    );
    assert_eq!(code.train, paper.train);
    assert_eq!(code.data, paper.data);
}

#[test]
fn a_preset_has_settings_for_single_tasks_below_the_users() {
    let resolved = |preset: &str, task: &str, set: Option<&str>| {
        let mut layers = base();
        layers.value("preset", preset, "--preset").unwrap();
        layers.value("task", task, "--task").unwrap();
        set.iter().for_each(|set| layers.set(set).unwrap());
        layers.resolve().unwrap().train
    };
    for preset in ["liang2021", "liang2021-code"] {
        let of = |task| {
            let train = resolved(preset, task, None);
            (train.epochs, train.classifier_dropout())
        };
        assert_eq!(["RTE", "CoLA", "MNLI", "qnli"].map(of), [(6, 0.1), (6, 0.05), (3, 0.2), (3, 0.1)]);
        let set = resolved(preset, "cola", Some("train.classifier_dropout=0.3"));
        assert_eq!((set.dropout, set.classifier_dropout()), (0.1, 0.3));
        assert_eq!(resolved(preset, "rte", Some("train.dropout=0.3")).classifier_dropout(), 0.3);
    }
    assert_eq!(resolved("prasanna2020", "mnli", None).epochs, 3);
    // A name of a task or a key that is none would be passed over.
    for preset in presets() {
        let table: Table = preset.toml.parse().unwrap();
        for (task, own) in table.get("tasks").and_then(Value::as_table).into_iter().flatten() {
            assert!(TaskId::names().contains(&task.as_str()), "{task}");
            Layers::new().table(own.as_table().unwrap(), preset.name).unwrap();
        }
    }
}

#[test]
fn liangs_code_differs_from_the_paper_in_what_is_listed() {
    let [paper, code] = ["liang2021", "liang2021-code"].map(|preset| {
        let mut layers = base();
        layers.value("preset", preset, "--preset").unwrap();
        layers.resolve().unwrap()
    });
    let mut as_code = paper.clone();
    as_code.preset.clone_from(&code.preset);
    (as_code.train.schedule, as_code.train.batches) = (Schedule::Liang2021, Batches::Contiguous);
    (as_code.train.select, as_code.importance.estimator) = (Select::BestEpoch, Estimator::TokenCumulative);
    as_code.control.random = RandomRule::Replacement;
    assert_eq!(as_code, code);
    assert_eq!((paper.data.max_length, paper.importance.split), (512, Split::AllTrain));
}

#[test]
fn flags_override_the_file_which_overrides_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, "preset = 'small'\n[train]\nepochs = 7\nlearning_rate = 3e-5\n").unwrap();
    let mut layers = base();
    layers.file(&path).unwrap();
    layers.set("train.epochs=9").unwrap();
    let config = layers.resolve().unwrap();
    assert_eq!(config.preset.as_deref(), Some("small"));
    assert_eq!((config.train.epochs, config.train.learning_rate), (9, 3e-5));
    let small = presets().iter().find(|preset| preset.name == "small").unwrap();
    let small: Table = small.toml.parse().unwrap();
    assert_eq!(Some(config.train.warmup), small["train"]["warmup"].as_float());
}

#[test]
fn set_reads_toml_values_and_bare_words() {
    assert_eq!(set("train.learning_rate=1").unwrap().train.learning_rate, 1.0);
    assert_eq!(set("train.learning_rate = 5e-5").unwrap().train.learning_rate, 5e-5);
    assert_eq!(set("importance.split=train").unwrap().importance.split, Split::AllTrain);
    assert!(set("search.stale=true").unwrap().search.stale);
    assert_eq!(set("importance.split=heldout:0.1").unwrap().importance.split, Split::Heldout(0.1));
    assert_eq!(set("run.device='cuda:1'").unwrap().run.device, Device::Cuda(1));
    assert_eq!(set("model=1337").unwrap().model, "1337");
    assert_eq!(set("model=a=b").unwrap().model, "a=b");
    assert_eq!(set("task=SST-2").unwrap().task, TaskId::Sst2);
    assert_eq!(set("task=STS_B").unwrap().task, TaskId::Stsb);
    assert_eq!(set("seeds.dropout=7").unwrap().dropout_seed(), 7);
}

#[test]
fn an_unknown_key_is_answered_with_its_origin_and_the_nearest_key() {
    for (given, near) in [
        ("train.learning_rat=1", "train.learning_rate?"),
        ("learning_rate=1", "train.learning_rate or shared.learning_rate?"),
        ("learnig_rate=1", "train.learning_rate?"),
        ("trian.epochs=1", "train.epochs?"),
        ("batch_size=1", "train.batch_size or importance.batch_size?"),
        ("data=glue", "data.dir, data.text, data.dev_text, data.max_length"),
        ("tasks=rte", "task?"),
    ] {
        let message = refusal(given);
        assert!(message.contains(near) && message.contains(&format!("--set {given}")), "{message}");
    }
    assert!(!refusal("qqqqqq=1").contains("Did you mean"));
    assert!(refusal("train.epochs").contains("KEY=VALUE"));

    let folder = tempfile::tempdir().unwrap();
    for (text, key) in [
        ("[trian]\n", "trian"),
        ("[task]\nname = 1", "no definition of a task"),
        ("[train]\nlr = 1\n", "train.lr"),
    ] {
        let path = folder.path().join("mine.toml");
        fs::write(&path, text).unwrap();
        let message = base().file(&path).unwrap_err().to_string();
        assert!(message.contains(key) && message.contains("mine.toml"), "{message}");
    }
}

#[test]
fn a_value_of_the_wrong_type_or_range_is_refused_with_what_was_expected() {
    for wrong in [
        "train.batch_size=0",
        "train.batch_size=32.0",
        "train.batch_size=many",
        "train.batch_size=[1]",
        "train.learning_rate=0",
        "train.learning_rate=-1e-5",
        "train.learning_rate=nan",
        "train.learning_rate=inf",
        "train.epochs=0",
        "train.dropout=1.0",
        "train.attention_dropout=-0.1",
        "train.warmup=1.5",
        "train.weight_decay=-1",
        "train.clip=0",
        "train.beta2=1",
        "train.epsilon=0",
        "data.max_length=7",
        "data.train_limit=0",
        "data.fraction=0",
        "data.fraction=1.5",
        "train.optimizer=sgd",
        "search.threshold=0",
        "search.threshold=1.1",
        "search.head_step=0",
        "search.stale=1",
        "importance.split=train:0",
        "importance.split=heldout:1",
        "importance.estimator=exmple",
        "control.random=exactly",
        "run.device=gpu",
        "run.dtype=f16",
        "run.threads=0",
        "seed=-1",
        "seed=1.5",
        "mode=god",
        "task=mnlli",
        "model=\"\"",
    ] {
        let message = refusal(wrong);
        let key = wrong.split('=').next().unwrap();
        assert!(message.starts_with(key) && message.contains("expected"), "{message}");
    }
    assert!(refusal("mode=god").contains("Did you mean good?"));
    assert!(refusal("importance.estimator=exmple").contains("Did you mean example?"));
    let message = refusal("search.threshold=1.1");
    assert!(message.contains("above 0 and at most 1"), "{message}");
}

#[test]
fn a_run_without_a_task_is_refused_and_model_and_data_have_defaults() {
    let without = |key: &str| {
        let mut layers = base();
        layers.values.remove(key);
        layers.resolve()
    };
    let error = without("task").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--task"), "{error}");
    assert!(without("model").unwrap().model.starts_with("google-bert/bert-base-uncased@"));
    assert_eq!(without("data.dir").unwrap().data.dir, None);
    let small = base_without_model("small");
    assert!(small.model.starts_with("sentence-transformers/all-MiniLM-L6-v2@"), "{}", small.model);
}

fn base_without_model(preset: &str) -> ExperimentConfig {
    let mut layers = base();
    layers.values.remove("model");
    layers.value("preset", preset, "--preset").unwrap();
    layers.resolve().unwrap()
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let missing = base().file(&path).unwrap_err();
    fs::write(&path, "[train\n").unwrap();
    let broken = base().file(&path).unwrap_err();
    for error in [missing, broken] {
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("mine.toml"), "{error}");
    }
}

#[test]
fn a_config_built_in_code_is_checked_by_the_same_rules() {
    let mut config = ExperimentConfig::new(TaskId::Rte, "m", "d");
    config.train.learning_rate = f64::NAN;
    assert!(config.validate().unwrap_err().to_string().contains("train.learning_rate"));
    config = ExperimentConfig::new(TaskId::Rte, "m", "d");
    config.seed = u64::MAX;
    assert_eq!(config.validate().unwrap_err().exit_code(), 2);
    assert!(
        ExperimentConfig::new(TaskId::Rte, "", "d").validate().unwrap_err().to_string().contains("model")
    );
}

#[test]
fn the_settings_of_another_task_are_what_the_preset_has_for_it_and_the_users_stay() {
    let of = |preset: &str, task: &str, sets: &[&str]| {
        let mut layers = base();
        layers.value("preset", preset, "--preset").unwrap();
        layers.value("task", task, "--task").unwrap();
        sets.iter().for_each(|set| layers.set(set).unwrap());
        layers.resolve().unwrap()
    };
    let own = ["data.text=a.txt", "seed=7", "train.epochs=5"];
    for (preset, task, other) in [
        ("liang2021", "rte", "cola"),
        ("prasanna2020", "rte", "mlm"),
        ("prasanna2020", "mlm", "squad"),
        ("small", "mlm", "sst2"),
    ] {
        let other = other.parse().unwrap();
        for sets in [&own[..1], &own] {
            let found = of(preset, task, sets).for_task(other).unwrap();
            assert_eq!(found, of(preset, &other.to_string(), sets), "{preset} {task} {other}");
            assert_eq!(found.for_task(task.parse().unwrap()).unwrap(), of(preset, task, sets), "and back");
        }
    }
    // What the user said of a setting that the preset has for a task counts for both.
    let set = of("prasanna2020", "mlm", &["data.text=a.txt", "data.max_length=64"]);
    assert_eq!(set.for_task(TaskId::Rte).unwrap().data.max_length, 64);
}

/// Settings of an encoder that RTE, MRPC and CoLA share.
fn of_three(task: &str, more: &[&str]) -> Result<ExperimentConfig> {
    let mut layers = base();
    layers.value("task", task, "--task")?;
    layers.value("preset", "liang2021-mt", "--preset")?;
    layers.set(r#"shared.tasks=["rte", "mrpc", "cola"]"#)?;
    more.iter().try_for_each(|assignment| layers.set(assignment))?;
    layers.resolve()
}

#[test]
fn a_task_has_settings_of_its_own_in_their_places_and_those_of_tasks_that_share_its_encoder_beside_them() {
    let mut layers = base();
    for assignment in ["prune.level=1", "tasks.RTE.prune.level=3", "tasks.mrpc.prune.level=2"] {
        layers.set(assignment).unwrap();
    }
    let alone = layers.resolve().unwrap();
    assert_eq!((alone.prune.level, alone.tasks.len()), (Some(3), 0));

    let levels = ["prune.level=1", "tasks.mrpc.prune.level=3"];
    let of = |task| of_three(task, &levels).unwrap();
    let [rte, mrpc, cola] = ["rte", "mrpc", "cola"].map(of);
    assert_eq!([&rte, &mrpc, &cola].map(|config| config.prune.level), [Some(1), Some(3), Some(1)]);
    let text = |config: &ExperimentConfig| toml::to_string(&config.tasks).unwrap();
    // The preset's own for a task is beside what is given.
    assert_eq!(text(&rte), "[cola.train]\nclassifier_dropout = 0.05\n\n[mrpc.prune]\nlevel = 3\n");
    assert!(text(&mrpc).contains("[rte.prune]\nlevel = 1"));
    // Each task's run is the same from wherever it is seen.
    for (config, task, other) in
        [(&rte, TaskId::Mrpc, &mrpc), (&mrpc, TaskId::Cola, &cola), (&cola, TaskId::Rte, &rte)]
    {
        let found = config.of_partner(task).unwrap();
        let expected = other.of_partner(task).unwrap();
        assert_eq!(found, expected);
        assert_eq!(found.train.classifier_dropout, other.train.classifier_dropout);
    }
    // What is given for all is above what the preset has for one.
    let given = of_three("rte", &["train.classifier_dropout=0.3"]).unwrap();
    assert_eq!(given.tasks.len(), 0);

    // A resolved configuration is its own, also read again.
    for config in [&rte, &mrpc, &cola] {
        let mut layers = Layers::new();
        layers.table(&as_table(config).unwrap(), "file").unwrap();
        assert_eq!(&layers.resolve().unwrap(), config);
        config.validate().unwrap();
    }
}

#[test]
fn settings_of_a_task_that_is_none_or_that_are_of_the_whole_run_are_refused() {
    let refusal = |more: &[&str]| of_three("rte", more).unwrap_err().to_string();
    assert!(refusal(&["tasks.mrcp.prune.level=3"]).contains("Did you mean tasks.mrpc?"));
    assert!(refusal(&["tasks.mrpc.seed=3"]).contains("Set seed."));
    assert!(refusal(&["tasks.mrpc.prune.levle=3"]).contains("Did you mean prune.level?"));
    // The level of the others is not known.
    assert!(refusal(&["tasks.rte.prune.level=3"]).contains("Give it one too: tasks.cola.prune.level."));
}
