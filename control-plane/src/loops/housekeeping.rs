//! Keys and leftovers: refreshes the process's keys, makes the next signing key ahead of time, forgets what has grown old.
//! Every replica runs it; what it does to the database is idempotent.

use crate::{
    app::{App, AppError, keys, write},
    store::{idempotency, sessions, sign_in_attempts, signing_keys},
};
use chrono::Duration;
use std::{sync::Arc, time::Duration as StdDuration};

/// Rows of ended sessions are kept this long: the audit trail outlives them.
const SESSIONS_KEPT: Duration = Duration::days(7);
/// Turns of the refresh between two clean-ups: ten minutes.
const CLEAN_EVERY: u32 = 60;

/// Until the process stops.
pub async fn run(app: Arc<App>) {
    for turn in 0u32.. {
        let stopped = app.stopping.cancelled();
        if tokio::time::timeout(StdDuration::from_secs(keys::REFRESHED_EVERY_SECONDS), stopped).await.is_ok() {
            return;
        }
        if let Err(error) = keys::refresh(&app).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "keys not refreshed; the ones at hand stay in use"
            );
        }
        if turn % CLEAN_EVERY == 0
            && let Err(error) = clean(&app).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "clean-up left for the next turn");
        }
    }
}

/// Forgets answers kept for repeats, old sessions, failed sign-ins and signing keys that no live token needs.
pub async fn clean(app: &App) -> Result<(), AppError> {
    let now = app.clock.now();
    let mut conn = app.db.system_connection().await?;
    idempotency::prune(&mut conn, now - write::KEPT).await?;
    sign_in_attempts::prune(&mut conn, now).await?;
    sessions::prune(&mut conn, now - SESSIONS_KEPT).await?;
    signing_keys::prune(&mut conn, now - app.tokens.life()).await?;
    Ok(())
}
