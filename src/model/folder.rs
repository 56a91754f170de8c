//! What lies in folders in the place of a model's files.

use crate::error::{Error, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where to look for `config.json`.
///
/// # Errors
/// The folder is another kind of thing than a model, which it says.
pub fn config(dir: &Path) -> Result<PathBuf> {
    let has = |name: &str| dir.join(name).exists();
    let here = dir.display();
    let path = dir.join("config.json");
    // Beside a whole model too: transformers would apply it.
    if has("adapter_config.json") || has("adapter_model.safetensors") || has("adapter_model.bin") {
        return Err(Error::data(format!(
            "{here}: this folder has an adapter (adapter_config.json), whose weights lottery does not add to a model's. Merge \
             it into its model and save that in a folder of its own (merge_and_unload and save_pretrained of peft), or give \
             --model the model itself."
        )));
    }
    if path.exists() {
        return Ok(path);
    }
    if has("bert_config.json") {
        return Err(Error::data(format!(
            "{here}: this folder has a checkpoint of TensorFlow (bert_config.json), as BERT's authors publish them. Convert it \
             with convert_bert_original_tf_checkpoint_to_pytorch.py of transformers and save it with save_pretrained, or take \
             the same model from the Hugging Face hub, such as --model google-bert/bert-base-uncased."
        )));
    }
    // As older versions of sentence-transformers saved it.
    match ["0_Transformer", "0_BERT"].iter().find(|inner| has(&format!("{inner}/config.json"))) {
        Some(inner) => Err(Error::data(format!(
            "{here}: the model is in this folder's {inner}. Give --model {}.",
            dir.join(inner).display()
        ))),
        None => Ok(path),
    }
}

/// The file that has the weights, or the one that says in which files they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    File(PathBuf),
    Index(PathBuf),
}

/// Where to look for the weights; the first of these that is there is taken, as in transformers.
///
/// # Errors
/// There is none, and weights of another form are there, with what to do about them.
pub fn weights(dir: &Path) -> Result<Weights> {
    let path = dir.join("model.safetensors");
    if path.exists() {
        return Ok(Weights::File(path));
    }
    for (name, weights) in [
        ("model.safetensors.index.json", Weights::Index as fn(PathBuf) -> Weights),
        ("pytorch_model.bin", Weights::File),
        ("pytorch_model.bin.index.json", Weights::Index),
    ] {
        if dir.join(name).exists() {
            return Ok(weights(dir.join(name)));
        }
    }
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let has = |wanted: fn(&str) -> bool| names.iter().find(|name| wanted(name));
    let here = dir.display();
    for (start, index) in
        [("model-0", "model.safetensors.index.json"), ("pytorch_model-0", "pytorch_model.bin.index.json")]
    {
        if let Some(shard) = names.iter().find(|name| name.starts_with(start)) {
            return Err(Error::data(format!(
                "{here}: the weights are in several files ({shard}, …), and {index}, which says what is in which, is not \
                 there. Fetch it from the model's repository."
            )));
        }
    }
    if let Some(other) = has(|name| name.ends_with(".safetensors")) {
        return Err(Error::data(format!(
            "{here}: this folder has {other} and no model.safetensors. If these are the model's weights, rename the file to \
             model.safetensors."
        )));
    }
    if let Some(other) = has(|name| matches!(name, "tf_model.h5" | "flax_model.msgpack")) {
        return Err(Error::data(format!(
            "{here}: this folder has {other}, weights of TensorFlow or Flax, and no model.safetensors. Convert it once in \
             Python with transformers 4: `BertModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(FOLDER)` \
             (from_flax=True for Flax)."
        )));
    }
    Ok(Weights::File(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(files: &[&str], look: fn(&Path) -> Result<T>) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs::write(dir.path().join(file), "").unwrap();
        }
        look(dir.path()).err().map(|error| {
            assert_eq!(error.exit_code(), 3);
            error.to_string()
        })
    }

    #[test]
    fn folders_that_are_no_model_say_what_they_are() {
        for (files, wanted) in [
            (&["adapter_config.json", "adapter_model.safetensors"][..], "an adapter"),
            (&["adapter_config.json", "config.json", "model.safetensors"], "an adapter"),
            (&["bert_config.json", "bert_model.ckpt.index"], "checkpoint of TensorFlow"),
            (&["modules.json", "0_Transformer/config.json"], "0_Transformer"),
        ] {
            let refusal = refusal(files, config).unwrap_or_else(|| panic!("{files:?}"));
            assert!(refusal.contains(wanted) && refusal.ends_with('.'), "{refusal}");
        }
        assert_eq!(refusal(&["config.json", "bert_config.json"], config), None);
        assert_eq!(refusal(&[], config), None);
    }

    #[test]
    fn weights_of_another_form_say_which() {
        for (file, wanted) in [
            ("model-00001-of-00002.safetensors", "model.safetensors.index.json"),
            ("model.fp16.safetensors", "rename the file"),
            ("pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"),
            ("tf_model.h5", "TensorFlow"),
            ("flax_model.msgpack", "Flax"),
        ] {
            let refused = refusal(&[file], weights).unwrap_or_else(|| panic!("{file}"));
            assert!(refused.contains(wanted) && refused.ends_with('.'), "{refused}");
            assert_eq!(refusal(&[file, "model.safetensors"], weights), None);
        }
        assert_eq!(refusal(&[], weights), None);
    }

    #[test]
    fn the_weights_are_the_first_of_four_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert_eq!(weights(dir.path()).unwrap(), Weights::File(path("model.safetensors")));
        for (name, found) in [
            ("pytorch_model.bin.index.json", Weights::Index as fn(PathBuf) -> Weights),
            ("pytorch_model.bin", Weights::File),
            ("model.safetensors.index.json", Weights::Index),
            ("model.safetensors", Weights::File),
        ] {
            fs::write(path(name), "").unwrap();
            assert_eq!(weights(dir.path()).unwrap(), found(path(name)));
        }
    }
}
