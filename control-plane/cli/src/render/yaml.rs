//! YAML 1.2 of a JSON value, in block style.
//!
//! Texts that YAML could read as anything else are written as JSON strings, which YAML is a superset of.

use serde_json::Value;

pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (at, (name, member)) in members.iter().enumerate() {
                // The first member of a list item stands behind its dash.
                if at > 0 || !out.ends_with("- ") {
                    out.push_str(&indent);
                }
                out.push_str(&scalar(name));
                out.push(':');
                nest(member, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    out.push_str(&indent);
                }
                out.push_str("- ");
                write(item, depth + 1, out);
            }
        }
        leaf => {
            out.push_str(&leaf_text(leaf));
            out.push('\n');
        }
    }
}

fn nest(member: &Value, depth: usize, out: &mut String) {
    let empty = match member {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        out.push(' ');
        out.push_str(&leaf_text(member));
        out.push('\n');
    } else {
        out.push('\n');
        write(member, depth + 1, out);
    }
}

fn leaf_text(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

fn scalar(text: &str) -> String {
    let safe_first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./ +()".contains(c) || !c.is_ascii() && c.is_alphanumeric();
    let words = ["null", "true", "false", "yes", "no", "on", "off"];
    let plain = safe_first && text.chars().all(safe) && !text.ends_with(' ');
    if plain && !words.contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_documents_are_written_as_blocks() {
        // Names in alphabetical order, which is also the order that serde_json keeps by default.
        let value = json!([{"labels": {}, "list": [[1], {"x": true}], "name": "orders", "on": "yes", "reason": null,
            "spec": {"count": 3, "price": "2.71"}, "zones": ["a", "b"]}]);
        let expected = "\
- labels: {}
  list:
    - - 1
    - x: true
  name: orders
  \"on\": \"yes\"
  reason: null
  spec:
    count: 3
    price: \"2.71\"
  zones:
    - a
    - b
";
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for (plain, written) in [
            ("kafka.100", "kafka.100"),
            ("2.71", "\"2.71\""),
            ("true", "\"true\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("two\nlines", "\"two\\nlines\""),
            ("华东", "\"华东\""),
        ] {
            assert_eq!(scalar(plain), written);
        }
    }
}
