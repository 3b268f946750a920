//! The first organisation, project and owner of an installation.

use crate::{
    app::{App, AppError, Refusal, audit::Entry, auth::password_fault},
    auth::random::RandomToken,
    domain::actor::Origin,
    store::{audit, organisations, projects, users},
};
use control_plane_api::id::{OrganisationId, ProjectId, UserId};

pub struct FirstOwner {
    pub organisation: String,
    pub email: String,
    /// Generated when there is none.
    pub password: Option<String>,
}

impl std::fmt::Debug for FirstOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstOwner").field("organisation", &self.organisation).finish_non_exhaustive()
    }
}

pub enum Bootstrapped {
    /// The organisation exists: nothing was touched, no password is known.
    Already,
    Made {
        password: String,
    },
}

impl std::fmt::Debug for Bootstrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Already => "Already",
            Self::Made { .. } => "Made",
        })
    }
}

/// Makes them, or finds that the organisation exists. The owner may use the operator API: it is their installation.
///
/// `keep` puts the password where its owner finds it, before anything is committed: a crash in between leaves a password
/// of nobody, which the next run replaces, and never an owner whose password nobody knows.
pub async fn bootstrap(
    app: &App,
    first: &FirstOwner,
    keep: impl FnOnce(&str) -> std::io::Result<()>,
) -> Result<Bootstrapped, AppError> {
    let mut tx = app.db.system().await?;
    organisations::lock_names(&mut tx).await?;
    if organisations::find_by_name(&mut tx, &first.organisation).await?.is_some() {
        return Ok(Bootstrapped::Already);
    }
    let password = match &first.password {
        Some(password) => password.clone(),
        None => RandomToken::generate("")?.expose()[..24].to_owned(),
    };
    if let Some(fault) = password_fault("/password", &password) {
        return Err(Refusal::invalid(vec![fault]).into());
    }
    let hash = app.passwords.hash(&password).await?;
    let (organisation, user, project) = (OrganisationId::generate(), UserId::generate(), ProjectId::generate());
    organisations::insert(&mut tx, organisation, &first.organisation).await?;
    users::insert_first_owner(&mut tx, user, organisation, &first.email.to_lowercase(), &hash).await?;
    projects::insert_first(&mut tx, project, organisation, "default").await?;
    let origin = Origin { request_id: "bootstrap".to_owned(), ..Origin::default() };
    let entry = Entry::new("bootstrap").on("organisation", organisation);
    audit::append(&mut tx, &entry.by_origin(organisation, "platform".to_owned(), &origin, app.clock.now())).await?;
    keep(&password).map_err(|error| AppError::Internal(format!("the password cannot be kept: {error}")))?;
    tx.commit().await?;
    Ok(Bootstrapped::Made { password })
}
