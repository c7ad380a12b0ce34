//! JSON schemas as strict mode takes them: every property required, no others.

use serde_json::{Map, Value};

/// Why strict mode refuses a schema.
pub(crate) fn problem(schema: &Value) -> Option<String> {
    if schema["type"] != "object" {
        return None;
    }
    let Some(properties) = schema["properties"].as_object() else {
        return Some("'properties' is required".into());
    };
    if schema["additionalProperties"] != false {
        return Some("'additionalProperties' is required to be supplied and to be false".into());
    }
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(missing) = properties.keys().find(|name| !required.contains(&name.as_str())) {
        return Some(format!(
            "'required' is required to include every key in properties. Missing '{missing}'"
        ));
    }
    properties.values().find_map(problem)
}

/// An instance of the schema: booleans by their name, strings all alike.
pub(crate) fn instance(schema: &Value, text: &str, answer: &dyn Fn(&str) -> bool) -> Value {
    let properties = schema["properties"].as_object();
    let filled = properties.into_iter().flatten().map(|(name, property)| {
        let value = match property["type"].as_str() {
            Some("boolean") => answer(name).into(),
            Some("string") => text.into(),
            Some("object") => instance(property, text, answer),
            _ => Value::Null,
        };
        (name.clone(), value)
    });
    Value::Object(filled.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_mode_is_strict() {
        let mut schema = json!({
            "type": "object",
            "properties": {"why": {"type": "string"}, "spam": {"type": "boolean"}},
            "required": ["why", "spam"],
            "additionalProperties": false,
        });
        assert_eq!(problem(&schema), None);
        assert_eq!(instance(&schema, "so", &|label| label == "spam"), json!({"why": "so", "spam": true}));
        schema["required"] = json!(["why"]);
        assert!(problem(&schema).is_some_and(|p| p.contains("'spam'")));
        schema["additionalProperties"] = json!(true);
        assert!(problem(&schema).is_some_and(|p| p.contains("additionalProperties")));
    }
}
