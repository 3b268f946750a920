//! Requests made from an OpenAPI document: a body that its schema accepts, a path whose ids name nothing.

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

pub struct Samples(Value);

pub struct DocumentedOperation {
    pub id: String,
    pub method: Method,
    pub path: String,
    item: Value,
}

impl Samples {
    pub fn of(document: &OpenApi) -> Self {
        Self(serde_json::to_value(document).expect("a document"))
    }

    pub fn operations(&self) -> Vec<DocumentedOperation> {
        let paths = self.0["paths"].as_object().expect("paths");
        let mut operations = Vec::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("a path item") {
                let Some(id) = operation["operationId"].as_str() else { continue };
                operations.push(DocumentedOperation {
                    id: id.to_owned(),
                    method: method.to_uppercase().parse().expect("a method"),
                    path: path.clone(),
                    item: operation.clone(),
                });
            }
        }
        operations
    }

    /// Content type and content, if the operation takes any.
    pub fn body(&self, operation: &DocumentedOperation) -> Option<(String, Value)> {
        let content = operation.item["requestBody"]["content"].as_object()?;
        let (kind, media) = content.iter().next()?;
        Some((kind.clone(), self.value(&media["schema"])))
    }

    /// `{project}` stays, for the caller to fill.
    pub fn path(&self, operation: &DocumentedOperation) -> String {
        let mut path = operation.path.clone();
        for parameter in operation.item["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            if parameter["in"] == "path" && name != "project" {
                let value = self.value(&parameter["schema"]);
                path = path.replace(&format!("{{{name}}}"), value.as_str().expect("path parameters are texts"));
            }
        }
        path
    }

    fn value(&self, schema: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.value(self.0.pointer(reference.trim_start_matches('#')).expect("a schema"));
        }
        if let Some(example) = schema["examples"].get(0).or(schema.get("example")) {
            return example.clone();
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(options) = schema[choice].as_array() {
                let first = options.iter().find(|option| option["type"] != "null").expect("an option");
                return self.value(first);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                whole.extend(self.value(part).as_object().cloned().unwrap_or_default());
            }
            return whole.into();
        }
        let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            "string" if schema["format"] == "date-time" => json!("2031-01-01T00:00:00Z"),
            "string" => json!("sample"),
            "integer" | "number" => schema.get("minimum").filter(|minimum| **minimum != 0).cloned().unwrap_or(json!(1)),
            "boolean" => json!(false),
            "array" => json!([]),
            _ => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                required
                    .map(|name| (name.to_owned(), self.value(&schema["properties"][name])))
                    .collect::<Map<_, _>>()
                    .into()
            }
        }
    }
}
