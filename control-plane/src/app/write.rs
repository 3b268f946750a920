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
//!
//! What happens outside the database, and not in a job, can't be in that transaction. It is announced by one, with its audit entry,
//! and a second one keeps the answer:
//! ```text
//! begin ─► Fresh(write) ─► announce(audit) ─► effect ─┬─► made ────► keep(answer)
//!   │                                                 ├─► not made ► withdraw()       a repeat is a first request again
//!   │                                                 └─► unclear ─► leave_open()     a repeat is Fresh, and knows (`is_resumed`)
//!   └────► announced, and not ended yet ─► idempotency-in-flight; after a crash as if left open
//! ```

use crate::{
    app::{App, AppError, Refusal, audit::Entry},
    domain::actor::Actor,
    store::{Scope, TenantTx, audit, idempotency, sealed::Place},
};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::problem::ProblemCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

/// How long an answer is kept for repeats (api.md §1).
pub const KEPT: Duration = Duration::hours(24);

/// By then what was announced has ended: longer than any effect outside the database takes.
const DUE_AFTER: Duration = Duration::minutes(2);

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

    /// The same for each repeat of the request, and for no other request.
    pub(crate) fn seed(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint);
        hash.update(self.key.as_bytes());
        hash.finalize().into()
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
    /// There is no answer yet; the process that works at it has died if there is none by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<DateTime<Utc>>,
}

/// What a key was found to stand for.
enum Known {
    Nothing,
    Answer(serde_json::Value),
    /// A request whose end nobody knows.
    Open,
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
    /// The same request was begun before, and may have had its effect outside the database.
    pub is_resumed: bool,
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
        let known = match &key {
            Some(key) => look_up(app, actor, &mut tx, key).await?,
            None => Known::Nothing,
        };
        Ok(match known {
            Known::Answer(answer) => {
                let value = serde_json::from_value(answer).map_err(unreadable)?;
                Begun::Replayed(Answer { value, replayed: true })
            }
            Known::Open => Begun::Fresh(Write { app, actor, key, is_resumed: true, tx }),
            Known::Nothing => Begun::Fresh(Write { app, actor, key, is_resumed: false, tx }),
        })
    }

    /// As [`Write::begin`], for requests that take no idempotency key.
    pub async fn start(app: &'a App, actor: &'a Actor, scope: impl Into<Scope>) -> Result<Self, AppError> {
        Ok(Self { app, actor, key: None, is_resumed: false, tx: app.db.tenant(scope).await? })
    }

    /// Writes the audit entry and the answer for repeats, and commits.
    pub async fn commit<T: Serialize>(mut self, entry: Entry, value: T) -> Result<Answer<T>, AppError> {
        let now = self.app.clock.now();
        if let Some(key) = &self.key {
            keep(self.app, self.actor, &mut self.tx, key, &value, None).await?;
        }
        let event = entry.accepted(self.actor, self.tx.scope().project, now);
        audit::append(&mut self.tx, &event).await?;
        self.tx.commit().await?;
        Ok(Answer { value, replayed: false })
    }

    /// Writes the audit entry, has repeats wait, and commits: what follows happens outside the database.
    pub async fn announce(mut self, entry: Entry) -> Result<Announced<'a>, AppError> {
        let now = self.app.clock.now();
        if let Some(key) = &self.key {
            keep(self.app, self.actor, &mut self.tx, key, &(), Some(now + DUE_AFTER)).await?;
        }
        let scope = self.tx.scope();
        let event = entry.accepted(self.actor, scope.project, now);
        audit::append(&mut self.tx, &event).await?;
        self.tx.commit().await?;
        Ok(Announced { app: self.app, actor: self.actor, key: self.key, scope })
    }
}

/// A change that is being made outside the database. Ends in one of its methods, or is left open by a crash.
#[derive(Debug)]
#[must_use]
pub struct Announced<'a> {
    app: &'a App,
    actor: &'a Actor,
    key: Option<IdempotencyKey>,
    scope: Scope,
}

impl Announced<'_> {
    /// It is made: `value` answers repeats.
    pub async fn keep<T: Serialize>(self, value: T) -> Result<Answer<T>, AppError> {
        if let Some(key) = &self.key {
            let mut tx = self.app.db.tenant(self.scope).await?;
            keep(self.app, self.actor, &mut tx, key, &value, None).await?;
            tx.commit().await?;
        }
        Ok(Answer { value, replayed: false })
    }

    /// It was certainly not made.
    pub async fn withdraw(self) -> Result<(), AppError> {
        if let Some(key) = &self.key {
            let mut tx = self.app.db.tenant(self.scope).await?;
            idempotency::forget(&mut tx, &self.actor.key(), &key.key).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Nobody knows whether it was made: a repeat finds out.
    pub async fn leave_open(self) -> Result<(), AppError> {
        if let Some(key) = &self.key {
            let mut tx = self.app.db.tenant(self.scope).await?;
            keep(self.app, self.actor, &mut tx, key, &(), Some(self.app.clock.now())).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

async fn keep<T: Serialize>(
    app: &App,
    actor: &Actor,
    tx: &mut TenantTx,
    key: &IdempotencyKey,
    answer: &T,
    due: Option<DateTime<Utc>>,
) -> Result<(), AppError> {
    let kept = Kept { fingerprint: key.fingerprint, answer, due };
    let text = serde_json::to_vec(&kept).map_err(|error| AppError::Internal(format!("answer: {error}")))?;
    let principal = actor.key();
    let sealed = app.keyring.seal(&context(tx, &principal, &key.key), &text)?;
    Ok(idempotency::put(tx, &principal, &key.key, &sealed, app.clock.now()).await?)
}

async fn look_up(app: &App, actor: &Actor, tx: &mut TenantTx, key: &IdempotencyKey) -> Result<Known, AppError> {
    let principal = actor.key();
    let patient_until = Instant::now() + PATIENCE;
    while !idempotency::lock(tx, &principal, &key.key).await? {
        if Instant::now() >= patient_until {
            return Err(Refusal::new(ProblemCode::IdempotencyInFlight).retry_after(1).into());
        }
        sleep(PATIENCE / 10).await;
    }
    let Some(sealed) = idempotency::find(tx, &principal, &key.key, app.clock.now() - KEPT).await? else {
        return Ok(Known::Nothing);
    };
    let text = app.keyring.open(&context(tx, &principal, &key.key), &sealed)?;
    let kept = serde_json::from_slice::<Kept<serde_json::Value>>(&text).map_err(unreadable)?;
    if kept.fingerprint != key.fingerprint {
        return Err(Refusal::new(ProblemCode::IdempotencyMismatch).into());
    }
    match kept.due {
        None => Ok(Known::Answer(kept.answer)),
        Some(due) if due > app.clock.now() => Err(Refusal::new(ProblemCode::IdempotencyInFlight).retry_after(1).into()),
        Some(_) => Ok(Known::Open),
    }
}

fn unreadable(error: serde_json::Error) -> AppError {
    AppError::Internal(format!("stored answer: {error}"))
}

fn context(tx: &TenantTx, principal: &str, key: &str) -> String {
    let (principal, key) = (principal.to_owned(), key.to_owned());
    Place::Answer { scope: idempotency::scope_id(tx), principal, key }.context()
}
