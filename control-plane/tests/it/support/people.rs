//! Two organisations with people of every role, put into the database directly.

use control_plane::{app::App, auth::token::Subject, domain::actor::Actor, store::sessions};
use control_plane_api::{
    id::{OrganisationId, ProjectId, SessionId, UserId},
    tenancy::Role,
};
use std::collections::BTreeMap;

/// What all of them sign in with.
pub const PASSWORD: &str = "correct horse battery staple";

/// Somebody with a role in an organisation, signed in.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: UserId,
    pub email: String,
    pub session: SessionId,
    /// Access token.
    pub token: String,
}

/// An organisation with the project `default` and a person for each role, which holds in the whole organisation.
#[derive(Debug, Clone)]
pub struct Organisation {
    pub id: OrganisationId,
    pub name: &'static str,
    pub project: ProjectId,
    people: BTreeMap<Role, Person>,
    /// Belongs to the organisation and has no role anywhere.
    pub stranger: Person,
    /// Has the role `developer` in the project `default` only.
    pub member: Person,
}

impl Organisation {
    pub fn person(&self, role: Role) -> &Person {
        &self.people[&role]
    }

    pub fn owner(&self) -> &Person {
        self.person(Role::Owner)
    }

    pub async fn create(app: &App, name: &'static str) -> Self {
        let (id, project) = (OrganisationId::generate(), ProjectId::generate());
        let mut tx = app.db.system().await.expect("transaction");
        sqlx::query("insert into organisations (org_id, name) values ($1, $2)")
            .bind(id.uuid())
            .bind(name)
            .execute(&mut *tx)
            .await
            .expect("organisation");
        sqlx::query("insert into projects (id, org_id, name) values ($1, $2, 'default')")
            .bind(project.uuid())
            .bind(id.uuid())
            .execute(&mut *tx)
            .await
            .expect("project");
        tx.commit().await.expect("commit");
        let mut people = BTreeMap::new();
        for role in Role::ALL {
            people.insert(*role, sign_up(app, id, &format!("{}@{name}.example", role.as_str()), Some(*role)).await);
        }
        let stranger = sign_up(app, id, &format!("stranger@{name}.example"), None).await;
        let member = sign_up(app, id, &format!("member@{name}.example"), None).await;
        let mut tx = app.db.system().await.expect("transaction");
        sqlx::query("insert into project_members (org_id, project_id, user_id, role) values ($1, $2, $3, 'developer')")
            .bind(id.uuid())
            .bind(project.uuid())
            .bind(member.id.uuid())
            .execute(&mut *tx)
            .await
            .expect("membership");
        tx.commit().await.expect("commit");
        Self { id, name, project, people, stranger, member }
    }

    /// The owner as use cases see it, for tests of `app` without HTTP.
    pub async fn actor(&self, app: &App, role: Role) -> Actor {
        let person = self.person(role);
        control_plane::app::auth::authenticate(app, &person.token, Default::default()).await.expect("signed in")
    }
}

async fn sign_up(app: &App, organisation: OrganisationId, email: &str, role: Option<Role>) -> Person {
    let (id, session) = (UserId::generate(), SessionId::generate());
    let hash = app.passwords.hash(PASSWORD).await.expect("hash");
    let now = app.clock.now();
    let mut tx = app.db.system().await.expect("transaction");
    sqlx::query("insert into users (id, org_id, email, password_hash, org_role) values ($1, $2, $3, $4, $5)")
        .bind(id.uuid())
        .bind(organisation.uuid())
        .bind(email)
        .bind(hash)
        .bind(role.map(Role::as_str))
        .execute(&mut *tx)
        .await
        .expect("user");
    sessions::insert(&mut tx, session, organisation, id, now, now + app.sign_in.session_life).await.expect("session");
    tx.commit().await.expect("commit");
    let token = app.tokens.sign(Subject::User { user: id, session }, organisation, now).expect("token");
    Person { id, email: email.to_owned(), session, token }
}
