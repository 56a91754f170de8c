//! SQuAD's JSON and Parquet, and the windows of what they hold.

use super::{bytes, harness, readers, told, tree::Seeds, world};
use lottery::{
    task::squad::load,
    text::{Tokenizer, WindowRules},
};
use std::fs;

pub const FILE: &str = r#"{"version": "1.1", "data": [{"title": "Films", "paragraphs": [
    {"context": "The plot is good \u4e2d e\u0301, the film is warm.", "qas": [
        {"id": "56be", "question": "What is good?", "answers": [{"text": "The plot", "answer_start": 0}]},
        {"id": "56bf", "question": "  How is the film?", "answers": [
            {"text": "warm", "answer_start": 36}, {"text": "film is warm", "answer_start": 28}]}]},
    {"context": "bad", "qas": [{"id": "x", "question": "", "answers": [{"text": "bad", "answer_start": 0}]}]}]}]}"#;

#[test]
fn any_questions_are_read_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    world::write(dir, &world::world().model);
    let tokenizer = Tokenizer::from_folder(dir).unwrap();
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../golden/squad_parquet.json")).unwrap();
    let parquet =
        ["train", "validation"].map(|split| readers::unhexed(golden[split]["parquet"].as_str().unwrap()));
    let [classic, hub] = ["classic", "hub"].map(|name| dir.join(name));
    fs::create_dir(&classic).unwrap();
    fs::create_dir_all(hub.join("plain_text")).unwrap();
    fs::write(classic.join("dev-v1.1.json"), FILE).unwrap();
    fs::write(hub.join("plain_text/validation-00000-of-00001.parquet"), &parquet[1]).unwrap();
    let seeds = Seeds::json(vec![FILE.into()]);
    harness::run("squad", 60, |random| {
        let data = if random.chance(60) {
            let text = seeds.mutated(random);
            harness::show("train-v1.1.json", &text);
            fs::write(classic.join("train-v1.1.json"), text).unwrap();
            told(load(&classic))
        } else {
            let mut file = parquet[0].clone();
            bytes::mutate(&mut file, &parquet[1], random);
            harness::show("train.parquet", &file);
            fs::write(hub.join("plain_text/train-00000-of-00001.parquet"), file).unwrap();
            told(load(&hub))
        };
        let Some(data) = data else { return };
        let [max_length, overlap, max_question_length] = [24, 12, 8].map(|most| random.below(most));
        let rules = WindowRules { max_length, overlap, max_question_length };
        let Some(found) = told(tokenizer.windows(&data.train, rules)) else { return };
        for window in &found.windows {
            let question = &data.train.questions[window.question];
            let span = question.span.as_ref().expect("others are left out");
            let _ = window.rows_of(span, &found.offsets[question.context]);
        }
    });
}
