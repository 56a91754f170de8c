//! A model of several tasks: one encoder, and a classifier for each task.

use super::{
    bert::{Bert, draw},
    config::BertConfig,
    family::of_head,
    gates::Gates,
    params::{Head, Layout, Owner, Params},
    tensors::{Tensor, TensorFile},
};
use crate::error::{Error, Result};
use std::{collections::BTreeMap, ops::Range, path::Path};

impl Bert {
    /// A model of several tasks, by their numbers of labels, with the weights of this one, whose classifier is the first task's. The
    /// others' are drawn from the seed, each from a stream of its own: classifiers that begin alike read the same directions of the
    /// encoder's output, and their tasks hinder each other.
    pub fn of_several(self, labels: &[usize], seed: u64) -> Self {
        let layout = Layout::of_several(&self.config, labels);
        let mut params = Params::zeros(layout);
        params.data[..self.params.data.len()].copy_from_slice(&self.params.data);
        for (n, [weight, _]) in params.layout.classifiers.iter().enumerate().skip(1) {
            let [name, _] = of_head(&format!("classifiers.{n}"));
            draw(&mut params.data[weight.clone()], seed, &name, self.config.initializer_range);
        }
        Self { params, ..self }
    }

    /// The model of several tasks in a file of [`to_safetensors`](Self::to_safetensors).
    ///
    /// # Errors
    /// `Data` when it is not the file of a model of this shape.
    pub fn read_several(config: &BertConfig, labels: &[usize], path: &Path) -> Result<Self> {
        let head = Head::Classifier { labels: labels.first().copied().unwrap_or(1) };
        let params = Params::zeros(Layout::of_several(config, labels));
        let mut bert = Self { config: config.clone(), shape: config.full_shape(), head, params };
        let file = TensorFile::open(path)?;
        let stored: BTreeMap<String, Tensor> =
            file.infos().map(|(name, dtype, shape)| (name.to_owned(), Tensor::new(dtype, shape))).collect();
        let wrong = |name: &str| {
            Error::data(format!(
                "{}: {name} is missing or of another shape. The file is damaged.",
                path.display()
            ))
        };
        let Params { layout, data } = &mut bert.params;
        let places: BTreeMap<&str, Range<usize>> =
            layout.entries.iter().map(|entry| (entry.name.as_str(), entry.range.clone())).collect();
        let lacking = layout.entries.iter().find(|entry| {
            stored.get(&entry.name).is_none_or(|tensor| !tensor.is_float() || tensor.shape != entry.shape)
        });
        if let Some(entry) = lacking {
            return Err(wrong(&entry.name));
        }
        file.read(&|name| places.contains_key(name), &mut |name, bytes| match stored[name]
            .copy_to(bytes, &mut data[places[name].clone()])
        {
            true => Ok(()),
            false => Err(wrong(name)),
        })?;
        Ok(bert)
    }

    /// Computes with the classifier of this task from here on.
    pub fn choose_classifier(&mut self, n: usize) {
        self.head = self.params.layout.choose_classifier(n);
    }

    /// The model of one of the tasks.
    pub fn alone(&self, n: usize) -> Self {
        let classifier = &self.params.layout.classifiers[n];
        let head = Head::Classifier { labels: classifier[1].len() };
        let mut alone = Self::zeros(self.config.clone(), self.shape.clone(), head);
        let encoder = alone.params.layout.classifier_weight.start;
        alone.params.data[..encoder].copy_from_slice(&self.params.data[..encoder]);
        let Layout { classifier_weight, classifier_bias, .. } = &alone.params.layout;
        for (own, of_all) in [classifier_weight, classifier_bias].into_iter().zip(classifier) {
            alone.params.data[own.clone()].copy_from_slice(&self.params.data[of_all.clone()]);
        }
        alone
    }
}

impl Layout {
    /// Takes the classifier of this task, of several, from here on; the head that this is.
    pub fn choose_classifier(&mut self, n: usize) -> Head {
        let [weight, bias] = self.classifiers[n].clone();
        let labels = bias.len();
        (self.classifier_weight, self.classifier_bias) = (weight, bias);
        Head::Classifier { labels }
    }

    /// Where the weights lie of the heads and FFNs of an unpruned model whose gates are 0: a head's rows of queries, keys and
    /// values and its columns of the output matrix, an FFN with both its biases. Ascending.
    pub fn of_closed(&self, gates: &Gates, config: &BertConfig) -> Vec<Range<usize>> {
        let (heads, d) = (config.num_attention_heads, config.head_size());
        let closed = |layer: usize| (0..heads).filter(move |head| gates.heads[layer * heads + head] == 0.0);
        let mut found = Vec::new();
        for entry in &self.entries {
            let start = entry.range.start;
            match entry.owner {
                Owner::Heads { layer, columns: false } => {
                    let size = d * entry.shape.get(1).copied().unwrap_or(1);
                    found.extend(closed(layer).map(|head| start + head * size..start + (head + 1) * size));
                }
                Owner::Heads { layer, columns: true } => {
                    let width = heads * d;
                    let rows = (0..entry.shape[0]).map(|row| start + row * width);
                    found.extend(
                        rows.flat_map(|row| closed(layer).map(move |n| row + n * d..row + (n + 1) * d)),
                    );
                }
                Owner::Neurons { layer, .. } if gates.ffns[layer] == 0.0 => found.push(entry.range.clone()),
                Owner::Layer(layer)
                    if gates.ffns[layer] == 0.0 && entry.range == self.layers[layer].down_bias =>
                {
                    found.push(entry.range.clone());
                }
                Owner::Model | Owner::Layer(_) | Owner::Neurons { .. } => {}
            }
        }
        found
    }
}
