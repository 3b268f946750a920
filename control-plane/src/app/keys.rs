//! The platform's own keys: data keys behind the keyring, and keys that sign access tokens.

use crate::{
    app::{App, AppError},
    auth::token::{SigningKey, Tokens},
    secrets::{Keyring, MasterKeys},
    store::{
        Database, data_keys,
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
    let stored = data_keys::list(&mut tx).await?;
    app.keyring.reload(&stored)?;
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
    format!("signing_keys:{kid}")
}
