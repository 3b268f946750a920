//! Members of a project, and of the organisation: who has which role.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, auth::password_fault,
        page::PageRequest,
    },
    domain::{
        actor::{Actor, Forbidden, ProjectScope},
        rights::{Right, may_grant},
    },
    store::{
        Scope,
        members::{self, MemberRecord},
        users,
    },
};
use control_plane_api::{
    id::UserId,
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
    tenancy::{Member, PutMember, Role},
};
use std::collections::BTreeSet;

/// Longest name that a person is shown by, in characters.
const MAX_DISPLAY_NAME: usize = 128;

/// Where roles are held: a project, or the whole organisation.
#[derive(Debug, Clone)]
pub enum Circle {
    Organisation(Actor),
    Project(ProjectScope),
}

impl Circle {
    fn actor(&self) -> &Actor {
        match self {
            Self::Organisation(actor) => actor,
            Self::Project(scope) => &scope.actor,
        }
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Organisation(actor) => actor.into(),
            Self::Project(scope) => scope.into(),
        }
    }

    fn rights(&self) -> BTreeSet<Right> {
        match self {
            Self::Organisation(actor) => actor.organisation_rights(),
            Self::Project(scope) => scope.rights.clone(),
        }
    }

    fn require(&self, right: Right) -> Result<(), Forbidden> {
        if self.rights().contains(&right) { Ok(()) } else { Err(Forbidden { right }) }
    }
}

pub async fn list_members(app: &App, circle: &Circle, query: &PageQuery) -> Result<Page<Member>, AppError> {
    circle.require(Right::MemberRead)?;
    let request = PageRequest::<UserId>::parse(query)?;
    let mut tx = app.db.tenant(circle.scope()).await?;
    let rows = members::list(&mut tx, request.after, request.fetch()).await?;
    let total = if request.count { Some(members::count(&mut tx).await?) } else { None };
    Ok(request.page(rows, |row| row.user, view, total))
}

/// Gives a role; makes the account if the organisation has none with this address.
pub async fn add_member(
    app: &App,
    circle: &Circle,
    key: Option<IdempotencyKey>,
    request: &PutMember,
) -> Result<Answer<Member>, AppError> {
    circle.require(Right::MemberWrite)?;
    may_grant(&circle.rights(), request.role)?;
    let email = request.email.trim().to_lowercase();
    let mut errors: Vec<FieldError> = email_fault(&email).into_iter().collect();
    if request.display_name.chars().count() > MAX_DISPLAY_NAME {
        let detail = format!("{MAX_DISPLAY_NAME} characters at most");
        errors.push(FieldError::new("/display_name", "too-long", detail).with("limit", MAX_DISPLAY_NAME));
    }
    errors.extend(request.password.as_deref().and_then(|password| password_fault("/password", password)));
    if !errors.is_empty() {
        return Err(Refusal::invalid(errors).into());
    }
    // Before the transaction: hashing takes long.
    let hash = match &request.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let mut write = match Write::begin(app, circle.actor(), circle.scope(), key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let now = app.clock.now();
    let user = match (users::find_in_organisation(&mut write.tx, &email).await?, hash) {
        (Some(user), _) => user.id,
        (None, Some(hash)) => {
            let id = UserId::generate();
            users::insert(&mut write.tx, id, &email, &request.display_name, &hash).await?;
            id
        }
        (None, None) => {
            let error = FieldError::new(
                "/password",
                "required",
                "a new account needs a first password of 12 to 128 characters",
            );
            return Err(Refusal::invalid(vec![error]).into());
        }
    };
    if let Some(present) = members::lock(&mut write.tx, user).await? {
        may_grant(&circle.rights(), present.role)?;
        keep_an_owner(&mut write, circle, &present, Some(request.role)).await?;
    }
    members::put(&mut write.tx, user, request.role, now).await?;
    let member = members::lock(&mut write.tx, user).await?.ok_or_else(AppError::not_found)?;
    write.commit(Entry::new(circle.action("add")).on("user", user).detail(request), view(member)).await
}

pub async fn update_member(app: &App, circle: &Circle, user: UserId, role: Role) -> Result<Member, AppError> {
    circle.require(Right::MemberWrite)?;
    may_grant(&circle.rights(), role)?;
    let (mut write, present) = change(app, circle, user).await?;
    keep_an_owner(&mut write, circle, &present, Some(role)).await?;
    members::put(&mut write.tx, user, role, app.clock.now()).await?;
    let detail = serde_json::json!({ "from": present.role, "to": role });
    let entry = Entry::new(circle.action("update")).on("user", user).detail(&detail);
    Ok(write.commit(entry, view(MemberRecord { role, ..present })).await?.value)
}

pub async fn remove_member(app: &App, circle: &Circle, user: UserId) -> Result<(), AppError> {
    circle.require(Right::MemberWrite)?;
    let (mut write, present) = change(app, circle, user).await?;
    keep_an_owner(&mut write, circle, &present, None).await?;
    members::remove(&mut write.tx, user, app.clock.now()).await?;
    let detail = serde_json::json!({ "from": present.role });
    write.commit(Entry::new(circle.action("remove")).on("user", user).detail(&detail), ()).await?;
    Ok(())
}

impl Circle {
    /// The operation id in the audit trail.
    fn action(&self, verb: &str) -> &'static str {
        match (self, verb) {
            (Self::Organisation(_), "add") => "add_member",
            (Self::Organisation(_), "update") => "update_member",
            (Self::Organisation(_), _) => "remove_member",
            (Self::Project(_), "add") => "add_project_member",
            (Self::Project(_), "update") => "update_project_member",
            (Self::Project(_), _) => "remove_project_member",
        }
    }
}

async fn change<'a>(app: &'a App, circle: &'a Circle, user: UserId) -> Result<(Write<'a>, MemberRecord), AppError> {
    let mut write = Write::start(app, circle.actor(), circle.scope()).await?;
    let present = members::lock(&mut write.tx, user).await?.ok_or_else(AppError::not_found)?;
    may_grant(&circle.rights(), present.role)?;
    Ok((write, present))
}

/// An organisation without an owner could not be helped from inside.
async fn keep_an_owner(
    write: &mut Write<'_>,
    circle: &Circle,
    present: &MemberRecord,
    then: Option<Role>,
) -> Result<(), AppError> {
    let leaves = matches!(circle, Circle::Organisation(_)) && present.role == Role::Owner && then != Some(Role::Owner);
    if leaves && members::other_owners(&mut write.tx, present.user).await? == 0 {
        return Err(Refusal::new(ProblemCode::ActionNotAllowed)
            .detail(
                "This is the organisation's only owner; make another one first.",
                "这是组织唯一的所有者，请先指定另一位所有者。",
            )
            .into());
    }
    Ok(())
}

/// One `@` with something around it; whether it can be delivered only a mail can tell.
fn email_fault(email: &str) -> Option<FieldError> {
    let fits = (3..=254).contains(&email.len())
        && !email.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    (!fits).then(|| {
        FieldError::new("/email", "malformed-email", "an address of the form name@host, 254 characters at most")
    })
}

fn view(record: MemberRecord) -> Member {
    Member {
        user_id: record.user,
        email: record.email,
        display_name: record.display_name,
        role: record.role,
        created_at: record.created_at,
    }
}
