//! A tiny BERT that comes with the program, pre-trained on the demo task's grammar: see `models/tiny/README.md`.

use crate::{
    config::EMBEDDED_MODEL as NAME,
    error::{Error, Result},
    store::atomic_write,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../../models/tiny/config.json")),
    ("model.safetensors", include_bytes!("../../models/tiny/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../models/tiny/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../models/tiny/tokenizer_config.json")),
];

/// The folder with the model's files, in `LOTTERY_CACHE`, else the user's cache, else the temporary folder; what is
/// not there yet, or not as it should be, is written.
pub fn folder() -> Result<PathBuf> {
    let mut refused = None;
    for place in places(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)) {
        // Models of different versions of the program lie beside each other.
        let dir = place.join(format!("{NAME}-{}", &hash()[..12]));
        match write_out(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let why = refused.map(|error| error.to_string()).unwrap_or_default();
    Err(Error::data(format!(
        "the embedded model cannot be written out: {why} Name a folder that can be written with LOTTERY_CACHE."
    )))
}

fn places(env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(dir) = env("LOTTERY_CACHE") {
        return vec![dir];
    }
    let user = env("XDG_CACHE_HOME").or_else(|| Some(env("HOME")?.join(".cache")));
    user.map(|dir| dir.join("lottery")).into_iter().chain([env::temp_dir().join("lottery")]).collect()
}

fn hash() -> String {
    let mut hasher = blake3::Hasher::new();
    FILES.iter().for_each(|(_, bytes)| _ = hasher.update(bytes));
    hasher.finalize().to_hex().to_string()
}

fn write_out(dir: &Path) -> Result<()> {
    for (name, bytes) in FILES {
        let path = dir.join(name);
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            atomic_write(&path, bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BertConfig, Head, weights::Pretrained};

    #[test]
    fn the_model_is_written_out_whole_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        write_out(&dir).unwrap();
        fs::write(dir.join("model.safetensors"), "damaged").unwrap();
        write_out(&dir).unwrap();
        let mut model = Pretrained::load(&dir).unwrap();
        let BertConfig { num_hidden_layers: layers, num_attention_heads: heads, .. } = model.config;
        assert!(layers >= 4 && heads >= 4);
        assert!(model.build(Head::MaskedLm, 0, false).is_ok_and(|_| model.notes.is_empty()));
        assert!(FILES.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 2_000_000);
    }

    #[test]
    fn the_folder_is_the_users_choice_then_the_users_cache_then_the_temporary_one() {
        let places = |given: &[(&str, &str)]| {
            places(|name| given.iter().find(|(key, _)| *key == name).map(|(_, dir)| PathBuf::from(dir)))
        };
        let temporary = env::temp_dir().join("lottery");
        assert_eq!(places(&[("LOTTERY_CACHE", "/c"), ("HOME", "/h")]), [PathBuf::from("/c")]);
        assert_eq!(places(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")])[0], Path::new("/x/lottery"));
        assert_eq!(places(&[("HOME", "/h")]), [PathBuf::from("/h/.cache/lottery"), temporary.clone()]);
        assert_eq!(places(&[]), [temporary]);
    }
}
