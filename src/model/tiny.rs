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

/// The folder with the model's files, in `LOTTERY_CACHE`, else in the user's cache; what is not there yet, or not as it
/// should be, is written.
pub fn folder() -> Result<PathBuf> {
    let place = place(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
    let failed = |why: &str| {
        Error::data(format!(
            "the model {NAME} cannot be written out: {why} Name a folder that can be written with LOTTERY_CACHE."
        ))
    };
    let place = place.ok_or_else(|| failed("neither XDG_CACHE_HOME nor HOME is set."))?;
    // Models of different versions of the program lie beside each other.
    let dir = place.join(format!("{NAME}-{}", &hash()[..12]));
    write_out(&dir).map_err(|error| failed(&error.to_string()))?;
    Ok(dir)
}

fn place(env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // As the XDG specification has it, a relative path does not count.
    let user = || env("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    let home = || Some(env("HOME")?.join(".cache"));
    env("LOTTERY_CACHE").or_else(|| Some(user().or_else(home)?.join("lottery")))
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
    fn the_folder_is_the_users_choice_and_else_the_users_cache() {
        let place = |given: &[(&str, &str)]| {
            place(|name| given.iter().find(|(key, _)| *key == name).map(|(_, dir)| PathBuf::from(dir)))
        };
        assert_eq!(place(&[("LOTTERY_CACHE", "c"), ("HOME", "/h")]).unwrap(), Path::new("c"));
        assert_eq!(place(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).unwrap(), Path::new("/x/lottery"));
        for home in [&[("HOME", "/h")][..], &[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]] {
            assert_eq!(place(home).unwrap(), Path::new("/h/.cache/lottery"));
        }
        assert_eq!(place(&[]), None);
    }
}
