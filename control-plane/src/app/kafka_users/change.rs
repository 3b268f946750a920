//! Changes of Kafka users. What a change may do is decided once, for the change and for its plan.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, check_etag, instances,
        jobs as job_views,
    },
    auth::random::NoRandom,
    domain::{
        actor::ProjectScope,
        kafka_user::{self, MAX_USERS, PASSWORD_BYTES},
        plan::{self, Effect},
        rights::Right,
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{
            KafkaUserChange,
            kafka_user_change::{Action, Params, Secrets},
        },
    },
    store::{TenantTx, instances::InstanceRecord, kafka_users as users},
};
use broker_api::secret::Secret;
use control_plane_api::{
    id::JobId,
    instance::{InstanceAction, Plan},
    job::Job,
    kafka_user::{CreateKafkaUser, ResetKafkaUserPassword, UpdateKafkaUser},
    problem::{FieldError, ProblemCode},
};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

/// A change of a user that its caller may make, of a request whose shape is right.
#[derive(Debug)]
pub struct Wanted {
    user: String,
    action: Action,
    /// Chosen by the caller; else one is made, where the action needs one.
    password: Option<Secret>,
}

/// A user to be made.
pub fn create_kafka_user(scope: &ProjectScope, request: &CreateKafkaUser) -> Result<Wanted, AppError> {
    let mut faults = Vec::new();
    kafka_user::check_user("/name", &request.name, &mut faults);
    check_password(&request.name, request.password.as_deref(), &mut faults);
    Wanted::new(scope, Action::Create, &request.name, request.password.as_deref(), faults)
}

/// A user to be disabled or enabled.
pub fn update_kafka_user(scope: &ProjectScope, user: &str, request: &UpdateKafkaUser) -> Result<Wanted, AppError> {
    let action = if request.disabled { Action::Disable } else { Action::Enable };
    Wanted::new(scope, action, user, None, Vec::new())
}

/// A user to be given another password.
pub fn reset_kafka_user_password(
    scope: &ProjectScope,
    user: &str,
    request: &ResetKafkaUserPassword,
) -> Result<Wanted, AppError> {
    let mut faults = Vec::new();
    check_password(user, request.password.as_deref(), &mut faults);
    Wanted::new(scope, Action::Reset, user, request.password.as_deref(), faults)
}

/// A user to be deleted.
pub fn delete_kafka_user(scope: &ProjectScope, user: &str) -> Result<Wanted, AppError> {
    Wanted::new(scope, Action::Delete, user, None, Vec::new())
}

fn check_password(user: &str, password: Option<&str>, faults: &mut Vec<FieldError>) {
    if let Some(password) = password {
        kafka_user::check_password("/password", user, password, faults);
    }
}

impl Wanted {
    fn new(
        scope: &ProjectScope,
        action: Action,
        user: &str,
        password: Option<&str>,
        faults: Vec<FieldError>,
    ) -> Result<Self, AppError> {
        scope.require(Right::KafkaUserWrite)?;
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults).into());
        }
        Ok(Self { user: user.to_owned(), action, password: password.map(Secret::new) })
    }

    /// What the audit trail calls it: the operation of the request.
    fn operation(&self) -> &'static str {
        match self.action {
            Action::Create => "create_kafka_user",
            Action::Disable | Action::Enable => "update_kafka_user",
            Action::Reset => "reset_kafka_user_password",
            Action::Delete => "delete_kafka_user",
        }
    }
}

/// Writes the change and starts the job that makes it true. The answer is the job.
pub async fn change_kafka_user(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<Answer<Job>, AppError> {
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = instances::lock(&mut write.tx, instance).await?;
    examine(&mut write.tx, &record, if_match, wanted).await?;
    let (tx, id, user, now) = (&mut write.tx, record.id, wanted.user.as_str(), app.clock.now());
    match wanted.action {
        Action::Create => users::insert(tx, id, user, &scope.actor.label(), now).await?,
        Action::Disable => users::set_disabled(tx, id, user, true, now).await?,
        Action::Enable => users::set_disabled(tx, id, user, false, now).await?,
        Action::Reset => users::touch(tx, id, user, now).await?,
        Action::Delete => users::mark_deleted(tx, id, user, now).await?,
    }
    let operation = wanted.operation();
    let detail = json!({ "user": wanted.user, "action": wanted.action });
    let job = start(app, scope, tx, &record, wanted).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new(operation).on("instance", id).job(job).detail(&detail), view).await
}

