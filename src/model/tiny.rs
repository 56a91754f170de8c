//! A tiny BERT that comes with the program, pre-trained on the demo task's grammar: see `models/tiny/README.md`.

use crate::{
    error::{Error, Result},
    store::atomic_write,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// As `--model` calls it.
pub const NAME: &str = "tiny";

const FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../../models/tiny/config.json")),
    ("model.safetensors", include_bytes!("../../models/tiny/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../models/tiny/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../models/tiny/tokenizer_config.json")),
];

/// The folder with the model's files: in `LOTTERY_CACHE`, else in the user's cache, else in the temporary folder. What
/// is not there yet, or not as it should be, is written.
pub fn folder() -> Result<PathBuf> {
    let places = places(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
    // Models of different versions of the program lie beside each other.
    let name = format!("{NAME}-{}", &hash()[..12]);
    let written = places.iter().map(|place| place.join(&name)).find(|dir| write_out(dir).is_ok());
    written.ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        Error::data(format!(
            "the model {NAME} cannot be written out: nothing can be written in {}. Name a folder that can be with \
             LOTTERY_CACHE.",
            places.join(" or ")
        ))
    })
}

/// Where the models may lie, the first choice first; a folder that the user named is the only one.
fn places(env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(named) = env("LOTTERY_CACHE") {
        return vec![named];
    }
    // As the XDG specification has it, a relative path does not count.
    let user = env("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    let user = user.or_else(|| Some(env("HOME")?.join(".cache")));
    user.into_iter().chain([env::temp_dir()]).map(|dir| dir.join("lottery")).collect()
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
    fn the_folder_is_the_users_choice_or_cache_and_else_the_temporary_one() {
        let places = |given: &[(&str, &str)]| {
            places(|name| given.iter().find(|(key, _)| *key == name).map(|(_, dir)| PathBuf::from(dir)))
        };
        let temporary = env::temp_dir().join("lottery");
        assert_eq!(places(&[("LOTTERY_CACHE", "c"), ("HOME", "/h")]), [Path::new("c")]);
        assert_eq!(
            places(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]),
            [Path::new("/x/lottery"), &temporary]
        );
        for home in [&[("HOME", "/h")][..], &[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]] {
            assert_eq!(places(home), [Path::new("/h/.cache/lottery"), &temporary]);
        }
        assert_eq!(places(&[]), [temporary]);
    }
}
