//! Service accounts of a project and their API keys.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write,
        audit::Entry,
        check_etag, etag,
        page::PageRequest,
        projects::{description_fault, name_fault},
    },
    auth::random::{API_KEY_PREFIX, RandomToken},
    domain::{
        actor::ProjectScope,
        rights::{Right, may_grant, rights_of},
    },
    store::{
        TenantTx,
        service_accounts::{self as accounts, AccountRecord, KeyRecord},
    },
};
use control_plane_api::{
    auth::{ApiKey, CreateApiKey, CreateServiceAccount, CreatedApiKey, ServiceAccount, UpdateServiceAccount},
    id::{ApiKeyId, ProjectId, ServiceAccountId},
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
    tenancy::Role,
};

/// Two live keys, so that one can be changed for the other without a gap (api.md §1).
const LIVE_KEYS: usize = 2;

pub async fn list_service_accounts(
    app: &App,
    scope: &ProjectScope,
    query: &PageQuery,
) -> Result<Page<ServiceAccount>, AppError> {
    scope.require(Right::ServiceAccountRead)?;
    let request = PageRequest::<ServiceAccountId>::parse(query)?;
    let mut tx = app.db.tenant(scope).await?;
    let rows = accounts::list(&mut tx, request.after, request.fetch()).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let keys = accounts::live_keys(&mut tx, &ids, app.clock.now()).await?;
    let total = if request.count { Some(accounts::count(&mut tx).await?) } else { None };
    Ok(request.page(rows, |row| row.id, |row| view(scope.project, row, &keys), total))
}

pub async fn get_service_account(
    app: &App,
    scope: &ProjectScope,
    id: ServiceAccountId,
) -> Result<ServiceAccount, AppError> {
    scope.require(Right::ServiceAccountRead)?;
    read(app, scope, &mut app.db.tenant(scope).await?, id).await
}

pub async fn create_service_account(
    app: &App,
    scope: &ProjectScope,
    key: Option<IdempotencyKey>,
    request: &CreateServiceAccount,
) -> Result<Answer<ServiceAccount>, AppError> {
    scope.require(Right::ServiceAccountWrite)?;
    let faults = [
        name_fault("/name", &request.name),
        description_fault("/description", &request.description),
        role_fault(request.role),
    ];
    refuse(faults.into_iter().flatten().collect())?;
    may_grant(&scope.rights, request.role)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let id = ServiceAccountId::generate();
    let now = app.clock.now();
    accounts::insert(&mut write.tx, id, &request.name, request.role, &request.description, now).await?;
    let account = read(app, scope, &mut write.tx, id).await?;
    write.commit(Entry::new("create_service_account").on("service-account", id).detail(request), account).await
}

pub async fn update_service_account(
    app: &App,
    scope: &ProjectScope,
    id: ServiceAccountId,
    if_match: Option<&[String]>,
    request: &UpdateServiceAccount,
) -> Result<ServiceAccount, AppError> {
    scope.require(Right::ServiceAccountWrite)?;
    let (mut write, present) = change(app, scope, id).await?;
    check_etag(if_match, present.revision)?;
    let role = request.role.unwrap_or(present.role);
    let description = request.description.as_ref().unwrap_or(&present.description);
    refuse([role_fault(role), description_fault("/description", description)].into_iter().flatten().collect())?;
    may_grant(&scope.rights, role)?;
    accounts::update(&mut write.tx, id, role, description).await?;
    let account = read(app, scope, &mut write.tx, id).await?;
    let entry = Entry::new("update_service_account").on("service-account", id).detail(request);
    Ok(write.commit(entry, account).await?.value)
}

pub async fn delete_service_account(app: &App, scope: &ProjectScope, id: ServiceAccountId) -> Result<(), AppError> {
    scope.require(Right::ServiceAccountWrite)?;
    let (mut write, _) = change(app, scope, id).await?;
    accounts::delete(&mut write.tx, id).await?;
    write.commit(Entry::new("delete_service_account").on("service-account", id), ()).await?;
    Ok(())
}

