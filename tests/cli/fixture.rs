//! What every test starts from: a model folder, task folders, a store, and the command line over them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;
use lottery::model::{Bert, BertConfig, Head};
use serde_json::{Value, json};
use tempfile::TempDir;

const GOOD: &[&str] = &["superb", "lovely", "funny", "bright", "warm", "clever"];
const BAD: &[&str] = &["dull", "awful", "clumsy", "bleak", "flat", "tired"];
const PLAIN: &[&str] = &["the", "film", "plot", "and", "cast", "scene", "with", "music"];

pub const TRAIN: usize = 160;
pub const DEV: usize = 48;

/// The settings of nearly all runs: enough training for a tiny model to learn the generated tasks.
pub const QUICK: &[&str] =
    &["train.epochs=3", "train.batch_size=8", "train.learning_rate=3e-3", "data.max_length=32"];

/// Windows for the generated questions, within the quick settings.
pub const SQUAD: &[&str] = &["--set", "data.doc_stride=8", "--set", "data.max_question_length=8"];

/// A folder with everything that a run needs; it disappears with the value.
pub struct Bench {
    pub root: TempDir,
}

impl Bench {
    /// A tiny model, and this task's files.
    pub fn new(folder: &str) -> Self {
        let bench = Self { root: tempfile::tempdir().unwrap() };
        bench.write_model(&tiny());
        bench.write_task(folder);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// `model/`: config, random weights, vocabulary.
    pub fn write_model(&self, config: &BertConfig) {
        let bert = Bert::random(config.clone(), Head::Classifier { labels: 2 }, 7);
        // As a pre-trained one: without the classifier, with the pooler.
        let of_classifier = bert.to_config_json(&[]).unwrap();
        self.write("model/config.json", of_classifier.replace("BertForSequenceClassification", "BertModel"));
        let bytes = bert.to_safetensors().unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let kept = tensors.tensors().into_iter().filter(|(name, _)| !name.starts_with("classifier."));
        self.write("model/model.safetensors", safetensors::serialize(kept, None).unwrap());
        self.write("model/vocab.txt", vocabulary().join("\n") + "\n");
    }

    /// `glue/<folder>/`: the task's files.
    pub fn write_task(&self, folder: &str) {
        if folder == "SQuAD" {
            self.write("glue/SQuAD/train-v1.1.json", questions(0, TRAIN));
            return self.write("glue/SQuAD/dev-v1.1.json", questions(TRAIN, DEV));
        }
        let dev: &[&str] =
            if folder == "MNLI" { &["dev_matched.tsv", "dev_mismatched.tsv"] } else { &["dev.tsv"] };
        self.write(&format!("glue/{folder}/train.tsv"), table(folder, 0, TRAIN));
        for (nth, name) in dev.iter().enumerate() {
            self.write(&format!("glue/{folder}/{name}"), table(folder, TRAIN + nth * DEV, DEV));
        }
    }

    /// `lottery run` in the store `store`, with the quick settings, which `arguments` may override.
    pub fn run(&self, task: &str, arguments: &[&str]) -> Command {
        self.run_in("runs", task, arguments)
    }

    pub fn run_in(&self, store: &str, task: &str, arguments: &[&str]) -> Command {
        let mut command = lottery();
        command.args(self.arguments(store, task, arguments)).current_dir(self.root.path());
        command
    }

    pub fn arguments(&self, store: &str, task: &str, arguments: &[&str]) -> Vec<String> {
        let usual = [
            ("--task", task),
            ("--model", "model"),
            ("--data", "glue"),
            ("--store", store),
            ("--threads", "1"),
        ];
        // A flag may be given once only: the caller's stands for the usual one.
        let mut line = vec!["run".to_owned()];
        for (flag, value) in usual.into_iter().filter(|(flag, _)| !arguments.contains(flag)) {
            line.extend([flag.to_owned(), value.to_owned()]);
        }
        line.extend(QUICK.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
        line.extend(arguments.iter().map(|word| (*word).to_owned()));
        line
    }

    /// The record of a run that must succeed, from `--json`; the record file holds the same.
    pub fn record(&self, task: &str, arguments: &[&str]) -> Value {
        self.record_in("runs", task, arguments)
    }

    pub fn record_in(&self, store: &str, task: &str, arguments: &[&str]) -> Value {
        let output = succeeded(self.run_in(store, task, arguments).arg("--json"));
        let record = printed(&output);
        assert_eq!(self.stored_record(store, &record), record);
        record
    }

    /// `lottery export` of a stage of this record, without measuring.
    pub fn export(&self, record: &Value, stage: &str, arguments: &[&str]) -> Command {
        let id = record["stages"][stage].as_str().unwrap();
        self.verb("export", &[&[id, "--latency", "off"], arguments].concat())
    }

    /// Another verb on the store `runs`.
    pub fn verb(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = lottery();
        command.arg(verb).args(arguments).args(["--store", "runs"]).current_dir(self.root.path());
        command
    }

    /// The file in `results/` that belongs to this record.
    pub fn stored_record(&self, store: &str, record: &Value) -> Value {
        let part = |key: &str| record[key].as_str().unwrap().to_owned();
        let file = format!("seed-{}.json", record["seed"]);
        let path =
            ["results", &part("task"), &part("method"), &part("mode"), &file].iter().collect::<PathBuf>();
        json_file(&self.path(store).join(path))
    }

    /// A file of the stage that the record names under `kind`.
    pub fn stage_file(&self, store: &str, record: &Value, kind: &str, name: &str) -> Vec<u8> {
        let id = record["stages"][kind].as_str().unwrap();
        fs::read(self.path(store).join("stages").join(id).join(name)).unwrap()
    }
}

/// The binary, with nothing of the caller's environment that means something to it, and off the network.
pub fn lottery() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lottery"));
    for (name, value) in ENVIRONMENT {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

pub const ENVIRONMENT: &[(&str, Option<&str>)] = &[
    ("LOTTERY_MODEL", None),
    ("LOTTERY_DATA", None),
    ("LOTTERY_STORE", None),
    ("LOTTERY_KERNELS", None),
    ("LOTTERY_CACHE", None),
    // Tests run side by side and are not to feel each other.
    ("LOTTERY_SHARE_DIR", Some("")),
    ("HF_HUB_OFFLINE", Some("1")),
    ("RUST_BACKTRACE", None),
];

/// Two layers of four heads, in about 30 000 weights.
pub fn tiny() -> BertConfig {
    let mut config = BertConfig::of_shape(2, 32, 4, 64);
    config.vocab_size = vocabulary().len();
    config.max_position_embeddings = 64;
    config
}

fn vocabulary() -> Vec<&'static str> {
    let special: &[&str] = &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"];
    [special, GOOD, BAD, PLAIN].concat()
}

/// A small generator of numbers below `below`, the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// A sentence of six words, `good` of whose five telling ones are kind, and one that says nothing.
fn sentence(numbers: &mut Numbers, good: usize) -> String {
    let telling = (0..5).map(|place| if place < good { GOOD } else { BAD });
    let words: Vec<&str> = telling.chain([PLAIN]).map(|words| numbers.of(words)).collect();
    words.join(" ")
}

/// Questions in SQuAD's layout, two on each paragraph: which of its words is kind, or unkind. Some paragraphs take two
/// windows.
pub fn questions(first: usize, count: usize) -> String {
    let paragraph = |index: usize| {
        let numbers = &mut Numbers(index as u64 * 7919 + 17);
        let length = if index.is_multiple_of(8) { 30 } else { 8 };
        let mut words: Vec<&str> = (0..length).map(|_| numbers.of(PLAIN)).collect();
        let places = [numbers.below(length / 2), length / 2 + numbers.below(length / 2)];
        let kinds = [(GOOD, "the plot"), (BAD, "the cast")];
        let swap = numbers.below(2);
        let answers = [0, 1].map(|n| {
            words[places[n ^ swap]] = numbers.of(kinds[n].0);
            places[n ^ swap]
        });
        let qas = [0, 1].map(|n| {
            let start = words[..answers[n]].iter().map(|word| word.len() + 1).sum::<usize>();
            let answer = json!({ "text": words[answers[n]], "answer_start": start });
            json!({ "id": format!("{index}-{n}"), "question": kinds[n].1, "answers": [answer] })
        });
        json!({ "context": words.join(" "), "qas": qas })
    };
    let paragraphs: Vec<Value> = (first / 2..(first + count) / 2).map(paragraph).collect();
    json!({ "version": "1.1", "data": [{ "title": "Films", "paragraphs": paragraphs }] }).to_string()
}

/// The rows `first .. first + rows` of a task in the official layout of its files.
pub fn table(folder: &str, first: usize, rows: usize) -> String {
    let header = match folder {
        "CoLA" => "",
        "SST-2" => "sentence\tlabel\n",
        "RTE" | "WNLI" => "index\tsentence1\tsentence2\tlabel\n",
        "MRPC" => "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n",
        "STS-B" => "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n",
        "MNLI" => "index\tsentence1\tsentence2\tgold_label\n",
        other => panic!("no files for {other}"),
    };
    let body = (first..first + rows).map(|index| {
        let numbers = &mut Numbers(index as u64 * 7919 + 17);
        for _ in 0..4 {
            numbers.below(2);
        }
        let good = numbers.below(6);
        let (kind, plain) = (usize::from(good > 2), sentence(numbers, good));
        let second = numbers.of(PLAIN);
        match folder {
            "CoLA" => format!("gj04\t{kind}\t\t{plain}\n"),
            "SST-2" => format!("{plain}\t{kind}\n"),
            "RTE" => format!("{index}\t{plain}\t{second}\t{}\n", ["entailment", "not_entailment"][kind]),
            "WNLI" => format!("{index}\t{plain}\t{second}\t{kind}\n"),
            "MRPC" => format!("{kind}\t{index}\t{index}\t{plain}\t{second}\r\n"),
            "STS-B" => format!("{index}\tg\tf\t2012\t{index}\ts\ts\t{plain}\t{second}\t{good}.000\n"),
            _ => {
                let label = ["contradiction", "neutral", "entailment"][good / 2];
                format!("{index}\t{plain}\t{second}\t{label}\n")
            }
        }
    });
    header.to_owned() + &body.collect::<String>()
}

pub fn json_file(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The record that `--json` printed, whose file must hold the same.
pub fn printed(output: &Output) -> Value {
    let mut record: Value = serde_json::from_slice(&output.stdout).expect("stdout holds JSON alone");
    let path = record.as_object_mut().unwrap().remove("path").expect("the record's path");
    assert!(path.as_str().is_some_and(|path| path.ends_with(".json")), "{path}");
    record
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8")
}

pub fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

/// The command must end with this code and one paragraph on stderr that has all of `wanted`; returns that paragraph.
pub fn refused(command: &mut Command, code: i32, wanted: &[&str]) -> String {
    let output = command.output().unwrap();
    refusal(&output, code, wanted)
}

pub fn refusal(output: &Output, code: i32, wanted: &[&str]) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    if !output.stdout.is_empty() {
        // A program asked.
        let told: Value = serde_json::from_slice(&output.stdout).expect("nothing or an error on stdout");
        assert_eq!(told["error"]["exit_code"], code, "{told}");
    }
    assert!(!said.contains("panicked"), "{said}");
    let at = said.find("error: ").unwrap_or_else(|| panic!("no error is told: {said}"));
    let paragraph = said[at..].trim_end();
    assert!(!paragraph.contains("\n\n"), "more than one paragraph: {said}");
    for word in wanted {
        assert!(paragraph.contains(word), "{word:?} is not in {paragraph:?}");
    }
    paragraph.to_owned()
}

/// Every file below a folder, relative to it and sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
                _ => found.push(entry.path()),
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(dir).unwrap().to_owned()).collect()
}

