//! Checkpoints: whole ones with another header, and damaged ones.

use super::{bytes, harness, told, tree::Seeds, world};
use lottery::{
    engine::Machine,
    model::{Bert, Head},
    ops::optimizer::{AdamW, Optimizer},
    task::Label,
    text::Encoded,
    train::{Batches, Checkpoints, Dataset, Recipe, Schedule, Silent, checkpoint::Position, finetune},
};
use std::{fs, time::Duration};

const STARTS: usize = 16;
const DIGEST: usize = 32;

fn recipe() -> Recipe {
    Recipe {
        learning_rate: 1e-3,
        batch_size: 2,
        epochs: 2,
        max_steps: None,
        until: None,
        part: None,
        warmup: 0.1,
        clip: 1.0,
        optimizer: Optimizer::AdamW(AdamW { weight_decay: 0.0, beta1: 0.9, beta2: 0.999, epsilon: 1e-6 }),
        schedule: Schedule::Linear,
        batches: Batches::Shuffled,
        dropout: 0.1,
        attention_dropout: 0.1,
        classifier_dropout: 0.1,
        order_seed: 1,
        dropout_seed: 1,
    }
}

#[test]
fn any_checkpoint_is_gone_on_from_or_passed_over() {
    let folder = world::folder();
    let dir = folder.path().join("checkpoint");
    let encoded = Encoded { ids: vec![2, 5, 6, 3], segments: vec![0; 4] };
    let data = Dataset { encoded: vec![encoded; 4], labels: vec![Label::Class(1); 4], ..Dataset::default() };
    let bert = Bert::random(world::tiny(10), Head::Classifier { labels: 2 }, 1);
    let state = recipe().optimizer.state(bert.params.data.len());
    let positions = [
        Position {
            step: 1,
            tokens: 8,
            seconds: 0.5,
            epoch_loss: 1.4,
            epoch_predictions: 2,
            ..Position::default()
        },
        Position {
            step: 2,
            epoch_losses: vec![0.7],
            recent: Some(0.7),
            computed_by: vec!["x 1".into()],
            ..Position::default()
        },
    ];
    let mut headers = Vec::new();
    let mut rest = Vec::new();
    for position in &positions {
        Checkpoints::new(dir.clone(), Duration::ZERO).save(position, &bert.params.data, &state).unwrap();
        let path = dir.join(format!("step-{:010}", position.step));
        let file = fs::read(path).unwrap();
        let length = u64::from_le_bytes(file[8..STARTS].try_into().unwrap()) as usize;
        headers.push(file[STARTS..STARTS + length].to_vec());
        rest = file[STARTS + length..file.len() - DIGEST].to_vec();
    }
    let seeds = Seeds::json(headers);
    let path = dir.join("step-0000000002");
    let machine = Machine::default();
    harness::run("checkpoint", 50, |random| {
        let mut header = seeds.mutated(random);
        if random.chance(15) {
            header.clone_from(random.of_list(&seeds.texts));
        }
        let mut length = header.len() as u64;
        if random.chance(10) {
            length = *random.of_list(&[0, length - length.min(1), length + 1, 1 << 40, u64::MAX, 1 << 63]);
        }
        let mut file = [b"LTRAIN02", &length.to_le_bytes()[..], &header, &rest].concat();
        if random.chance(10) {
            bytes::mutate(&mut file, &rest, random);
        }
        // Whoever damages a file on purpose mends its hash.
        file.extend_from_slice(blake3::hash(&file).as_bytes());
        if random.chance(10) {
            bytes::mutate(&mut file, &rest, random);
        }
        harness::show("header", &header);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        fs::write(&path, file).unwrap();
        let mut checkpoints = Checkpoints::new(dir.clone(), Duration::from_secs(60));
        let trained =
            told(finetune(&machine, bert.clone(), None, &data, &recipe(), &mut checkpoints, &mut Silent));
        let steps = trained.map(|(_, summary)| (summary.steps, summary.epoch_losses.len()));
        if steps.is_some_and(|steps| steps != (4, 2)) {
            harness::fault("steps were left out, or taken twice", format!("{steps:?}"));
        }
    });
}
