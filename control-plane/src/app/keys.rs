//! The platform's own keys: data keys behind the keyring, and keys that sign access tokens.

use crate::{
    app::{App, AppError},
    auth::token::{SigningKey, Tokens},
    secrets::{Keyring, MasterKeys},
    store::{
        Database, data_keys,
        sealed::{self, Place},
        signing_keys::{self, SigningKeyRecord},
    },
};
use chrono::{DateTime, Duration, Utc};
use sqlx::types::Json;

/// How long a signing key signs.
const SIGNS_FOR: Duration = Duration::days(30);
/// A successor is made this long before the last key stops, and begins this long before it does.
const AHEAD: Duration = Duration::days(2);
const OVERLAP: Duration = Duration::days(1);

/// Every replica takes keys as they are stored this often…
pub const REFRESHED_EVERY_SECONDS: u64 = 10;
/// …so that a key stored this long ago is known to all of them, one missed turn included.
pub const KNOWN_EVERYWHERE_AFTER: std::time::Duration = std::time::Duration::from_secs(2 * REFRESHED_EVERY_SECONDS + 5);
/// Secrets sealed again in one transaction.
const BATCH: i64 = 500;

/// The keyring of this installation; makes the first data key when there is none.
pub async fn load_keyring(db: &Database, master: MasterKeys) -> Result<Keyring, AppError> {
    let mut tx = db.system().await?;
    signing_keys::lock(&mut tx).await?;
    let mut stored = data_keys::list(&mut tx).await?;
    if stored.is_empty() {
        let (master_key, wrapped) = master.new_data_key()?;
        data_keys::insert(&mut tx, &master_key, &wrapped, true).await?;
        stored = data_keys::list(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(Keyring::new(master, &stored)?)
}

/// Takes data and signing keys as they are stored now, and makes what is missing: the first signing key, or, ahead of time, the next.
/// Run at start and every half minute; replicas take turns by a lock.
pub async fn refresh(app: &App) -> Result<(), AppError> {
    let mut tx = app.db.system().await?;
    app.keyring.reload(&data_keys::list(&mut tx).await?)?;
    refresh_signing_keys(&mut tx, &app.keyring, &app.tokens, app.clock.now()).await?;
    Ok(tx.commit().await?)
}

async fn refresh_signing_keys(
    tx: &mut sqlx::PgConnection,
    keyring: &Keyring,
    tokens: &Tokens,
    now: DateTime<Utc>,
) -> Result<(), AppError> {
    let mut records = signing_keys::list(tx).await?;
    let last = |records: &[SigningKeyRecord]| records.iter().map(|key| key.signs_until).max();
    let due = |records: &[SigningKeyRecord]| last(records).is_none_or(|until| until - AHEAD <= now);
    if due(&records) {
        signing_keys::lock(tx).await?;
        records = signing_keys::list(tx).await?;
        if due(&records) {
            // With nobody left to sign the new key begins at once; else others hear of it first.
            let signs_from = last(&records).map_or(now, |until| (until - OVERLAP).max(now));
            let key = SigningKey::generate(signs_from, signs_from + SIGNS_FOR)?;
            let record = SigningKeyRecord {
                private_key_sealed: keyring.seal(&context(&key.kid), &key.private_pkcs8)?,
                kid: key.kid,
                public_jwk: Json(key.public_jwk),
                signs_from: key.signs_from,
                signs_until: key.signs_until,
            };
            signing_keys::insert(tx, &record, now).await?;
            records.push(record);
        }
    }
    let keys = records
        .into_iter()
        .map(|record| {
            Ok(SigningKey {
                private_pkcs8: keyring.open(&context(&record.kid), &record.private_key_sealed)?,
                kid: record.kid,
                public_jwk: record.public_jwk.0,
                signs_from: record.signs_from,
                signs_until: record.signs_until,
            })
        })
        .collect::<Result<Vec<_>, AppError>>()?;
    Ok(tokens.reload(keys)?)
}

fn context(kid: &str) -> String {
    Place::SigningKey { kid: kid.to_owned() }.context()
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The only master key that is needed from now on.
    pub master_key: String,
    pub rewrapped: usize,
    pub resealed: usize,
}

/// Wraps all data keys with the active master key, makes a new data key and seals every secret with it, while replicas serve. They
/// have `settle` to hear of the new key before it seals. Safe to repeat after a crash at any point.
pub async fn rotate(db: &Database, master: &MasterKeys, settle: std::time::Duration) -> Result<Rotation, AppError> {
    let mut tx = db.system().await?;
    signing_keys::lock(&mut tx).await?;
    let mut rewrapped = 0;
    for key in data_keys::list(&mut tx).await? {
        if key.master_key_id != master.active() {
            let (master_key, wrapped) = master.rewrap(&key.master_key_id, &key.wrapped)?;
            data_keys::rewrap(&mut tx, key.id, &master_key, &wrapped).await?;
            rewrapped += 1;
        }
    }
    let (master_key, wrapped) = master.new_data_key()?;
    let new = data_keys::insert(&mut tx, &master_key, &wrapped, false).await?;
    tx.commit().await?;

    tokio::time::sleep(settle).await;
    let mut tx = db.system().await?;
    data_keys::activate(&mut tx, new).await?;
    let keyring = Keyring::new(master.clone(), &data_keys::list(&mut tx).await?)?;
    tx.commit().await?;
    // Replicas seal with the key before until they have heard of this one too.
    tokio::time::sleep(settle).await;

    let mut resealed = 0;
    loop {
        let mut tx = db.system().await?;
        let outdated = sealed::outdated(&mut tx, new, BATCH).await?;
        if outdated.is_empty() {
            data_keys::delete_others(&mut tx, new).await?;
            tx.commit().await?;
            return Ok(Rotation { master_key, rewrapped, resealed });
        }
        for (place, old) in &outdated {
            let text = keyring.open(&place.context(), old)?;
            sealed::replace(&mut tx, place, old, &keyring.seal(&place.context(), &text)?).await?;
        }
        resealed += outdated.len();
        tx.commit().await?;
    }
}
