//! `config.json` of a model folder, over weights that fit the unchanged one or are none.

use super::{harness, readers, tree::Seeds, world};
use std::{fs, path::Path};

#[test]
fn any_config_is_read_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    world::write(dir, &world::world().model);
    let own = &world::world().model[Path::new("config.json")];
    let saved = world::world().store.iter().filter(|(name, _)| name.ends_with("config.json"));
    let mut texts = vec![own.clone()];
    texts.extend(saved.map(|(_, text)| text.clone()));
    let huge = r#"{"model_type": "bert", "vocab_size": 16777216, "hidden_size": 16777216, "num_hidden_layers": 4096,
        "num_attention_heads": 2, "intermediate_size": 16777216, "max_position_embeddings": 16777216}"#;
    texts.push(huge.into());
    let seeds = Seeds::json(texts);
    let weights = world::world().model[Path::new("model.safetensors")].clone();
    // No tensor at all.
    let none = [&2u64.to_le_bytes()[..], b"{}"].concat();
    harness::run("config", 150, |random| {
        let text = seeds.mutated(random);
        let fits = random.chance(70);
        fs::write(dir.join("model.safetensors"), if fits { &weights } else { &none }).unwrap();
        readers::config(dir, random, &text);
    });
}
