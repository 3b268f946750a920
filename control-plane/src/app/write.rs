//! A use case that changes something: one transaction that holds the change, its audit entry and, when the caller gave an
//! idempotency key, the answer for repeats.
//!
//! ```text
//! begin ─► key unknown ──► Fresh(write) ─► change … ─► commit(audit, answer)      all or nothing
//!   │  └─► answered before, same request ──► Replayed(answer)                     nothing runs
//!   │  └─► answered before, other request ─► idempotency-mismatch
//!   └────► first request still running ────► idempotency-in-flight
//! ```
//! "Still running" is a lock that the database frees with the transaction: a crash between effect and answer either left both or neither.

use crate::{
    app::{App, AppError, Refusal, audit::Entry},
    domain::actor::Actor,
    store::{Scope, TenantTx, audit, idempotency, sealed::Place},
};
use chrono::Duration;
use control_plane_api::problem::ProblemCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

/// How long an answer is kept for repeats (api.md §1).
pub const KEPT: Duration = Duration::hours(24);

/// How long the key of an earlier request is waited for: one that was refused or replayed has been answered a moment
/// before the database is done with its transaction.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(200);

/// The caller's `Idempotency-Key` with a fingerprint of the request that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// `key`: 1 to 255 visible ASCII characters, checked by the caller.
    pub fn new(key: String, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { key, fingerprint: hash.finalize().into() }
    }
}

/// What a writing use case returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    pub value: T,
    /// It is the stored answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// Kept for a repeat, sealed: an answer may hold a secret that is shown once, and a hash of a request with a
/// password could be guessed at.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    fingerprint: [u8; 32],
    answer: T,
}

/// How [`Write::begin`] goes on.
#[derive(Debug)]
pub enum Begun<'a, T> {
    Fresh(Write<'a>),
    Replayed(Answer<T>),
}

/// A transaction of a use case. Dropped without [`Write::commit`], nothing has happened.
#[derive(Debug)]
pub struct Write<'a> {
    app: &'a App,
    actor: &'a Actor,
    key: Option<IdempotencyKey>,
    /// To pass to store functions.
    pub tx: TenantTx,
}

impl<'a> Write<'a> {
    pub async fn begin<T: DeserializeOwned>(
        app: &'a App,
        actor: &'a Actor,
        scope: impl Into<Scope>,
        key: Option<IdempotencyKey>,
    ) -> Result<Begun<'a, T>, AppError> {
        let mut tx = app.db.tenant(scope).await?;
        if let Some(key) = &key
            && let Some(answer) = replay(app, actor, &mut tx, key).await?
        {
            return Ok(Begun::Replayed(Answer { value: answer, replayed: true }));
        }
        Ok(Begun::Fresh(Write { app, actor, key, tx }))
    }

    /// As [`Write::begin`], for requests that take no idempotency key.
    pub async fn start(app: &'a App, actor: &'a Actor, scope: impl Into<Scope>) -> Result<Self, AppError> {
        Ok(Self { app, actor, key: None, tx: app.db.tenant(scope).await? })
    }

    /// Writes the audit entry and the answer for repeats, and commits.
    pub async fn commit<T: Serialize>(mut self, entry: Entry, value: T) -> Result<Answer<T>, AppError> {
        let now = self.app.clock.now();
        if let Some(key) = &self.key {
            let kept = Kept { fingerprint: key.fingerprint, answer: &value };
            let text = serde_json::to_vec(&kept).map_err(|error| AppError::Internal(format!("answer: {error}")))?;
            let principal = self.actor.key();
            let sealed = self.app.keyring.seal(&context(&self.tx, &principal, &key.key), &text)?;
            idempotency::put(&mut self.tx, &principal, &key.key, &sealed, now).await?;
        }
        let event = entry.accepted(self.actor, self.tx.scope().project, now);
        audit::append(&mut self.tx, &event).await?;
        self.tx.commit().await?;
        Ok(Answer { value, replayed: false })
    }
}

async fn replay<T: DeserializeOwned>(
    app: &App,
    actor: &Actor,
    tx: &mut TenantTx,
    key: &IdempotencyKey,
) -> Result<Option<T>, AppError> {
    let principal = actor.key();
    let patient_until = Instant::now() + PATIENCE;
    while !idempotency::lock(tx, &principal, &key.key).await? {
        if Instant::now() >= patient_until {
            return Err(Refusal::new(ProblemCode::IdempotencyInFlight).retry_after(1).into());
        }
        sleep(PATIENCE / 10).await;
    }
    let Some(sealed) = idempotency::find(tx, &principal, &key.key, app.clock.now() - KEPT).await? else {
        return Ok(None);
    };
    let text = app.keyring.open(&context(tx, &principal, &key.key), &sealed)?;
    let unreadable = |error: serde_json::Error| AppError::Internal(format!("stored answer: {error}"));
    let Kept { fingerprint, answer } = serde_json::from_slice::<Kept<serde_json::Value>>(&text).map_err(unreadable)?;
    if fingerprint != key.fingerprint {
        return Err(Refusal::new(ProblemCode::IdempotencyMismatch).into());
    }
    serde_json::from_value(answer).map(Some).map_err(unreadable)
}

fn context(tx: &TenantTx, principal: &str, key: &str) -> String {
    let (principal, key) = (principal.to_owned(), key.to_owned());
    Place::Answer { scope: idempotency::scope_id(tx), principal, key }.context()
}
