//! The part of JSONPath (RFC 9535) that scripts need: members, indexes, wildcards.
//!
//! `{.name}`, `[*].id`, `.brokers[0].host`; braces and a leading `$` may stand or not. Texts are printed bare, one a
//! line; anything else as JSON.

use serde_json::Value;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    /// Negative from the end.
    Index(i64),
    Every,
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no path like .brokers[0].host or [*].name");
        let bare = text.strip_prefix('{').map_or(Some(text), |rest| rest.strip_suffix('}')).ok_or_else(wrong)?;
        let mut rest = bare.strip_prefix('$').unwrap_or(bare);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('[') {
                let (inside, tail) = tail.split_once(']').ok_or_else(wrong)?;
                rest = tail;
                let quoted = inside.strip_prefix('\'').and_then(|inside| inside.strip_suffix('\''));
                steps.push(match (inside, quoted) {
                    (_, Some(name)) => Step::Member(name.to_owned()),
                    ("*", _) => Step::Every,
                    _ => Step::Index(inside.parse().map_err(|_| wrong())?),
                });
            } else {
                let tail = rest.strip_prefix('.').unwrap_or(rest);
                let end = tail.find(['.', '[']).unwrap_or(tail.len());
                let (name, tail) = tail.split_at(end);
                match name {
                    "" if tail.starts_with('[') || (tail.is_empty() && steps.is_empty()) => {}
                    "" => return Err(wrong()),
                    "*" => steps.push(Step::Every),
                    name => steps.push(Step::Member(name.to_owned())),
                }
                rest = tail;
            }
        }
        Ok(Self(steps))
    }
}

impl Path {
    pub fn text(&self, value: &Value) -> String {
        let found = self
            .0
            .iter()
            .fold(vec![value], |values, step| values.into_iter().flat_map(|value| step.apply(value)).collect());
        let texts = found.into_iter().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Member(name), Value::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Index(at), Value::Array(items)) => {
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *at < 0 { length + at } else { *at };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Self::Every, Value::Array(items)) => items.iter().collect(),
            (Self::Every, Value::Object(members)) => members.values().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_pick_members_items_and_all_of_them() {
        let value = json!({"name": "orders", "brokers": [{"host": "a"}, {"host": "b"}], "a.b": 1});
        for (path, text) in [
            ("{.name}", "orders"),
            ("$.brokers[*].host", "a\nb"),
            ("brokers[-1].host", "b"),
            ("{.brokers[0]}", "{\"host\":\"a\"}"),
            ("['a.b']", "1"),
            (".missing", ""),
        ] {
            assert_eq!(path.parse::<Path>().unwrap().text(&value), text, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["{.a", "[0", "[x]", "a..b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }
}
