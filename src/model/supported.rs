//! Which `config.json` describes an encoder that is computed here. Whatever changes the computation and is not implemented is
//! refused by its key: a model that runs and is not what its file describes gives wrong numbers without a word.

use super::family::{FAMILIES, Family};
use crate::{error::excerpt, ops::activation::Activation};
use serde_json::{Map, Value};

type Refusal = String;

/// The class that loads an exported ticket in transformers: what it computes is computed here.
pub const TICKET_CLASSES: [&str; 3] = [
    "modeling_ticket.TicketForSequenceClassification",
    "modeling_ticket.TicketForMaskedLM",
    "modeling_ticket.TicketForQuestionAnswering",
];

/// The values that leave the computation as it is; a key that is missing or `null` has its default, which is one of them.
const POSITIONS: (&str, &[&str]) = ("position_embedding_type", &["absolute"]);

/// What transformers calls the activations; the first name of each is the one that is written.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("relu", Activation::Relu),
];

/// Switches whose published value is off, and what they do.
const OFF: &[(&str, &str)] = &[
    ("is_decoder", "attention to earlier words alone"),
    ("add_cross_attention", "attention to a second model"),
    ("is_encoder_decoder", "a second model"),
];

/// Keys that a plain model does not have, or has empty, what they are, and what helps.
const ABSENT: &[(&str, &str, &str)] = &[
    (
        "pruned_heads",
        "heads that transformers removed",
        "Give --model the whole model that they were removed from.",
    ),
    ("quantization_config", "quantized weights", "Choose the model's original weights (f32, f16 or bf16)."),
    ("compression_config", "compressed weights", "Choose the model's original weights (f32, f16 or bf16)."),
    ("per_layer_config", "layers of different forms", "Choose a model whose layers are alike."),
];

/// Families whose models some folders give another family's `model_type`, by the beginning of their classes' names.
const OTHER_FAMILIES: &[&str] = &[
    "Albert",
    "AltCLIP",
    "Bart",
    "Bert",
    "BertGeneration",
    "BigBird",
    "Bros",
    "Camembert",
    "Canine",
    "ChineseCLIP",
    "ConvBert",
    "Data2Vec",
    "Deberta",
    "DistilBert",
    "Electra",
    "Ernie",
    "Esm",
    "EuroBert",
    "Flaubert",
    "FNet",
    "Funnel",
    "Gte",
    "IBert",
    "JinaBert",
    "JinaEmbeddings",
    "LayoutLM",
    "Lilt",
    "Longformer",
    "Luke",
    "Lxmert",
    "MarkupLM",
    "MegatronBert",
    "MobileBert",
    "ModernBert",
    "MPNet",
    "Mra",
    "Nezha",
    "NomicBert",
    "Nystromformer",
    "QDQBert",
    "RemBert",
    "RetriBert",
    "Roberta",
    "RobertaPreLayerNorm",
    "RoCBert",
    "RoFormer",
    "Splinter",
    "SqueezeBert",
    "Tapas",
    "VisualBert",
    "XLMRoberta",
    "Xmod",
    "Yoso",
];

/// The name of an activation.
pub(super) fn name(activation: Activation) -> &'static str {
    ACTIVATIONS.iter().find(|(_, of)| *of == activation).map_or("gelu", |(name, _)| name)
}

/// The family and the activation, or why this is no encoder that is computed here.
///
/// # Errors
/// One or two sentences that name the key, its value and the remedy.
pub fn check(config: &Map<String, Value>) -> Result<(&'static Family, Activation), Refusal> {
    let config = &Keys(config);
    let family = check_family(config)?;
    let activation = match &config[family.activation_key] {
        Value::Null => Activation::default(),
        other => {
            let known = ACTIVATIONS.iter().find(|(name, _)| other.as_str() == Some(name));
            known.map(|(_, activation)| *activation).ok_or_else(|| {
                let names: Vec<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
                format!(
                    "{} is {}, and lottery computes {} only. Choose a model that has one of these.",
                    family.activation_key,
                    short(other),
                    names.join(", ")
                )
            })?
        }
    };
    let (key, known) = POSITIONS;
    match &config[key] {
        Value::Null => {}
        Value::String(value) if known.contains(&&**value) => {}
        other => {
            return Err(format!(
                "{key} is {}; lottery has \"{}\" only, the published BERT's. Choose a model that has it.",
                short(other),
                known[0]
            ));
        }
    }
    for (key, why) in family.off {
        // A missing key has its default, which `null` replaces in some files.
        if config.0.get(*key).is_some_and(|value| *value != false) {
            return Err(format!(
                "{key} is {}, and lottery computes false only: {why}. Choose a model that has it.",
                short(&config[*key])
            ));
        }
    }
    for (key, what) in OFF {
        if !matches!(config[*key], Value::Null | Value::Bool(false)) {
            return Err(format!(
                "{key} is {}, which asks for {what}, and lottery computes encoders only. Choose a model that says false.",
                short(&config[*key])
            ));
        }
    }
    for (key, what, remedy) in ABSENT {
        if !is_empty(&config[*key]) {
            return Err(format!(
                "{key} is {}: {what}, which lottery does not compute. {remedy}",
                short(&config[*key])
            ));
        }
    }
    check_adapters(&config["adapters"])?;
    if !matches!(config["tie_word_embeddings"], Value::Null | Value::Bool(_)) {
        return Err(format!(
            "tie_word_embeddings is {}, and true or false is needed. Fetch the model's own file again.",
            short(&config["tie_word_embeddings"])
        ));
    }
    check_widths(config, family)?;
    Ok((family, activation))
}

