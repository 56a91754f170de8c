//! A model's folder in Hugging Face's layout: at full size with zeros, or with the kept units alone and a loader.

use super::{Checked, Cost, Examples, Grid, Report, Units, auto_class, card, check_out, latency};
use crate::{
    engine::Machine,
    error::{Error, Result},
    eval::Trained,
    experiment::{record::device, ticket_file::About},
    model::{
        Bert, Head, TICKET_CLASSES,
        family::{BERT, Family},
        weights::Pretrained,
    },
    store::{WEIGHTS, atomic_write},
    text::Tokenizer,
    train::Progress,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs, path::Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Full size, with zeros where units are pruned: any program loads it.
    Masked,
    /// The kept units alone.
    Physical,
}

/// What is exported, and how it is checked and measured.
pub struct Model<'a> {
    pub form: Form,
    pub trained: &'a Trained,
    pub source: String,
    pub about: Option<About>,
    pub examples: &'a Examples,
    pub grid: Option<&'a Grid>,
    pub machine: &'a Machine,
}

/// What loads a physical export in transformers.
const LOADER: &str = "modeling_ticket.py";

/// Writes the folder: beside its place first, and under its name once it was read again and computes what the source does.
pub fn write(model: &Model, out: &Path, progress: &mut dyn Progress) -> Result<Report> {
    check_out(out, true)?;
    let Model { form, trained, examples, .. } = *model;
    let loader = match form {
        Form::Physical => Some(loader(trained.bert.config.family, trained.bert.head)),
        Form::Masked => None,
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create", &e))?;
    // Removed when dropped.
    let place = builder().tempdir_in(parent).map_err(|e| Error::io(parent, "write", &e))?;
    let dir = place.path();

    let whole = trained.bert.expanded();
    let exported = if form == Form::Masked { &whole } else { &trained.bert };
    let weights = exported.to_safetensors()?;
    atomic_write(&dir.join(WEIGHTS), &weights)?;
    let labels: Vec<&str> = trained.labels.iter().map(String::as_str).collect();
    let names = if labels.len() > 1 { &labels[..] } else { &[] };
    atomic_write(&dir.join("config.json"), config(exported, names, loader.is_some())?.as_bytes())?;
    for (name, bytes) in trained.tokenizer.files() {
        atomic_write(&dir.join(name), bytes)?;
    }
    if let Some(loader) = loader {
        atomic_write(&dir.join(LOADER), loader.as_bytes())?;
    }

    let read = read_again(dir, exported, &trained.tokenizer)?;
    if progress.stop_wanted() {
        return Err(Error::stopped("before the export was checked"));
    }
    let largest_difference = examples.compare(&trained.bert, &read)?;
    progress.note(&format!(
        "read again and compared on {}: the largest difference of a logit is {largest_difference:.1e}",
        examples.what
    ));
    let length = model.grid.and_then(|grid| grid.lengths.first()).copied().unwrap_or(128);
    let full_bytes = if form == Form::Masked { weights.len() } else { whole.to_safetensors()?.len() };
    let cost = [
        // Zeros are counted where a model has them; the full one has none of these.
        (
            "full",
            Cost {
                nonzero: whole.params.layout.parameters(),
                ..Cost::new(&whole, length, full_bytes as u64)
            },
        ),
        ("export", Cost::new(exported, length, weights.len() as u64)),
    ];
    let latency = match model.grid {
        Some(grid) => latency::measure(model.machine, &whole, &read, grid, progress)?,
        None => Vec::new(),
    };
    let report = Report {
        format_version: 1,
        form,
        path: out.display().to_string(),
        source: model.source.clone(),
        about: model.about.clone(),
        labels: trained.labels.clone(),
        units: units(&trained.bert),
        checked: Checked { on: examples.what.clone(), largest_difference },
        cost: BTreeMap::from(cost),
        latency,
        device: device(model.machine),
        notes: notes(trained),
    };
    atomic_write(&dir.join("README.md"), card::text(&report, &trained.bert).as_bytes())?;
    finish(place, out)?;
    Ok(report)
}

fn notes(trained: &Trained) -> Vec<String> {
    let drawn = "the model that the mask was applied to has no head for the task; this one was drawn and is not trained";
    trained.fresh.then(|| drawn.to_owned()).into_iter().collect()
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    // Temporary folders are private by default; this one is to become an ordinary one.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder
}

/// Gives the folder its name; an empty folder may be there.
fn finish(place: tempfile::TempDir, out: &Path) -> Result<()> {
    check_out(out, true)?;
    if out.is_dir() {
        fs::remove_dir(out).map_err(|e| Error::io(out, "replace", &e))?;
    }
    fs::rename(place.path(), out).map_err(|e| Error::io(out, "write", &e))?;
    // It has moved: there is nothing left to remove.
    let _ = place.keep();
    Ok(())
}

fn read_again(dir: &Path, written: &Bert, tokenizer: &Tokenizer) -> Result<Bert> {
    let read = Pretrained::load(dir)?.build(written.head, 0, false)?;
    if Tokenizer::from_folder(dir)?.hash() != tokenizer.hash() {
        return Err(Error::internal(
            "the export was read again, and its tokenizer is another; nothing was kept",
        ));
    }
    Ok(read)
}

fn units(bert: &Bert) -> Units {
    let (layers, inner) = (bert.config.num_hidden_layers, bert.config.intermediate_size);
    let neurons = bert.shape.iter().map(|layer| layer.ffn.width(inner)).sum();
    Units {
        heads: [bert.heads(), layers * bert.config.num_attention_heads],
        ffns: [bert.ffns(), layers],
        neurons: [neurons, layers * inner],
    }
}

/// `config.json`; with a loader, transformers' Auto classes find it there.
fn config(bert: &Bert, labels: &[&str], loader: bool) -> Result<String> {
    let text = bert.to_config_json(labels)?;
    let mut config: Map<String, Value> =
        serde_json::from_str(&text).map_err(|e| Error::internal(e.to_string()))?;
    if loader {
        // Also where no unit is pruned: the loader reads it.
        config.insert("lottery".into(), json!({ "layers": bert.shape }));
        let own = TICKET_CLASSES[class_of(bert.head)];
        config.insert("auto_map".into(), json!({ auto_class(bert.head): own }));
    } else if config
        .get("auto_map")
        .is_some_and(|map| TICKET_CLASSES.contains(&map[auto_class(bert.head)].as_str().unwrap_or_default()))
    {
        config.shift_remove("auto_map");
    }
    serde_json::to_string_pretty(&config).map_err(|e| Error::internal(e.to_string()))
}

/// The place of a head's class among those of a family.
fn class_of(head: Head) -> usize {
    match head {
        Head::Classifier { .. } => 0,
        Head::MaskedLm => 1,
        Head::Spans => 2,
    }
}

/// The loader, with the names of a family's classes and tensors, and of the head's class, in the places of BERT's and the
/// classifier's.
fn loader(family: &Family, head: Head) -> String {
    let text = include_str!("modeling_ticket.py");
    let class = class_of(head);
    let kind = ["ForSequenceClassification", "ForMaskedLM", "ForQuestionAnswering"][class];
    let text = text.replace("ForSequenceClassification", kind);
    let names = |family: &Family| {
        let Family { qkv: [query, key, value], attention_output, up, down, .. } = *family;
        let layers = family.layers.trim_end_matches('.');
        let inner = family.key("intermediate_size");
        let modules = [layers, inner, query, key, value, attention_output, up, down];
        let quoted = modules.map(|module| format!("\"{module}\""));
        quoted.into_iter().chain([family.classes[class].to_owned()]).collect::<Vec<String>>()
    };
    let pairs = names(&BERT).into_iter().zip(names(family));
    pairs.fold(text, |text, (berts, own)| text.replace(&berts, &own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_has_the_names_of_its_family_and_head() {
        let classes = Head::Classifier { labels: 2 };
        assert_eq!(loader(&BERT, classes), include_str!("modeling_ticket.py"));
        let spans = loader(&BERT, Head::Spans);
        assert!(spans.contains("class TicketForQuestionAnswering(BertForQuestionAnswering):"), "{spans}");
        assert!(!spans.contains("SequenceClassification"), "{spans}");
        let other = Family {
            classes: ["OtherForSequenceClassification", "OtherForMaskedLM", "OtherForQuestionAnswering"],
            layers: "transformer.layer.",
            qkv: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            down: "ffn.lin2",
            ..BERT
        };
        assert!(loader(&other, Head::Spans).contains("import OtherForQuestionAnswering\n"));
        let text = loader(&other, classes);
        for wanted in [
            "import OtherForSequenceClassification\n",
            "class TicketForSequenceClassification(OtherForSequenceClassification):",
            "LAYERS, INNER = \"transformer.layer\",",
            "QUERY, KEY, VALUE = \"attention.q_lin\", \"attention.k_lin\", \"attention.v_lin\"",
            "OUTPUT, UP, DOWN = \"attention.output.dense\", \"intermediate.dense\", \"ffn.lin2\"",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
    }
}
