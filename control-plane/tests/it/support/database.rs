//! A database of its own for each test, copied from a template that was migrated once.

use super::cluster::Cluster;
use control_plane::store::{Database, DatabaseUrls};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::Path;
use tokio::sync::OnceCell;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// An empty, migrated database. Dropped with the test.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    pub async fn create() -> Self {
        let template = TEMPLATE.get_or_init(template).await;
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        admin(&format!("create database {name} template {template} owner sluice_owner")).await;
        Self { name }
    }

    /// URL for one of the roles, or for `postgres`, the superuser.
    pub fn url(&self, role: &str) -> String {
        Cluster::get().url(role, &self.name)
    }

    pub fn urls(&self) -> DatabaseUrls {
        DatabaseUrls {
            owner: Some(self.url("sluice_owner")),
            app: self.url("sluice_app"),
            system: self.url("sluice_system"),
            max_connections: 10,
        }
    }

    pub fn connect(&self) -> Database {
        Database::connect(&self.urls()).expect("urls of the test database")
    }

    /// Everything in it, as `pg_dump` writes it.
    pub fn dump(&self) -> Vec<u8> {
        Cluster::get().dump(&self.name)
    }

    /// A connection that sees and may do everything, to look behind the scenes.
    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.expect("connection of the superuser")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test's runtime is going down here: a thread with its own drops the database.
        let name = std::mem::take(&mut self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(admin(&format!("drop database if exists {name} with (force)")));
        });
        let _ = dropping.join();
    }
}

async fn template() -> String {
    let cluster = tokio::task::spawn_blocking(Cluster::get).await.expect("the cluster starts");
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let passwords =
        [("owner_password", "sluice_owner"), ("app_password", "sluice_app"), ("system_password", "sluice_system")];
    cluster.psql("postgres", &migrations.join("roles.sql"), &passwords);
    let name = format!("template_{}", uuid::Uuid::new_v4().simple());
    admin(&format!("create database {name} owner sluice_owner")).await;
    Database::migrate(&cluster.url("sluice_owner", &name)).await.expect("migrations apply");
    name
}

async fn admin(statement: &str) {
    let mut connection = PgConnection::connect(&Cluster::get().url("postgres", "postgres")).await.expect("superuser");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect(statement);
}
