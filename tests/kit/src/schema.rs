//! python3-jsonschema as somebody else's word on whether a document is what its JSON Schema in `docs/schema` says. What the schema does
//! not have is a difference too, although the promise to users allows new fields.

use std::path::Path;

use serde_json::{Value, json};

use crate::oracle;

/// # Panics
/// If a document differs from the schema.
#[track_caller]
pub fn agree(schema: &str, documents: &[Value]) {
    assert!(!documents.is_empty(), "no document for {schema}");
    let found = differences(schema, documents);
    assert!(found.is_empty(), "{schema}: {found:#?}");
}

/// Where and how the documents differ from `docs/schema/SCHEMA`.
///
/// # Panics
/// If the schema or the validator is not there.
pub fn differences(schema: &str, documents: &[Value]) -> Vec<String> {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = kit.join("../../docs/schema").join(schema);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    let found = oracle::run(&kit.join("oracle/schema.py"), &json!({ "schema": schema, "documents": documents }));
    found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}
