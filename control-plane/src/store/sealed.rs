//! Every place where a secret lies sealed, for turning data keys. A new sealed column is a new [`Place`];
//! `tests/it/secrets.rs` compares this list with the catalogue of the database.

use crate::store::{Connection, StoreError};
use control_plane_api::id::{InstanceId, JobId};
use uuid::Uuid;

/// Where a sealed value lies: its row, and the context that it was sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    SigningKey {
        kid: String,
    },
    /// `instance`: null for the platform's own.
    Authority {
        kind: String,
        instance: Option<InstanceId>,
    },
    InstanceSecret {
        instance: InstanceId,
        name: String,
    },
    JobParams {
        job: JobId,
    },
    JobResult {
        job: JobId,
    },
    Answer {
        scope: Uuid,
        principal: String,
        key: String,
    },
}

/// Tables and columns that hold sealed values.
pub const COLUMNS: &[(&str, &str)] = &[
    ("signing_keys", "private_key_sealed"),
    ("certificate_authorities", "private_key_sealed"),
    ("instance_secrets", "sealed"),
    ("jobs", "params_sealed"),
    ("jobs", "result_sealed"),
    ("idempotency_keys", "answer_sealed"),
];

impl Place {
    /// What the value is sealed for (`secrets::Keyring::seal`).
    pub fn context(&self) -> String {
        match self {
            Self::SigningKey { kid } => format!("signing_keys:{kid}"),
            Self::Authority { kind, instance: Some(instance) } => format!("certificate_authorities:{kind}:{instance}"),
            Self::Authority { kind, instance: None } => format!("certificate_authorities:{kind}:platform"),
            Self::InstanceSecret { instance, name } => format!("instance_secrets:{instance}:{name}"),
            Self::JobParams { job } => format!("jobs:{job}:params"),
            Self::JobResult { job } => format!("jobs:{job}:result"),
            Self::Answer { scope, principal, key } => format!("idempotency_keys:{scope}:{principal}:{key}"),
        }
    }
}

/// Kind of the place, its keys, the sealed value.
type PlaceRow = (String, Option<Uuid>, Option<String>, Option<String>, Vec<u8>);

/// Up to `limit` values that are not sealed under the data key `current`.
pub async fn outdated(conn: &mut Connection, current: i32, limit: i64) -> Result<Vec<(Place, Vec<u8>)>, StoreError> {
    // Bytes 2 to 5 of a sealed value name its data key.
    let rows: Vec<PlaceRow> = sqlx::query_as(
        "select * from (
             select 'signing-key', null::uuid, kid, null::text, private_key_sealed as sealed from signing_keys
             union all select 'authority', instance_id, kind, null, private_key_sealed from certificate_authorities
             union all select 'instance-secret', instance_id, name, null, sealed from instance_secrets
             union all select 'job-params', id, null, null, params_sealed from jobs where params_sealed is not null
             union all select 'job-result', id, null, null, result_sealed from jobs where result_sealed is not null
             union all select 'answer', scope_id, principal, key, answer_sealed from idempotency_keys
         ) as places where substring(sealed from 2 for 4) <> $1 limit $2",
    )
    .bind(current.to_be_bytes().as_slice())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(kind, id, first, second, sealed)| {
            let place = place(&kind, id, first, second)
                .ok_or_else(|| StoreError::Corrupt { table: "sealed places", reason: kind.clone() })?;
            Ok((place, sealed))
        })
        .collect()
}

fn place(kind: &str, id: Option<Uuid>, first: Option<String>, second: Option<String>) -> Option<Place> {
    Some(match kind {
        "signing-key" => Place::SigningKey { kid: first? },
        "authority" => Place::Authority { kind: first?, instance: id.map(InstanceId::from_uuid) },
        "instance-secret" => Place::InstanceSecret { instance: InstanceId::from_uuid(id?), name: first? },
        "job-params" => Place::JobParams { job: JobId::from_uuid(id?) },
        "job-result" => Place::JobResult { job: JobId::from_uuid(id?) },
        "answer" => Place::Answer { scope: id?, principal: first?, key: second? },
        _ => return None,
    })
}

/// Puts `new` in place of `old`; a value that has changed meanwhile stays, and is found again if it is outdated.
pub async fn replace(conn: &mut Connection, place: &Place, old: &[u8], new: &[u8]) -> Result<(), StoreError> {
    let statement = match place {
        Place::SigningKey { .. } => {
            sqlx::query("update signing_keys set private_key_sealed = $2 where private_key_sealed = $1 and kid = $3")
        }
        Place::Authority { .. } => sqlx::query(
            "update certificate_authorities set private_key_sealed = $2
             where private_key_sealed = $1 and kind = $3 and instance_id is not distinct from $4",
        ),
        Place::InstanceSecret { .. } => {
            sqlx::query("update instance_secrets set sealed = $2 where sealed = $1 and instance_id = $3 and name = $4")
        }
        Place::JobParams { .. } => {
            sqlx::query("update jobs set params_sealed = $2 where params_sealed = $1 and id = $3")
        }
        Place::JobResult { .. } => {
            sqlx::query("update jobs set result_sealed = $2 where result_sealed = $1 and id = $3")
        }
        Place::Answer { .. } => sqlx::query(
            "update idempotency_keys set answer_sealed = $2
             where answer_sealed = $1 and scope_id = $3 and principal = $4 and key = $5",
        ),
    };
    let statement = statement.bind(old).bind(new);
    let statement = match place {
        Place::SigningKey { kid } => statement.bind(kid),
        Place::Authority { kind, instance } => statement.bind(kind).bind(instance.map(InstanceId::uuid)),
        Place::InstanceSecret { instance, name } => statement.bind(instance.uuid()).bind(name),
        Place::JobParams { job } | Place::JobResult { job } => statement.bind(job.uuid()),
        Place::Answer { scope, principal, key } => statement.bind(scope).bind(principal).bind(key),
    };
    statement.execute(conn).await?;
    Ok(())
}