/// What the change would do; nothing is kept.
pub async fn plan_kafka_user(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    wanted: &Wanted,
) -> Result<Plan, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, instance).await?;
    let disabled = examine(&mut tx, &record, if_match, wanted).await?;
    drop(tx);
    let (steps, eta_seconds) = job_views::planned::<KafkaUserChange>(app).await?;
    let place = format!("/users/{}", wanted.user);
    let present = json!({ "disabled": disabled });
    let (from, to, effect) = match wanted.action {
        Action::Create => (Value::Null, json!({ "disabled": false }), Effect::Live),
        Action::Disable | Action::Enable => {
            (present, json!({ "disabled": wanted.action == Action::Disable }), Effect::Live)
        }
        Action::Reset => (json!({ "password": "old" }), json!({ "password": "new" }), Effect::Live),
        Action::Delete => (present, Value::Null, Effect::Replace),
    };
    let check = match wanted.action {
        Action::Create | Action::Enable => plan::ok("live", "takes effect at once; no other client notices"),
        Action::Disable => plan::warning("connections-close", "the user's open connections are closed at once"),
        Action::Reset => plan::warning(
            "connections-close",
            "the user's open connections are closed at once, and only the new password is accepted",
        ),
        Action::Delete => plan::warning(
            "connections-close",
            "the user's open connections are closed at once; access rules that name it stay in Kafka",
        ),
    };
    Ok(Plan {
        checks: vec![check],
        changes: vec![plan::change(&place, from, to, effect)],
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}

/// Refuses what may not be now. True when the user is disabled at present.
async fn examine(
    tx: &mut TenantTx,
    record: &InstanceRecord,
    if_match: Option<&[String]>,
    wanted: &Wanted,
) -> Result<bool, AppError> {
    let present = users::find(tx, record.id, &wanted.user).await?;
    match (&present, wanted.action) {
        (Some(user), Action::Create) => {
            let detail = format!("the instance has a user {}; choose another name", user.name);
            return Err(Refusal::new(ProblemCode::NameTaken).field(FieldError::new("/name", "taken", detail)).into());
        }
        (None, Action::Create) => {}
        (Some(user), _) => check_etag(if_match, user.revision)?,
        (None, _) => return Err(AppError::not_found()),
    }
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()).into());
    }
    instances::allow(record, InstanceAction::Use)?;
    let used = users::count(tx, record.id).await?;
    if wanted.action == Action::Create && used >= MAX_USERS {
        return Err(Refusal::new(ProblemCode::QuotaExceeded)
            .detail(
                format!("The instance has {used} Kafka users, the most that it may have; delete one first."),
                format!("该实例已有 {used} 个 Kafka 用户，达到上限；请先删除不用的用户。"),
            )
            .with("limit", MAX_USERS)
            .with("used", used)
            .into());
    }
    Ok(present.is_some_and(|user| user.disabled))
}

async fn start(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    instance: &InstanceRecord,
    Wanted { user, action, password }: &Wanted,
) -> Result<JobId, AppError> {
    let (user, action) = (user.clone(), *action);
    let password_generated = action.needs_password() && password.is_none();
    let password = if password_generated { Some(generate_password(&user)?) } else { password.clone() };
    let job = NewJob::<KafkaUserChange> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: Params { instance_id: instance.id, user, action, password_generated },
        secrets: Secrets { password },
        resource: Some(Resource { kind: "instance", id: instance.id.uuid(), name: instance.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        priority: 0,
        run_after: app.clock.now(),
    };
    Ok(enqueue(tx, &app.keyring, &app.clock, job).await?)
}

/// A password that keeps the rules.
pub(crate) fn generate_password(user: &str) -> Result<Secret, AppError> {
    let random = SystemRandom::new();
    loop {
        let mut bytes = [0; PASSWORD_BYTES];
        random.fill(&mut bytes).map_err(|_| NoRandom)?;
        if let Some(password) = kafka_user::password_from(user, bytes) {
            return Ok(Secret::new(password));
        }
    }
}
