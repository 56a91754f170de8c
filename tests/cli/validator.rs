//! A schema of `schemas/`, and what it finds wrong with a document.

use boon::{Compiler, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;

pub struct Validator {
    schemas: Schemas,
    schema: SchemaIndex,
}

impl Validator {
    /// Panics where the schema is not one of the draft that it names.
    pub fn new(schema: Value) -> Self {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource("schema.json", schema).unwrap();
        let schema = compiler.compile("schema.json", &mut schemas).unwrap_or_else(|e| panic!("{e:#}"));
        Self { schemas, schema }
    }

    /// The JSON pointers of what is wrong with a document, with the words for it.
    pub fn violations(&self, document: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if let Err(error) = self.schemas.validate(document, self.schema) {
            leaves(&error, &mut found);
        }
        found
    }
}

fn leaves(error: &ValidationError, found: &mut Vec<(String, String)>) {
    if error.causes.is_empty() {
        found.push((error.instance_location.to_string(), error.kind.to_string()));
    }
    error.causes.iter().for_each(|cause| leaves(cause, found));
}
