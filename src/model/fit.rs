//! Whether the tensors of a file are those of a model; found before memory is asked for by what `config.json` says.

use super::{family::Family, params::Entry, tensors::Tensor};
use crate::error::{Error, Result};

/// The names of those entries that are not there and can be drawn: the head's, and the pooler's.
///
/// # Errors
/// `Error::Data`: a tensor is missing, or of another shape, or of a type that weights do not have. `names` are all of
/// the file's.
pub fn check<'a>(
    family: &Family,
    entries: &[&Entry],
    find: impl Fn(&Entry) -> Option<&'a Tensor>,
    names: impl Iterator<Item = &'a str>,
    file: &str,
) -> Result<Vec<String>> {
    let (mut missing, mut drawn) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = family.plain_name(&entry.name);
        match find(entry) {
            Some(tensor) if !tensor.is_float() => {
                return Err(Error::data(format!(
                    "{file}: tensor {name} is of type {}, and weights are needed as f32, f16, bf16 or f64. Quantized models \
                     cannot be trained; choose the original one.",
                    tensor.dtype
                )));
            }
            Some(tensor) if tensor.shape != entry.shape => {
                return Err(other_shape(family, &name, &tensor.shape, &entry.shape, file));
            }
            Some(_) => {}
            None if family.is_of_head(&name) || family.is_of_pooler(&name) => drawn.push(entry.name.clone()),
            None => missing.push(name),
        }
    }
    let Some(first) = missing.first() else { return Ok(drawn) };
    let remedy = match wrapper(family, names) {
        Some(prefix) => format!(
            "The names begin with {prefix}: the model was saved from within another. Save the encoder itself: \
             `model.{}.save_pretrained(FOLDER)`.",
            prefix.trim_end_matches('.')
        ),
        None => "Use a checkpoint that fits its config.json.".to_owned(),
    };
    Err(Error::data(format!(
        "{file}: {} of {} tensors are missing, first {first}. {remedy}",
        missing.len(),
        entries.len()
    )))
}

fn other_shape(family: &Family, name: &str, found: &[usize], wanted: &[usize], file: &str) -> Error {
    let fewer =
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| found <= wanted);
    let is_of_words = name == format!("{}.weight", family.words);
    let cause = match found {
        // resize_token_embeddings of transformers, or a tokenizer with added words.
        [rows, width] if is_of_words && *width == wanted[1] => format!(
            "The table of words was resized, or the two files are not of one model: set vocab_size to {rows} in config.json if \
             the tokenizer has as many words, or fetch both again."
        ),
        _ if name.contains(".attention.") && fewer => {
            "If heads were pruned from it (prune_heads of transformers), give --model the whole model; else the two files \
             are not of one model: fetch both again."
                .to_owned()
        }
        _ => "The two files are not of one model; fetch both again.".to_owned(),
    };
    Error::data(format!(
        "{file}: tensor {name} has shape {found:?}, and config.json asks for {wanted:?}. {cause}"
    ))
}

/// What stands before the names of the tensors when the model was saved from within another.
fn wrapper<'a>(family: &Family, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let words = format!("{}.weight", family.words);
    let prefixes = names.filter_map(|name| name.strip_suffix(&words));
    prefixes.min_by_key(|prefix| prefix.len()).filter(|prefix| !prefix.is_empty())
}
