//! What the list of operations must be for the router, the keys and the document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

#[test]
fn every_operation_is_one_of_its_kind() {
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for operation in operations() {
        assert!(ids.insert(operation.id), "{} is there twice", operation.id);
        assert!(places.insert((operation.path, operation.method.to_string())), "{} is there twice", operation.path);
        assert!(operation.path.starts_with("/v1/"), "{}", operation.path);
        assert!(operation.access.scopes().contains(&"admin"), "{}", operation.id);
    }
}

#[test]
fn a_schema_has_a_name_of_its_own() {
    let mut known = BTreeMap::new();
    for operation in operations() {
        for (name, schema) in (operation.shape)().schemas {
            let schema = serde_json::to_value(schema).expect("JSON");
            let before = known.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two schemas are called {name}");
        }
    }
}

#[test]
fn the_document_has_every_operation_with_its_keys_and_problems() {
    let operations = operations();
    let document: Value = serde_json::from_str(&document(&operations).to_json().expect("JSON")).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for operation in &operations {
        let described = &document["paths"][operation.path][operation.method.as_str().to_ascii_lowercase()];
        assert_eq!(described["operationId"].as_str(), Some(operation.id));
        assert_eq!(described["security"][0]["key"], serde_json::json!(operation.access.scopes()), "{}", operation.id);
        for status in ["401", "403", "404", "409", "422"] {
            let content = &described["responses"][status]["content"]["application/problem+json"];
            assert!(content.is_object(), "{} {status}", operation.id);
        }
        let names = operation.path.matches('{').count();
        let parameters = described["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(parameters.iter().filter(|one| one["in"] == "path").count(), names, "{}", operation.id);
    }
}
