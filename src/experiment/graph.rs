//! The stages of a run and their order, which follow from its settings before anything is read or computed.

use super::stage::Stage;
use crate::{error::Result, store::canonical_json};
use serde_json::json;
use std::collections::HashMap;

/// The stages of one run, each after those that it reads.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// A stage and its place in the run.
pub struct Node {
    /// The stage's name in the record, its timing and its events.
    pub name: &'static str,
    /// The model that it evaluates, if any: `full`, `pruned` or `retrained`.
    pub model: Option<&'static str>,
    pub stage: Box<dyn Stage>,
}

impl Graph {
    /// Adds a stage, after those that it reads.
    pub fn add(&mut self, name: &'static str, model: Option<&'static str>, stage: impl Stage + 'static) {
        debug_assert!(self.node(name).is_none(), "two nodes are called {name}");
        debug_assert!(
            stage.reads().iter().all(|read| self.node(read).is_some()),
            "{name} reads a stage that comes later"
        );
        self.nodes.push(Node { name, model, stage: Box::new(stage) });
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Whether another stage reads this one. Runs share such stages.
    pub fn is_read(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.stage.reads().contains(&name))
    }

    /// Whether a stage after the node at `index` loads the weights of this one.
    pub fn is_loaded_after(&self, index: usize, name: &str) -> bool {
        self.nodes[index + 1..].iter().any(|node| node.stage.weights_of() == Some(name))
    }

    /// For each node, a text that is equal for all runs that share its stage, unless files change between them.
    ///
    /// The stages' ids are exact but require reading model and data. A mistake here only costs time: each stage has a
    /// lock.
    pub fn keys(&self) -> Result<Vec<String>> {
        let mut keys: HashMap<&str, String> = HashMap::new();
        for node in &self.nodes {
            let read: Vec<&String> = node.stage.reads().iter().filter_map(|name| keys.get(name)).collect();
            let text = canonical_json(&json!([node.stage.settings(), read]))?;
            keys.insert(node.name, blake3::hash(text.as_bytes()).to_hex().to_string());
        }
        Ok(self.nodes.iter().filter_map(|node| keys.remove(node.name)).collect())
    }

    /// The [keys](Self::keys) of the nodes that other stages read.
    pub fn shared(&self) -> Result<Vec<String>> {
        let keyed = self.nodes.iter().zip(self.keys()?);
        Ok(keyed.filter(|(node, _)| self.is_read(node.name)).map(|(_, key)| key).collect())
    }
}
