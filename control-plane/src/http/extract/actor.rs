//! Who asks, and in which project.

use crate::{
    app::{App, AppError, Refusal, auth::authenticate, projects::enter_project},
    domain::actor::{Actor, ProjectScope},
    http::{HttpError, context::RequestContext},
};
use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, RawPathParams},
    http::{header, request::Parts},
};
use control_plane_api::problem::ProblemCode;
use std::sync::Arc;

/// Name of the project in paths: `/v1/projects/{project}/…`, an id or a name.
const PROJECT: &str = "project";

impl FromRequestParts<Arc<App>> for Actor {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let Ok(context) = parts.extract::<RequestContext>().await;
        if let Some(actor) = context.actor() {
            return Ok(actor.clone());
        }
        let bearer = bearer(parts).ok_or_else(|| Refusal::new(ProblemCode::Unauthenticated))?;
        let actor = authenticate(app, bearer, context.origin().clone()).await?;
        context.set_actor(&actor);
        if let Some(limits) = context.limits() {
            context.charge(limits.caller(&actor.key()))?;
        }
        Ok(actor)
    }
}

/// The scheme is case-insensitive (RFC 9110 §11.1); two headers are none.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Arc<App>> for ProjectScope {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let actor = Actor::from_request_parts(parts, app).await?;
        let path = parts.extract::<RawPathParams>().await.map_err(|_| AppError::not_found())?;
        let project = path.iter().find(|(name, _)| *name == PROJECT).map(|(_, value)| value);
        let project = project.ok_or_else(|| AppError::Internal(format!("no {{{PROJECT}}} in the route")))?;
        let scope = enter_project(app, actor, project).await?;
        let Ok(context) = parts.extract::<RequestContext>().await;
        context.set_project(scope.project);
        Ok(scope)
    }
}

/// Somebody who may ask in this place at all: signed in, and with a part in the project of the path if it names one.
#[derive(Debug, Clone, Copy)]
pub struct Admitted;

impl FromRequestParts<Arc<App>> for Admitted {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let path = parts.extract::<RawPathParams>().await.map_err(|_| AppError::not_found())?;
        if path.iter().any(|(name, _)| name == PROJECT) {
            ProjectScope::from_request_parts(parts, app).await?;
        } else {
            Actor::from_request_parts(parts, app).await?;
        }
        Ok(Self)
    }
}
