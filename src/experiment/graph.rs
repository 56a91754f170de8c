//! What a run needs, in which order: known from its settings, before anything is read or computed.

use super::stage::Stage;
use crate::{error::Result, store::canonical_json};
use serde_json::json;
use std::collections::HashMap;

/// The stages of one run; each stands behind those that it reads.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// A stage and its place in the run.
pub struct Node {
    /// Names the stage in the record, its timing and its events.
    pub name: &'static str,
    /// The model that its scores are of: `full`, `pruned`, `retrained`.
    pub model: Option<&'static str>,
    pub stage: Box<dyn Stage>,
}

impl Graph {
    /// Adds a stage behind those that it reads.
    pub fn add(&mut self, name: &'static str, model: Option<&'static str>, stage: impl Stage + 'static) {
        debug_assert!(self.node(name).is_none(), "two nodes are called {name}");
        debug_assert!(
            stage.reads().iter().all(|read| self.node(read).is_some()),
            "{name} reads what comes later"
        );
        self.nodes.push(Node { name, model, stage: Box::new(stage) });
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Whether a stage reads this one: then other runs may share it too.
    pub fn is_read(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.stage.reads().contains(&name))
    }

    /// Whether a stage behind the node at `index` loads the weights of this one.
    pub fn loads_later(&self, index: usize, name: &str) -> bool {
        self.nodes[index + 1..].iter().any(|node| node.stage.weights_of() == Some(name))
    }

    /// For each node a text that is equal for runs which share its stage, unless files changed between them.
    ///
    /// The stages' own ids know better, but they need model and data to be read. A mistake here costs time and nothing
    /// else: a stage has a lock.
    pub fn keys(&self) -> Result<Vec<String>> {
        let mut keys: HashMap<&str, String> = HashMap::new();
        for node in &self.nodes {
            let read: Vec<&String> = node.stage.reads().iter().filter_map(|name| keys.get(name)).collect();
            let text = canonical_json(&json!([node.stage.settings(), read]))?;
            keys.insert(node.name, blake3::hash(text.as_bytes()).to_hex().to_string());
        }
        Ok(self.nodes.iter().filter_map(|node| keys.remove(node.name)).collect())
    }

    /// The [keys](Self::keys) of the nodes that other stages read, with their names.
    pub fn shared(&self) -> Result<Vec<(&'static str, String)>> {
        let keyed = self.nodes.iter().map(|node| node.name).zip(self.keys()?);
        Ok(keyed.filter(|(name, _)| self.is_read(name)).collect())
    }
}
