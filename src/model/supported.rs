//! Which `config.json` describes a BERT that is computed here. Whatever changes the computation and is not implemented is
//! refused by its key: a model that runs and is not what its file describes gives wrong numbers without a word.

use super::family::Family;
use crate::error::excerpt;
use serde_json::Value;

type Refusal = String;

/// The class that loads an exported ticket in transformers: what it computes is computed here.
pub const TICKET_CLASS: &str = "modeling_ticket.TicketForSequenceClassification";

/// The values that leave the computation as it is; a key that is missing or `null` has its default, which is one of them.
const POSITIONS: (&str, &[&str]) = ("position_embedding_type", &["absolute"]);

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

/// Families whose models some folders call `"model_type": "bert"`, by the beginning of their classes' names.
const OTHER_FAMILIES: &[&str] = &[
    "Albert",
    "AltCLIP",
    "Bart",
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

/// Why this is no BERT that is computed here.
///
/// # Errors
/// One or two sentences that name the key, its value and the remedy.
pub fn check(config: &Value) -> Result<&'static Family, Refusal> {
    let family = check_family(config)?;
    for (key, known) in [("hidden_act", family.activations), POSITIONS] {
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
    check_widths(config)?;
    Ok(family)
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

fn check_family(config: &Value) -> Result<&'static Family, Refusal> {
    let family = match &config["model_type"] {
        Value::Null => Family::named(None),
        other => other.as_str().and_then(|kind| Family::named(Some(kind))),
    };
    let family = family.ok_or_else(|| {
        format!(
            "model_type is {}, and lottery runs BERT only. Choose a model whose config.json says \
             \"model_type\": \"bert\".",
            short(&config["model_type"])
        )
    })?;
    let classes = config["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for class in classes {
        // transformers 4 has the same classes for TensorFlow and Flax.
        let plain = ["TF", "Flax"].iter().find_map(|other| class.strip_prefix(other)).unwrap_or(class);
        if OTHER_FAMILIES.iter().any(|other| plain.starts_with(other)) {
            return Err(format!(
                "architectures names {}, which is another family than BERT, and lottery runs BERT only. Choose a model of \
                 BERT's own classes, such as BertForMaskedLM.",
                short(&class.into())
            ));
        }
    }
    // A tokenizer or a configuration class of its own computes no layer.
    let own = config["auto_map"].as_object().into_iter().flatten();
    let is_ticket = |code: &Value| *code == TICKET_CLASS && config["lottery"].is_object();
    match own.into_iter().find(|(class, code)| class.starts_with("AutoModel") && !is_ticket(code)) {
        Some((class, code)) => Err(format!(
            "auto_map has {class} {}: the model is computed by code of its own, which lottery does not run. Choose a model \
             without it.",
            short(code)
        )),
        None => Ok(family),
    }
}

/// Widths that a BERT has from `hidden_size` and `num_attention_heads`.
fn check_widths(config: &Value) -> Result<(), Refusal> {
    let hidden = config["hidden_size"].as_u64();
    let head = hidden.zip(config["num_attention_heads"].as_u64()).and_then(|(h, n)| h.checked_div(n));
    for (key, usual) in [("embedding_size", hidden), ("head_dim", head), ("attention_head_size", head)] {
        let given = &config[key];
        if let Some(usual) = usual
            && !given.is_null()
            && given.as_u64() != Some(usual)
        {
            return Err(format!(
                "{key} is {}, and BERT's is {usual} for these sizes; other ones are not computed. Choose a BERT model.",
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
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: &str, value: Value) -> Result<(), Refusal> {
        let mut config = json!({
            "model_type": "bert", "hidden_size": 32, "num_attention_heads": 4, "hidden_act": "gelu",
            "architectures": ["BertForMaskedLM"], "is_decoder": false, "pruned_heads": {},
        });
        config[key] = value;
        check(&config).map(drop)
    }

    #[test]
    fn what_changes_the_computation_is_refused_by_its_key() {
        for (key, value) in [
            ("model_type", json!("roberta")),
            ("model_type", json!(7)),
            ("hidden_act", json!("gelu_new")),
            ("hidden_act", json!("gelu_pytorch_tanh")),
            ("hidden_act", json!({ "name": "gelu" })),
            ("position_embedding_type", json!("relative_key_query")),
            ("position_embedding_type", json!("alibi")),
            ("is_decoder", json!(true)),
            ("is_decoder", json!("yes")),
            ("add_cross_attention", json!(true)),
            ("is_encoder_decoder", json!(true)),
            ("pruned_heads", json!({ "0": [1, 2] })),
            ("quantization_config", json!({ "quant_method": "bitsandbytes" })),
            ("compression_config", json!({ "format": "int-quantized" })),
            ("adapters", json!({ "adapters": { "sst-2": "task" }, "config_map": {} })),
            ("adapters", json!({ "adapters": {}, "fusions": { "a,b": null } })),
            ("adapters", json!(["sst-2"])),
            ("per_layer_config", json!({ "3": { "intermediate_size": 64 } })),
            ("tie_word_embeddings", json!("false")),
            ("architectures", json!(["TFRobertaForMaskedLM"])),
            ("architectures", json!(["BertGenerationEncoder"])),
            ("architectures", json!(["RobertaForMaskedLM"])),
            ("architectures", json!(["BertModel", "JinaBertForMaskedLM"])),
            ("auto_map", json!({ "AutoModel": "modeling.Other" })),
            ("auto_map", json!({ "AutoModel": TICKET_CLASS })),
            ("embedding_size", json!(16)),
            ("head_dim", json!(16)),
            ("attention_head_size", json!("8")),
        ] {
            let refusal = with(key, value.clone()).expect_err(&format!("{key} {value}"));
            assert!(refusal.starts_with(key) && refusal.ends_with('.'), "{refusal}");
        }
    }

    #[test]
    fn what_leaves_the_computation_as_it_is_is_taken() {
        for (key, value) in [
            ("model_type", Value::Null),
            ("hidden_act", Value::Null),
            ("hidden_act", json!("gelu_python")),
            ("pruned_heads", Value::Null),
            ("quantization_config", Value::Null),
            ("architectures", Value::Null),
            ("architectures", json!(["BertForPreTraining"])),
            ("architectures", json!(["HF_ColBERT"])),
            ("auto_map", json!({ "AutoTokenizer": ["tokenization.Own", null] })),
            ("adapters", json!({ "adapters": {}, "config_map": {}, "fusion_config_map": {}, "fusions": {} })),
            ("per_layer_config", json!({})),
            ("tie_word_embeddings", json!(false)),
            ("architectures", json!(["TFBertForMaskedLM", "FlaxBertModel"])),
            ("embedding_size", json!(32)),
            ("head_dim", json!(8)),
            ("chunk_size_feed_forward", json!(64)),
            ("output_hidden_states", json!(true)),
            ("classifier_dropout", json!(0.3)),
            ("problem_type", json!("multi_label_classification")),
            ("an unknown key", json!([1, 2])),
        ] {
            assert_eq!(with(key, value.clone()), Ok(()), "{key} {value}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let refusal = with("hidden_act", json!("ä".repeat(100_000))).unwrap_err();
        assert!(refusal.chars().count() < 200, "{refusal}");
    }
}
