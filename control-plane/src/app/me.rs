//! Who is signed in, as they see themselves.

use crate::{
    app::{App, AppError},
    domain::actor::{Actor, Principal},
    store::{organisations, projects},
};
use control_plane_api::auth::{Me, ProjectMembership};

pub async fn get_me(app: &App, actor: &Actor) -> Result<Me, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    let organisation = organisations::name(&mut tx).await?.ok_or_else(AppError::not_found)?;
    let members: Vec<_> = actor.projects.iter().map(|(id, _)| *id).collect();
    let rows = projects::list(&mut tx, Some(&members), None, i64::from(u32::MAX)).await?;
    let role_in = |id| actor.projects.iter().find(|(project, _)| *project == id).map(|(_, role)| *role);
    let projects = rows
        .into_iter()
        .filter_map(|row| Some(ProjectMembership { id: row.id, name: row.name, role: role_in(row.id)? }))
        .collect();
    let (kind, user_id, service_account_id, name) = match &actor.principal {
        Principal::User { id, email, .. } => ("user", Some(*id), None, email.clone()),
        Principal::ServiceAccount { id, name, .. } => ("service-account", None, Some(*id), name.clone()),
    };
    Ok(Me {
        kind: kind.to_owned(),
        user_id,
        service_account_id,
        name,
        organisation_id: actor.organisation,
        organisation,
        role: actor.organisation_role,
        operator: actor.operator,
        projects,
    })
}