/// The ids of the stages that count as done; each of their manifests must be whole and fit its files.
pub fn done_stages(store: &Path) -> Vec<String> {
    let mut done = Vec::new();
    for path in files(&store.join("stages")) {
        if path.file_name().unwrap() == "stage.json" {
            let folder = store.join("stages").join(path.parent().unwrap());
            let manifest = json_file(&folder.join("stage.json"));
            let files = manifest["files"].as_object().unwrap().iter();
            // Weights may have been removed to save room.
            for (name, facts) in files.filter(|(_, facts)| facts["removed"] != true) {
                let bytes = fs::read(folder.join(name)).unwrap();
                assert_eq!(facts["size"], bytes.len(), "{name}");
                assert_eq!(facts["blake3"], blake3::hash(&bytes).to_hex().as_str(), "{name}");
            }
            done.push(path.parent().unwrap().to_string_lossy().into_owned());
        }
    }
    done
}

/// What a refused run may leave: no stage that counts as done, no record, no temporary file.
pub fn assert_nothing_half_written(store: &Path) {
    assert_eq!(done_stages(store), Vec::<String>::new());
    assert_no_temporary_file(store);
    assert_eq!(files(&store.join("results")), Vec::<PathBuf>::new());
}

pub fn assert_no_temporary_file(store: &Path) {
    for path in files(store) {
        assert!(!path.to_string_lossy().contains("tmp"), "{} was left", path.display());
    }
}