pub async fn create_api_key(
    app: &App,
    scope: &ProjectScope,
    id: ServiceAccountId,
    key: Option<IdempotencyKey>,
    request: &CreateApiKey,
) -> Result<Answer<CreatedApiKey>, AppError> {
    scope.require(Right::ServiceAccountWrite)?;
    let now = app.clock.now();
    let mut faults: Vec<FieldError> = description_fault("/description", &request.description).into_iter().collect();
    if request.expires_at.is_some_and(|expiry| expiry <= now) {
        faults.push(FieldError::new("/expires_at", "in-the-past", "a time to come"));
    }
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let account = accounts::lock(&mut write.tx, id).await?.ok_or_else(AppError::not_found)?;
    may_grant(&scope.rights, account.role)?;
    let rights = rights_of(account.role);
    for (place, name) in request.scopes.iter().enumerate() {
        if !name.parse::<Right>().is_ok_and(|right| rights.contains(&right)) {
            let known = rights.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(", ");
            let detail = format!("a right of the role {}: {known}", account.role.as_str());
            faults.push(FieldError::new(format!("/scopes/{place}"), "unknown-scope", detail).with("accepted", known));
        }
    }
    refuse(faults)?;
    let live = accounts::live_keys(&mut write.tx, &[id], now).await?.len();
    if live >= LIVE_KEYS {
        return Err(Refusal::new(ProblemCode::QuotaExceeded)
            .detail(
                format!("The account has {live} live keys; revoke one first."),
                format!("该账号已有 {live} 个有效密钥，请先吊销一个。"),
            )
            .with("limit", LIVE_KEYS)
            .with("used", live)
            .into());
    }
    let secret = RandomToken::generate(API_KEY_PREFIX)?;
    let record = KeyRecord {
        id: ApiKeyId::generate(),
        account: id,
        description: request.description.clone(),
        hint: secret.hint(),
        scopes: request.scopes.clone(),
        expires_at: request.expires_at,
        last_used_at: None,
        created_at: now,
    };
    accounts::insert_key(&mut write.tx, &record, &secret.hash()).await?;
    let entry = Entry::new("create_api_key").on("api-key", record.id).detail(request);
    write.commit(entry, CreatedApiKey { key: key_view(&record), secret: secret.expose().to_owned() }).await
}

pub async fn revoke_api_key(
    app: &App,
    scope: &ProjectScope,
    id: ServiceAccountId,
    key: ApiKeyId,
) -> Result<(), AppError> {
    scope.require(Right::ServiceAccountWrite)?;
    let (mut write, _) = change(app, scope, id).await?;
    if !accounts::revoke_key(&mut write.tx, id, key, app.clock.now()).await? {
        return Err(AppError::not_found());
    }
    write.commit(Entry::new("revoke_api_key").on("api-key", key), ()).await?;
    Ok(())
}

async fn change<'a>(
    app: &'a App,
    scope: &'a ProjectScope,
    id: ServiceAccountId,
) -> Result<(Write<'a>, AccountRecord), AppError> {
    let mut write = Write::start(app, &scope.actor, scope).await?;
    let present = accounts::lock(&mut write.tx, id).await?.ok_or_else(AppError::not_found)?;
    Ok((write, present))
}

async fn read(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    id: ServiceAccountId,
) -> Result<ServiceAccount, AppError> {
    let record = accounts::lock(tx, id).await?.ok_or_else(AppError::not_found)?;
    let keys = accounts::live_keys(tx, &[id], app.clock.now()).await?;
    Ok(view(scope.project, record, &keys))
}

fn refuse(faults: Vec<FieldError>) -> Result<(), Refusal> {
    if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
}

/// An owner is a person.
fn role_fault(role: Role) -> Option<FieldError> {
    (role == Role::Owner).then(|| FieldError::new("/role", "owner", "any role but owner"))
}

fn view(project: ProjectId, record: AccountRecord, keys: &[KeyRecord]) -> ServiceAccount {
    ServiceAccount {
        keys: keys.iter().filter(|key| key.account == record.id).map(key_view).collect(),
        id: record.id,
        project_id: project,
        name: record.name,
        role: record.role,
        description: record.description,
        created_at: record.created_at,
        etag: etag(record.revision),
    }
}

fn key_view(record: &KeyRecord) -> ApiKey {
    ApiKey {
        id: record.id,
        description: record.description.clone(),
        hint: record.hint.clone(),
        scopes: record.scopes.clone(),
        expires_at: record.expires_at,
        last_used_at: record.last_used_at,
        created_at: record.created_at,
    }
}
