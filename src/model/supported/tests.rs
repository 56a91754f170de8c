use super::*;
use serde_json::json;

fn checked(mut config: Value, key: &str, value: Value) -> Result<Activation, Refusal> {
    config[key] = value;
    check(config.as_object().unwrap()).map(|(_, activation)| activation)
}

fn with(key: &str, value: Value) -> Result<(), Refusal> {
    let config = json!({
        "model_type": "bert", "hidden_size": 32, "num_attention_heads": 4, "hidden_act": "gelu",
        "architectures": ["BertForMaskedLM"], "is_decoder": false, "pruned_heads": {},
    });
    checked(config, key, value).map(drop)
}

#[test]
fn what_changes_another_familys_computation_is_refused_by_its_key() {
    let roberta = json!({
        "model_type": "roberta", "hidden_size": 32, "num_attention_heads": 4, "hidden_act": "gelu",
        "architectures": ["RobertaForMaskedLM"], "pad_token_id": 1,
    });
    let distilbert = json!({
        "model_type": "distilbert", "dim": 32, "n_heads": 4, "activation": "gelu",
        "architectures": ["DistilBertForMaskedLM"], "sinusoidal_pos_embds": false,
    });
    for (config, key, value) in [
        (&roberta, "hidden_act", json!("silu")),
        (&roberta, "is_decoder", json!(true)),
        (&roberta, "position_embedding_type", json!("relative_key")),
        (&roberta, "architectures", json!(["RobertaPreLayerNormForMaskedLM"])),
        (&roberta, "architectures", json!(["BertForMaskedLM"])),
        (&roberta, "architectures", json!(["XLMRobertaModel"])),
        (&roberta, "model_type", json!("xlm-roberta")),
        (&distilbert, "sinusoidal_pos_embds", json!(true)),
        (&distilbert, "activation", json!("gelu_10")),
        (&distilbert, "head_dim", json!(16)),
        (&distilbert, "architectures", json!(["BertForMaskedLM"])),
        (&distilbert, "quantization_config", json!({ "quant_method": "gptq" })),
    ] {
        let refusal = checked(config.clone(), key, value.clone()).expect_err(&format!("{key} {value}"));
        assert!(refusal.starts_with(key) && refusal.ends_with('.'), "{refusal}");
    }
    for (config, key, value, activation) in [
        (&roberta, "pad_token_id", json!(0), Activation::Gelu),
        (&roberta, "hidden_act", json!("gelu_new"), Activation::GeluTanh),
        (&distilbert, "activation", json!("relu"), Activation::Relu),
        // A key of BERT's that DistilBERT does not read.
        (&distilbert, "hidden_act", json!("silu"), Activation::Gelu),
        (&distilbert, "head_dim", json!(8), Activation::Gelu),
        (&distilbert, "pad_token_id", json!(0), Activation::Gelu),
    ] {
        assert_eq!(checked(config.clone(), key, value), Ok(activation), "{key}");
    }
}

#[test]
fn what_changes_the_computation_is_refused_by_its_key() {
    for (key, value) in [
        ("model_type", json!("albert")),
        ("model_type", json!("deberta-v2")),
        ("model_type", json!("electra")),
        ("model_type", json!("modernbert")),
        ("model_type", json!("nomic_bert")),
        ("model_type", json!(7)),
        ("hidden_act", json!("silu")),
        ("hidden_act", json!("quick_gelu")),
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
        ("auto_map", json!({ "AutoModel": TICKET_CLASSES[1] })),
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
        ("hidden_act", json!("gelu_new")),
        ("hidden_act", json!("relu")),
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
    assert!(refusal.chars().count() < 300, "{refusal}");
}
