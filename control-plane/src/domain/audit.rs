//! The audit trail's hash chain: each line's hash covers the line and the hash before it, one chain an organisation.
//! Who changes, drops or swaps a line breaks the chain from there on.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What stands before the first line.
pub const GENESIS: [u8; 32] = [0; 32];

/// A line before it has its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub id: Uuid,
    pub project_id: Option<Uuid>,
    pub actor: String,
    pub action: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    /// `accepted`, `refused` or `failed`.
    pub result: String,
    pub problem_code: Option<String>,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: String,
    pub job_id: Option<Uuid>,
    pub detail: Value,
    pub created_at: DateTime<Utc>,
}

/// SHA-256 over the previous hash and every field, each behind its length, so that no two lines read alike.
pub fn chain(previous: &[u8], organisation: Uuid, seq: i64, line: &Line) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |field: Option<&[u8]>| match field {
        None => hash.update([0]),
        Some(bytes) => {
            hash.update([1]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
    };
    add(Some(previous));
    add(Some(organisation.as_bytes()));
    add(Some(&seq.to_be_bytes()));
    add(Some(line.id.as_bytes()));
    add(line.project_id.as_ref().map(|id| id.as_bytes().as_slice()));
    add(Some(line.actor.as_bytes()));
    add(Some(line.action.as_bytes()));
    add(line.resource_type.as_deref().map(str::as_bytes));
    add(line.resource_id.as_deref().map(str::as_bytes));
    add(Some(line.result.as_bytes()));
    add(line.problem_code.as_deref().map(str::as_bytes));
    add(line.source_ip.as_deref().map(str::as_bytes));
    add(line.user_agent.as_deref().map(str::as_bytes));
    add(Some(line.request_id.as_bytes()));
    add(line.job_id.as_ref().map(|id| id.as_bytes().as_slice()));
    add(Some(canonical(&line.detail).as_bytes()));
    add(Some(&line.created_at.timestamp_micros().to_be_bytes()));
    hash.finalize().into()
}

/// The same text for the same value, however the database keeps the order of its keys.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Names of fields that never enter the trail, wherever they stand.
const SECRET_FIELDS: &[&str] = &["password", "secret", "token", "api_key", "private_key", "private_key_pem", "key_pem"];

/// `value` with everything secret replaced.
pub fn redacted(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| {
                let secret = SECRET_FIELDS.iter().any(|field| name == *field || name.ends_with(&format!("_{field}")));
                let value = if secret && !value.is_null() { Value::from("[redacted]") } else { redacted(value) };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line() -> Line {
        Line {
            id: Uuid::nil(),
            project_id: None,
            actor: "user:a@b".into(),
            action: "create_project".into(),
            resource_type: None,
            resource_id: Some("x".into()),
            result: "accepted".into(),
            problem_code: None,
            source_ip: None,
            user_agent: None,
            request_id: "r".into(),
            job_id: None,
            detail: json!({"b": 1, "a": [true, {"d": null, "c": "x"}]}),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn moving_text_between_fields_changes_the_hash() {
        let plain = chain(&GENESIS, Uuid::nil(), 1, &line());
        let moved = Line { resource_type: Some("x".into()), resource_id: None, ..line() };
        assert_ne!(plain, chain(&GENESIS, Uuid::nil(), 1, &moved));
        let joined = Line { actor: "user:a@bc".into(), action: "reate_project".into(), ..line() };
        assert_ne!(plain, chain(&GENESIS, Uuid::nil(), 1, &joined));
        assert_ne!(plain, chain(&GENESIS, Uuid::nil(), 2, &line()));
    }

    #[test]
    fn the_order_of_keys_in_the_detail_does_not_matter() {
        let other = Line { detail: json!({"a": [true, {"c": "x", "d": null}], "b": 1}), ..line() };
        assert_eq!(chain(&GENESIS, Uuid::nil(), 1, &line()), chain(&GENESIS, Uuid::nil(), 1, &other));
    }

    #[test]
    fn secrets_are_taken_out_at_any_depth() {
        let clean =
            redacted(json!({"access": [{"user": "u", "password": "Quartz-91"}], "new_password": "x", "name": "n"}));
        assert_eq!(
            clean,
            json!({"access": [{"user": "u", "password": "[redacted]"}], "new_password": "[redacted]", "name": "n"})
        );
    }
}
