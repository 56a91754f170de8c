//! SQuAD's development set, published predictions for it, and MiniLM fine-tuned on a small part of it.

use std::{collections::BTreeMap, io::Read, path::Path, time::Duration};

use flate2::read::DeflateDecoder;
use lottery::{
    config::ExperimentConfig,
    experiment::{Experiment, Inputs, run},
    model::{Bert, Head, weights::Pretrained},
    prune::Mode,
    store::Store,
    task::{
        TaskId,
        squad::{Questions, Scores, parse},
    },
    text::{Tokenizer, WindowRules},
    train::{Dataset, Silent, logits, metrics},
};
use serde_json::{Value, json};

use crate::shared;

/// dev-v1.1.json, the only file of the archive.
fn dev(shared: &Path) -> Vec<u8> {
    let zip = std::fs::read(shared.join("data/squad/dev-v1.1.json.zip")).unwrap();
    let word = |at: usize| usize::from(u16::from_le_bytes([zip[at], zip[at + 1]]));
    assert_eq!((&zip[..4], word(8)), (&b"PK\x03\x04"[..], 8), "a deflated file comes first");
    let mut bytes = Vec::new();
    DeflateDecoder::new(&zip[30 + word(26) + word(28)..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn questions(bytes: &[u8]) -> Questions {
    parse(Path::new("dev-v1.1.json"), bytes).unwrap()
}

#[test]
fn scores_of_published_predictions_equal_the_official_scripts_to_the_last_digit() {
    let Some(shared) = shared("scores_of_published_predictions_equal_the_official_scripts") else { return };
    let all = questions(&dev(&shared));
    assert_eq!((all.contexts.len(), all.questions.len()), (2067, 10_570));
    assert_eq!(all.questions.iter().map(|question| question.answers.len()).sum::<usize>(), 34_726);
    assert!(all.questions.iter().all(|question| question.span.is_some()));
    for (name, exact_match, f1, unanswered, keys) in [
        ("bert-ensemble", 86.20624408703878, 92.19557978351145, 0, 10_570),
        ("r-net-plus-ensemble", 82.46925260170293, 88.47785965423249, 0, 10_570),
        ("logistic-regression", 40.14191106906339, 50.98153647324461, 13, 10_585),
    ] {
        let text = std::fs::read(shared.join(format!("data/squad/predictions/{name}.json"))).unwrap();
        let predictions: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap();
        let scores = Scores::of(&all, &predictions);
        assert_eq!((scores.percent(), scores.unanswered), ([exact_match, f1], unanswered), "{name}");
        assert_eq!(predictions.len(), keys, "{name}");
    }
}

#[test]
fn every_answer_is_found_in_a_window_by_its_tokens() {
    let Some(shared) = shared("every_answer_is_found_in_a_window_by_its_tokens") else { return };
    let mut all = questions(&dev(&shared));
    all.truncate(3000);
    let tokenizer = Tokenizer::from_folder(&shared.join("models/all-MiniLM-L6-v2")).unwrap();
    let rules = WindowRules { max_length: 128, overlap: 32, max_question_length: 48 };
    let found = tokenizer.windows(&all, rules).unwrap();
    assert!(found.windows.len() > all.questions.len());
    assert!(found.encoded.iter().all(|encoded| encoded.ids.len() <= 128));
    let mut answered = vec![false; all.questions.len()];
    for window in &found.windows {
        let question = &all.questions[window.question];
        let (span, offsets) = (question.span.clone().unwrap(), &found.offsets[question.context]);
        let Some(rows) = window.rows_of(&span, offsets) else { continue };
        answered[window.question] = true;
        let [first, last] = rows.map(|row| offsets[window.first + row as usize - window.row]);
        // The tokens cover the answer, and end with it up to the rest of a word.
        assert!(first[0] as usize <= span.start && span.end <= last[1] as usize, "{}", question.id);
    }
    assert!(answered.iter().all(|found| *found));
}

/// Articles of the development set as both files of a data folder: 40 to train on, 8 to score on.
fn split(shared: &Path, folder: &Path) {
    let whole: Value = serde_json::from_slice(&dev(shared)).unwrap();
    let articles = whole["data"].as_array().unwrap();
    assert_eq!(articles.len(), 48);
    for (name, of_dev) in [("train", false), ("dev", true)] {
        let articles = articles.iter().enumerate().filter(|(n, _)| n.is_multiple_of(6) == of_dev);
        // Short paragraphs, for the sake of time; shuffled, so that the first questions are of several articles.
        let all = articles.flat_map(|(_, article)| article["paragraphs"].as_array().unwrap());
        let mut paragraphs: Vec<&Value> =
            all.filter(|paragraph| paragraph["context"].as_str().unwrap().len() < 400).collect();
        paragraphs.sort_by_key(|paragraph| *blake3::hash(paragraph.to_string().as_bytes()).as_bytes());
        let file = json!({ "version": "1.1", "data": [{ "title": name, "paragraphs": paragraphs }] });
        std::fs::write(folder.join(format!("{name}-v1.1.json")), file.to_string()).unwrap();
    }
}

/// The mean loss of where answers start and end (Devlin et al. 2019, section 4.2), which tells sooner than scores do that a
/// model learns.
fn loss(data: &Dataset, logits: &[f32]) -> f64 {
    let mut rest = logits;
    let of = data.encoded.iter().zip(&data.labels).map(|(encoded, label)| {
        let (own, others) = rest.split_at(2 * encoded.ids.len());
        rest = others;
        let places = label.span().unwrap();
        let of_column = |column: usize| -> f64 {
            let row = |row: usize| f64::from(own[2 * row + column]);
            let sum: f64 = (0..encoded.ids.len()).map(|at| row(at).exp()).sum();
            sum.ln() - row(places[column] as usize)
        };
        (of_column(0) + of_column(1)) / 2.0
    });
    of.sum::<f64>() / data.len() as f64
}

#[test]
fn fine_tuning_on_other_articles_beats_the_untrained_model() {
    let Some(shared) = shared("fine_tuning_on_other_articles_beats_the_untrained_model") else { return };
    let folder = tempfile::tempdir().unwrap();
    split(&shared, folder.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let model = text(&shared.join("models/all-MiniLM-L6-v2"));
    let mut config = ExperimentConfig::new(TaskId::Squad, model, text(folder.path()));
    config.mode = Mode::Full;
    (config.data.max_length, config.data.doc_stride, config.data.max_question_length) = (160, 32, 32);
    (config.data.train_limit, config.data.dev_limit) = (Some(96), Some(48));
    config.train =
        lottery::config::TrainConfig { learning_rate: 3e-4, batch_size: 4, epochs: 2, ..config.train };
    config.run.checkpoint_every = Duration::from_secs(3600).as_secs_f64();
    let experiment = Experiment::load(config, None, &mut Silent).unwrap();
    let Inputs { task, ref machine, ref dev, .. } = experiment.inputs;
    let outputs = |bert: &Bert| logits(&mut *machine.reader(bert).unwrap(), dev).unwrap();
    let untrained = experiment.inputs.model.clone().build(Head::Spans, experiment.config.init_seed(), true);
    let before = outputs(&untrained.unwrap());
    let store = Store::open(&folder.path().join("runs")).unwrap();
    let (record, _) = run(&experiment, &store, &mut Silent).unwrap();
    let stage = store.dir().join("stages").join(&record.stages["finetune"]);
    let trained = Pretrained::load(&stage).unwrap().build(Head::Spans, 0, false);
    let after = outputs(&trained.unwrap());
    assert_eq!(metrics(task, dev, &after), record.full.metrics);
    println!("before {:?}, after {:?}", metrics(task, dev, &before), record.full.metrics);
    let [before, after] = [&before, &after].map(|logits| loss(dev, logits));
    println!("the loss of {} questions: {before:.3} before, {after:.3} after", dev.examples());
    // As after no training at all: every token is as likely as another.
    let tokens = dev.encoded.iter().map(|encoded| (encoded.ids.len() as f64).ln());
    assert!((before - tokens.sum::<f64>() / dev.len() as f64).abs() < 0.3, "{before}");
    assert!(after < before - 0.4, "{before} {after}");
}
