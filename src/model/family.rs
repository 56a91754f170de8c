//! What differs between encoders that are computed as BERT is: a table for each family, which loading, saving and the
//! passes read. Names are those of Hugging Face's classes.

/// A family of encoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// What `architectures` calls it with a classifier, and with a masked-LM head.
    pub classes: [&'static str; 2],
    /// Values of `hidden_act`, the first being the published one: names of the exact GELU, the activation that is computed.
    pub activations: &'static [&'static str],
    /// The row of the table of positions that a sequence's first token takes; those before it belong to no token.
    pub position_offset: usize,

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
    /// Between the encoder and the classifier, if the family has it.
    pub pooler: Option<&'static str>,

    /// The heads' names, without the prefix.
    pub classifier: &'static str,
    pub transform: &'static str,
    pub transform_norm: &'static str,
    /// The masked-LM decoder's bias, as it is written, and under another name that is read as well.
    pub decoder_bias: [&'static str; 2],
    /// What all tensors of heads begin with.
    pub heads: &'static [&'static str],
}

/// Devlin et al. 2019.
pub const BERT: Family = Family {
    model_type: "bert",
    classes: ["BertForSequenceClassification", "BertForMaskedLM"],
    activations: &["gelu", "gelu_python"],
    position_offset: 0,
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
    pooler: Some("pooler.dense"),
    classifier: "classifier",
    transform: "cls.predictions.transform.dense",
    transform_norm: "cls.predictions.transform.LayerNorm",
    decoder_bias: ["cls.predictions.bias", "cls.predictions.decoder.bias"],
    heads: &["classifier.", "cls."],
};

/// All that are computed.
pub const FAMILIES: &[&Family] = &[
    &BERT,
    #[cfg(test)]
    &tests::OTHER,
];

impl Family {
    /// The family of this `model_type`; config.json files without one are BERT's.
    pub fn named(model_type: Option<&str>) -> Option<&'static Self> {
        let model_type = model_type.unwrap_or(BERT.model_type);
        FAMILIES.iter().copied().find(|family| family.model_type == model_type)
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

    /// Whether it is the pooler's.
    pub fn is_of_pooler(&self, name: &str) -> bool {
        self.pooler.is_some_and(|pooler| name.strip_prefix(pooler).is_some_and(|rest| rest.starts_with('.')))
    }
}

#[cfg(test)]
mod tests;