/// The keys of an object; one that is missing is null.
struct Keys<'a>(&'a Map<String, Value>);

impl std::ops::Index<&str> for Keys<'_> {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.0.get(key).unwrap_or(&Value::Null)
    }
}

/// adapter-transformers writes this key for every model, and lists in it the layers that were added, if any.
fn check_adapters(key: &Value) -> Result<(), Refusal> {
    let none = match key {
        Value::Object(map) => ["adapters", "fusions"].iter().all(|list| map.get(*list).is_none_or(is_empty)),
        other => is_empty(other),
    };
    if none {
        return Ok(());
    }
    Err(format!(
        "adapters is {}: adapter layers, which lottery does not compute. Merge them into the model, or choose the model \
         without them.",
        short(key)
    ))
}

fn check_family(config: &Keys) -> Result<&'static Family, Refusal> {
    let family = match &config["model_type"] {
        Value::Null => Family::named(None),
        other => other.as_str().and_then(|kind| Family::named(Some(kind))),
    };
    let family = family.ok_or_else(|| {
        format!(
            "model_type is {}, and lottery runs {} only. Choose a model whose config.json says one of these.",
            short(&config["model_type"]),
            model_types()
        )
    })?;
    let classes = config["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for class in classes {
        // transformers 4 has the same classes for TensorFlow and Flax.
        let plain = ["TF", "Flax"].iter().find_map(|other| class.strip_prefix(other)).unwrap_or(class);
        let is_other = |other: &&str| *other != family.class_prefix && plain.starts_with(*other);
        if OTHER_FAMILIES.iter().any(is_other) {
            return Err(format!(
                "architectures names {}, which is another family than model_type's ({}). Choose a model whose classes are of \
                 that family, such as {}.",
                short(&class.into()),
                family.model_type,
                family.classes[1]
            ));
        }
    }
    // A tokenizer or a configuration class of its own computes no layer.
    let own = config["auto_map"].as_object().into_iter().flatten();
    let is_ticket =
        |code: &Value| TICKET_CLASSES.iter().any(|own| code == own) && config["lottery"].is_object();
    match own.into_iter().find(|(class, code)| class.starts_with("AutoModel") && !is_ticket(code)) {
        Some((class, code)) => Err(format!(
            "auto_map has {class} {}: the model is computed by code of its own, which lottery does not run. Choose a model \
             without it.",
            short(code)
        )),
        None => Ok(family),
    }
}

/// As a list for a message.
fn model_types() -> String {
    FAMILIES.iter().map(|family| format!("{:?}", family.model_type)).collect::<Vec<_>>().join(", ")
}

/// Widths that an encoder has from `hidden_size` and `num_attention_heads`.
fn check_widths(config: &Keys, family: &Family) -> Result<(), Refusal> {
    let of = |key: &'static str| config[family.key(key)].as_u64().or(config[key].as_u64());
    let hidden = of("hidden_size");
    let head = hidden.zip(of("num_attention_heads")).and_then(|(h, n)| h.checked_div(n));
    for (key, usual) in [("embedding_size", hidden), ("head_dim", head), ("attention_head_size", head)] {
        let given = &config[key];
        if let Some(usual) = usual
            && !given.is_null()
            && given.as_u64() != Some(usual)
        {
            return Err(format!(
                "{key} is {}, and it is {usual} for these sizes in BERT, RoBERTa and DistilBERT; others are not computed. Choose \
                 another model.",
                short(given)
            ));
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// As JSON, cut where it is long.
pub(super) fn short(value: &Value) -> String {
    excerpt(&value.to_string()).into_owned()
}

#[cfg(test)]
mod tests;
