//! What differs between encoders that are computed as BERT is: a table for each family, which loading, saving and the
//! passes read. Names are those of Hugging Face's classes.

use crate::ops::activation::{Activation, PoolerActivation};

/// A linear layer between the encoder and the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooler {
    pub name: &'static str,
    pub activation: PoolerActivation,
    /// Whether its name has the encoder's prefix, so that a pre-trained model has it; else it is the classifier's own.
    pub of_encoder: bool,
    /// Whether the classifier's dropout is applied to its input as well as to its output.
    pub drops_input: bool,
}

/// A family of encoders.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// What `architectures` calls it with a classifier, with a masked-LM head, and with a span head.
    pub classes: [&'static str; 3],
    /// What the names of all its classes begin with.
    pub class_prefix: &'static str,
    /// The key of the activation, `hidden_act` in BERT's config.json.
    pub activation_key: &'static str,
    /// Keys of sizes that have other names than in BERT's config.json: BERT's, and the family's.
    pub keys: &'static [(&'static str, &'static str)],
    /// BERT's keys that this family does not have; their values are the published BERT's.
    pub fixed_keys: &'static [&'static str],
    /// The keys of the dropout of hidden states, of attention and of the classifier's input, and what counts where a key
    /// is missing: a number, or the hidden states' dropout.
    pub dropouts: [(&'static str, Option<f64>); 3],
    /// Further switches of which only false is computed, which is also what a missing key stands for, and why.
    pub off: &'static [(&'static str, &'static str)],
    /// Whether dropout is applied to the attention's output, as it is to the FFN's.
    pub drops_attention_output: bool,
    /// Whether dropout is applied to what the span head reads.
    pub drops_span_input: bool,
    /// The activation of the masked-LM head; the config's own where there is none.
    pub transform_activation: Option<Activation>,
    /// The row of the table of positions that a sequence's first token takes; those before it belong to no token.
    pub position_offset: usize,
    /// Where positions are counted from padding: the id of padding if config.json has no `pad_token_id`. Tokens of this id
    /// take the row of this number, count for none, and are not learnt (`padding_idx` of transformers); other tokens take
    /// the rows behind it.
    pub padding: Option<u32>,

    /// What all of the encoder's names begin with; some files leave it out.
    pub prefix: &'static str,
    pub words: &'static str,
    pub positions: &'static str,
    /// The table of token types (segments), if the family has them.
    pub token_types: Option<&'static str>,
    pub embedding_norm: &'static str,
    /// What stands before a layer's number.
    pub layers: &'static str,
    /// Within a layer: queries, keys and values.
    pub qkv: [&'static str; 3],
    pub attention_output: &'static str,
    pub attention_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub ffn_norm: &'static str,
    pub pooler: Option<Pooler>,

    /// The heads' names, without the prefix.
    pub classifier: &'static str,
    pub spans: &'static str,
    pub transform: &'static str,
    pub transform_norm: &'static str,
    /// The masked-LM decoder's bias, as it is written, and under another name that is read as well.
    pub decoder_bias: [&'static str; 2],
    /// What all tensors of heads begin with, and others of the file that take no part.
    pub heads: &'static [&'static str],
}

/// Devlin et al. 2019.
pub const BERT: Family = Family {
    model_type: "bert",
    classes: ["BertForSequenceClassification", "BertForMaskedLM", "BertForQuestionAnswering"],
    class_prefix: "Bert",
    activation_key: "hidden_act",
    keys: &[],
    fixed_keys: &[],
    dropouts: [
        ("hidden_dropout_prob", Some(0.1)),
        ("attention_probs_dropout_prob", Some(0.1)),
        ("classifier_dropout", None),
    ],
    off: &[],
    drops_attention_output: true,
    drops_span_input: false,
    transform_activation: None,
    position_offset: 0,
    padding: None,
    prefix: "bert.",
    words: "embeddings.word_embeddings",
    positions: "embeddings.position_embeddings",
    token_types: Some("embeddings.token_type_embeddings"),
    embedding_norm: "embeddings.LayerNorm",
    layers: "encoder.layer.",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    ffn_norm: "output.LayerNorm",
    pooler: Some(Pooler {
        name: "pooler.dense",
        activation: PoolerActivation::Tanh,
        of_encoder: true,
        drops_input: false,
    }),
    classifier: "classifier",
    spans: "qa_outputs",
    transform: "cls.predictions.transform.dense",
    transform_norm: "cls.predictions.transform.LayerNorm",
    decoder_bias: ["cls.predictions.bias", "cls.predictions.decoder.bias"],
    heads: &["classifier.", "cls.", "qa_outputs."],
};

/// Liu et al. 2019: BERT's encoder under another name. Row 1 of the positions usually belongs to padding, so that the first
/// token has row 2.
pub const ROBERTA: Family = Family {
    model_type: "roberta",
    classes: ["RobertaForSequenceClassification", "RobertaForMaskedLM", "RobertaForQuestionAnswering"],
    class_prefix: "Roberta",
    transform_activation: Some(Activation::Gelu),
    padding: Some(1),
    prefix: "roberta.",
    pooler: Some(Pooler {
        name: "classifier.dense",
        activation: PoolerActivation::Tanh,
        of_encoder: false,
        drops_input: true,
    }),
    classifier: "classifier.out_proj",
    transform: "lm_head.dense",
    transform_norm: "lm_head.layer_norm",
    decoder_bias: ["lm_head.bias", "lm_head.decoder.bias"],
    // Some files have a pooler of BERT's kind, which no head of RoBERTa reads.
    heads: &["classifier.", "lm_head.", "qa_outputs.", "pooler."],
    ..BERT
};

/// Sanh et al. 2019: BERT with half the layers, without token types, and with ReLU in the pooler's place of tanh.
pub const DISTILBERT: Family = Family {
    model_type: "distilbert",
    classes: [
        "DistilBertForSequenceClassification",
        "DistilBertForMaskedLM",
        "DistilBertForQuestionAnswering",
    ],
    class_prefix: "DistilBert",
    activation_key: "activation",
    keys: &[
        ("hidden_size", "dim"),
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_heads"),
        ("intermediate_size", "hidden_dim"),
    ],
    fixed_keys: &["type_vocab_size", "layer_norm_eps"],
    dropouts: [("dropout", Some(0.1)), ("attention_dropout", Some(0.1)), ("seq_classif_dropout", Some(0.2))],
    off: &[("sinusoidal_pos_embds", "it asks for positions that are not trained")],
    drops_attention_output: false,
    drops_span_input: true,
    prefix: "distilbert.",
    token_types: None,
    layers: "transformer.layer.",
    qkv: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    ffn_norm: "output_layer_norm",
    pooler: Some(Pooler {
        name: "pre_classifier",
        activation: PoolerActivation::Relu,
        of_encoder: false,
        drops_input: false,
    }),
    transform: "vocab_transform",
    transform_norm: "vocab_layer_norm",
    decoder_bias: ["vocab_projector.bias", "vocab_projector.bias"],
    heads: &["classifier.", "pre_classifier.", "qa_outputs.", "vocab_"],
    ..BERT
};

/// All that are computed.
pub const FAMILIES: &[&Family] = &[
    &BERT,
    &ROBERTA,
    &DISTILBERT,
    #[cfg(test)]
    &tests::OTHER,
];

impl Family {
    /// The family of this `model_type`; config.json files without one are BERT's.
    pub fn named(model_type: Option<&str>) -> Option<&'static Self> {
        let model_type = model_type.unwrap_or(BERT.model_type);
        FAMILIES.iter().copied().find(|family| family.model_type == model_type)
    }

    /// The name that a key of BERT's config.json has in this family's.
    pub fn key(&self, berts: &'static str) -> &'static str {
        self.keys.iter().find(|(key, _)| *key == berts).map_or(berts, |(_, own)| own)
    }

    /// The names of the pooler's weight and bias.
    pub fn pooler_names(&self) -> Option<[String; 2]> {
        self.pooler
            .map(|pooler| if pooler.of_encoder { self.both(pooler.name) } else { of_head(pooler.name) })
    }

    /// The name of a part of the encoder's weight.
    pub fn weight(&self, part: &str) -> String {
        format!("{}{part}.weight", self.prefix)
    }

    /// The names of a part of the encoder's weight and bias, or scale and shift.
    pub fn both(&self, part: &str) -> [String; 2] {
        ["weight", "bias"].map(|kind| format!("{}{part}.{kind}", self.prefix))
    }

    /// A tensor's name without the prefix, and LayerNorm's old TensorFlow names replaced.
    pub fn plain_name(&self, name: &str) -> String {
        let name = name.strip_prefix(self.prefix).unwrap_or(name);
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    }

    /// Whether a tensor of this plain name belongs to what stands on the encoder; a file may have other heads than the
    /// one that is wanted.
    pub fn is_of_head(&self, name: &str) -> bool {
        self.heads.iter().any(|head| name.starts_with(head))
    }

    /// Whether it is the encoder's pooler's.
    pub fn is_of_pooler(&self, name: &str) -> bool {
        let of = |pooler: Pooler| name.strip_prefix(pooler.name).is_some_and(|rest| rest.starts_with('.'));
        self.pooler.filter(|pooler| pooler.of_encoder).is_some_and(of)
    }
}

/// The names of a part of a head: weight and bias, or scale and shift.
pub fn of_head(part: &str) -> [String; 2] {
    ["weight", "bias"].map(|kind| format!("{part}.{kind}"))
}

#[cfg(test)]
mod tests;
