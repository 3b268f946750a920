//! Projects: what instances, quotas and roles belong to.

use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, check_etag, page::PageRequest},
    domain::{
        actor::{Actor, ProjectScope},
        rights::{Right, rights_of},
    },
    store::{
        StoreError, instances,
        projects::{self, ProjectRecord},
    },
};
use control_plane_api::{
    id::ProjectId,
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
    tenancy::{CreateProject, Project, Quota, Role, RoleDoc, UpdateProject},
};

/// The project with this id or name, if the actor may know of it.
pub async fn enter_project(app: &App, actor: Actor, id_or_name: &str) -> Result<ProjectScope, AppError> {
    let mut tx = app.db.tenant(&actor).await?;
    let found = projects::resolve(&mut tx, id_or_name.parse().ok(), id_or_name).await?;
    found.and_then(|project| ProjectScope::enter(actor, project)).ok_or_else(AppError::not_found)
}

pub async fn list_projects(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<Project>, AppError> {
    let request = PageRequest::<ProjectId>::parse(query)?;
    let members: Vec<ProjectId> = actor.projects.iter().map(|(id, _)| *id).collect();
    let among = actor.organisation_role.is_none().then_some(members.as_slice());
    let mut tx = app.db.tenant(actor).await?;
    let rows = projects::list(&mut tx, among, request.after, request.fetch()).await?;
    let total = if request.count { Some(projects::count(&mut tx, among).await?) } else { None };
    Ok(request.page(rows, |row| row.id, view, total))
}

pub async fn get_project(app: &App, scope: &ProjectScope) -> Result<Project, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    projects::find(&mut tx, scope.project).await?.map(view).ok_or_else(AppError::not_found)
}

pub async fn create_project(
    app: &App,
    actor: &Actor,
    key: Option<IdempotencyKey>,
    request: &CreateProject,
) -> Result<Answer<Project>, AppError> {
    actor.require(Right::ProjectCreate)?;
    let errors: Vec<FieldError> =
        [name_fault("/name", &request.name), description_fault("/description", &request.description)]
            .into_iter()
            .flatten()
            .collect();
    if !errors.is_empty() {
        return Err(Refusal::invalid(errors).into());
    }
    let mut write = match Write::begin(app, actor, actor, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = projects::insert(&mut write.tx, ProjectId::generate(), &request.name, &request.description).await?;
    write.commit(Entry::new("create_project").on("project", record.id).detail(request), view(record)).await
}

pub async fn update_project(
    app: &App,
    scope: &ProjectScope,
    if_match: Option<&[String]>,
    request: &UpdateProject,
) -> Result<Project, AppError> {
    scope.require(Right::ProjectUpdate)?;
    let mut write = Write::start(app, &scope.actor, scope).await?;
    let present = projects::find(&mut write.tx, scope.project).await?.ok_or_else(AppError::not_found)?;
    check_etag(if_match, present.revision)?;
    let name = request.name.as_ref().unwrap_or(&present.name);
    let description = request.description.as_ref().unwrap_or(&present.description);
    let errors: Vec<FieldError> =
        [name_fault("/name", name), description_fault("/description", description)].into_iter().flatten().collect();
    if !errors.is_empty() {
        return Err(Refusal::invalid(errors).into());
    }
    let now = app.clock.now();
    let changed = projects::update(&mut write.tx, scope.project, present.revision, name, description, now).await?;
    let changed = changed.ok_or_else(|| Refusal::new(ProblemCode::EtagMismatch))?;
    let entry = Entry::new("update_project").on("project", scope.project).detail(request);
    Ok(write.commit(entry, view(changed)).await?.value)
}

pub async fn delete_project(app: &App, scope: &ProjectScope) -> Result<(), AppError> {
    scope.require(Right::ProjectDelete)?;
    // The entry belongs to the organisation: the project is gone.
    let mut write = Write::start(app, &scope.actor, &scope.actor).await?;
    match projects::delete(&mut write.tx, scope.project).await {
        Err(StoreError::Reference { .. }) => {
            return Err(Refusal::new(ProblemCode::ActionNotAllowed)
                .detail(
                    "The project still has instances or failed creations; delete them first.",
                    "项目中仍有实例或创建失败的记录，请先删除。",
                )
                .into());
        }
        outcome => outcome?,
    }
    write.commit(Entry::new("delete_project").on("project", scope.project), ()).await?;
    Ok(())
}

/// What the project may hold, and holds.
pub async fn list_quotas(app: &App, scope: &ProjectScope) -> Result<Page<Quota>, AppError> {
    scope.require(Right::QuotaRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let (used, limit) = instances::quota(&mut tx).await?;
    Ok(Page::whole(vec![Quota { name: "instances".to_owned(), limit, used }]))
}

/// What each role may do. Whoever sees the project may know.
pub fn list_roles(scope: &ProjectScope) -> Result<Page<RoleDoc>, AppError> {
    scope.require(Right::ProjectRead)?;
    let rights = |role| rights_of(role).into_iter().map(|right| right.to_string()).collect();
    Ok(Page::whole(Role::ALL.iter().map(|role| RoleDoc { role: *role, rights: rights(*role) }).collect()))
}

/// 2 to 64 letters, digits, `-` and `_`.
pub(crate) fn name_fault(pointer: &str, name: &str) -> Option<FieldError> {
    let fits = (2..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (!fits).then(|| FieldError::new(pointer, "malformed-name", "2 to 64 letters, digits, `-` and `_`"))
}

/// At most 1 024 characters.
pub(crate) fn description_fault(pointer: &str, text: &str) -> Option<FieldError> {
    (text.chars().count() > 1024).then(|| FieldError::new(pointer, "too-long", "at most 1024 characters"))
}

fn view(record: ProjectRecord) -> Project {
    Project {
        id: record.id,
        organisation_id: record.organisation,
        name: record.name,
        description: record.description,
        created_at: record.created_at,
        updated_at: record.updated_at,
        etag: crate::app::etag(record.revision),
    }
}
