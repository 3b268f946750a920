//! Passwords: lock-out, checking, changing.

use super::grants::Account;
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry},
    domain::actor::{Actor, Principal},
    store::{sessions, sign_in_attempts, users},
};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::{
    auth::ChangePassword,
    problem::{FieldError, ProblemCode},
};
use sha2::{Digest, Sha256};

/// What sign-in goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInPolicy {
    /// A session ends after this, however often it was refreshed.
    pub session_life: Duration,
    /// Failures in a row before the address is locked.
    pub failures_allowed: u32,
    /// The first lock; each further failure doubles it, up to `longest_lock`.
    pub first_lock: Duration,
    pub longest_lock: Duration,
}

impl Default for SignInPolicy {
    fn default() -> Self {
        Self {
            session_life: Duration::days(30),
            failures_allowed: 5,
            first_lock: Duration::minutes(1),
            longest_lock: Duration::hours(1),
        }
    }
}

impl SignInPolicy {
    /// How long the address is locked after this many failures in a row.
    fn lock(&self, failures: i32) -> Option<Duration> {
        let beyond = u32::try_from(failures).ok()?.checked_sub(self.failures_allowed)?;
        let doubled = 1i32.checked_shl(beyond.min(20)).and_then(|times| self.first_lock.checked_mul(times));
        Some(doubled.unwrap_or(self.longest_lock).min(self.longest_lock))
    }
}

pub(super) fn invalid_credentials() -> AppError {
    Refusal::new(ProblemCode::InvalidCredentials).into()
}

fn email_hash(email: &str) -> [u8; 32] {
    Sha256::digest(email.to_lowercase().as_bytes()).into()
}

/// Counts an attempt before it is checked, so that guesses made at once are counted too; a success takes the count away.
async fn reserve_attempt(app: &App, email: &str, now: DateTime<Utc>) -> Result<(), AppError> {
    let mut tx = app.db.system().await?;
    let hash = email_hash(email);
    let attempts = sign_in_attempts::lock(&mut tx, &hash, now).await?;
    if let Some(until) = attempts.locked_until
        && until > now
    {
        let seconds = (until - now).num_seconds().unsigned_abs() + 1;
        return Err(Refusal::new(ProblemCode::AccountLocked).retry_after(seconds).into());
    }
    let failures = attempts.failures.saturating_add(1);
    let locked_until = app.sign_in.lock(failures).map(|lock| now + lock);
    sign_in_attempts::put(&mut tx, &hash, failures, locked_until, now).await?;
    Ok(tx.commit().await?)
}

/// The account that e-mail address and password belong to. For unknown addresses it takes as long and says the same.
pub(super) async fn check_password(app: &App, email: &str, password: &str) -> Result<Checked, AppError> {
    let now = app.clock.now();
    reserve_attempt(app, email, now).await?;
    let mut conn = app.db.system_connection().await?;
    let user = users::find_by_email(&mut conn, &email.to_lowercase()).await?;
    drop(conn);
    let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
    let right = app.passwords.verify(password, stored).await?;
    Ok(match user {
        Some(user) if right => {
            let mut conn = app.db.system_connection().await?;
            sign_in_attempts::forget(&mut conn, &email_hash(email)).await?;
            Checked::Right(Account::of(&user))
        }
        Some(user) => Checked::Wrong(Some(Account::of(&user))),
        None => Checked::Wrong(None),
    })
}

pub(super) enum Checked {
    Right(Account),
    /// The account, if there is one, so that the attempt enters its organisation's audit trail.
    Wrong(Option<Account>),
}

/// 12 to 128 characters (NIST SP 800-63B §3.1.1.2 asks for length, not for kinds of characters).
pub fn password_fault(pointer: &str, password: &str) -> Option<FieldError> {
    (!(12..=128).contains(&password.chars().count()))
        .then(|| FieldError::new(pointer, "password-length", "12 to 128 characters").with("min", 12).with("max", 128))
}

/// Changes the own password and ends all other sessions of the user.
pub async fn change_password(
    app: &App,
    actor: &Actor,
    key: Option<IdempotencyKey>,
    request: &ChangePassword,
) -> Result<Answer<()>, AppError> {
    let Principal::User { id, email, session } = &actor.principal else {
        let error = FieldError::new("", "no-password", "a service account has API keys, and no password");
        return Err(Refusal::invalid(vec![error]).into());
    };
    if let Some(fault) = password_fault("/new_password", &request.new_password) {
        return Err(Refusal::invalid(vec![fault]).into());
    }
    match check_password(app, email, &request.current_password).await? {
        Checked::Right(_) => {}
        Checked::Wrong(_) => return Err(invalid_credentials()),
    }
    let hash = app.passwords.hash(&request.new_password).await?;
    let mut write = match Write::begin(app, actor, actor, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let now = app.clock.now();
    users::set_password(&mut write.tx, *id, &hash, now).await?;
    sessions::revoke_others(&mut write.tx, *id, Some(*session), "password-changed", now).await?;
    write.commit(Entry::new("change_password").on("user", id), ()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_begin_after_the_failures_allowed_and_double_up_to_the_longest() {
        let policy = SignInPolicy::default();
        let minutes = |failures| policy.lock(failures).map(|lock| lock.num_minutes());
        assert_eq!(
            [4, 5, 6, 7, 10, 11, 100].map(minutes),
            [None, Some(1), Some(2), Some(4), Some(32), Some(60), Some(60)]
        );
    }
}
