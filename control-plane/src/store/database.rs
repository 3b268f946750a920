//! Connections and transactions.

use crate::store::{Scope, StoreError};
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use std::{
    ops::{Deref, DerefMut},
    str::FromStr,
    time::Duration,
};
use uuid::Uuid;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// How long a request waits for a free connection before it is told that the service is overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is, once for each of its roles (migrations/roles.sql).
#[derive(Clone)]
pub struct DatabaseUrls {
    /// `sluice_owner`: migrations only; not needed to serve.
    pub owner: Option<String>,
    /// `sluice_app`.
    pub app: String,
    /// `sluice_system`; direct, not through a transaction pooler, since it listens.
    pub system: String,
    /// Connections of each pool, at most.
    pub max_connections: u32,
}

impl std::fmt::Debug for DatabaseUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseUrls").field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

/// The database, as the control plane's two serving roles see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    app: PgPool,
    system: PgPool,
}

impl Database {
    /// Opens both pools; connections are made when they are first needed.
    pub fn connect(urls: &DatabaseUrls) -> Result<Self, StoreError> {
        Ok(Self {
            app: pool(&urls.app, "sluice-app", urls.max_connections)?,
            system: pool(&urls.system, "sluice-system", urls.max_connections)?,
        })
    }

    /// Brings the schema up to date as `sluice_owner`. Replicas that start together wait for each other (advisory lock).
    pub async fn migrate(owner_url: &str) -> Result<(), StoreError> {
        let pool = pool(owner_url, "sluice-migrate", 1)?;
        let outcome = MIGRATOR.run(&pool).await;
        pool.close().await;
        outcome.map_err(|error| StoreError::Other(sqlx::Error::Migrate(Box::new(error))))
    }

    /// Begins a transaction that sees the rows of one organisation.
    pub async fn tenant(&self, scope: impl Into<Scope>) -> Result<TenantTx, StoreError> {
        let scope = scope.into();
        // One round trip; a UUID needs no quoting.
        let begin = format!("begin; select set_config('sluice.org', '{}', true)", scope.organisation.uuid());
        let tx = self.app.begin_with(AssertSqlSafe(begin)).await?;
        Ok(TenantTx { tx, scope })
    }

    /// Begins a transaction that sees every organisation: for sign-in, jobs, loops and operators.
    pub async fn system(&self) -> Result<SystemTx, StoreError> {
        Ok(SystemTx { tx: self.system.begin().await? })
    }

    /// A connection of `sluice_system` outside any transaction, for single statements.
    pub async fn system_connection(&self) -> Result<sqlx::pool::PoolConnection<Postgres>, StoreError> {
        Ok(self.system.acquire().await?)
    }

    /// A connection of its own that hears NOTIFY.
    pub async fn listener(&self) -> Result<PgListener, StoreError> {
        Ok(PgListener::connect_with(&self.system).await?)
    }

    /// Both roles answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        for pool in [&self.app, &self.system] {
            sqlx::query("select 1").execute(pool).await?;
        }
        Ok(())
    }

    /// Connections open and idle, by pool, for metrics.
    pub fn pool_sizes(&self) -> [(&'static str, u32, usize); 2] {
        [("app", self.app.size(), self.app.num_idle()), ("system", self.system.size(), self.system.num_idle())]
    }

    /// Waits for transactions that run, then closes all connections.
    pub async fn close(&self) {
        self.app.close().await;
        self.system.close().await;
    }
}

fn pool(url: &str, name: &str, max_connections: u32) -> Result<PgPool, StoreError> {
    let options = PgConnectOptions::from_str(url)?
        .application_name(name)
        // A statement that runs longer is a fault of ours; a transaction left open would hold locks and vacuum.
        .options([("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")]);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options))
}

/// A transaction of `sluice_app` in a [`Scope`]. Dropped without [`TenantTx::commit`], it is rolled back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    scope: Scope,
}

impl TenantTx {
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Key of the organisation, to bind.
    pub fn org(&self) -> Uuid {
        self.scope.organisation.uuid()
    }

    /// Key of the project, to bind; null outside a project, which no row matches.
    pub fn project(&self) -> Option<Uuid> {
        self.scope.project.map(|project| project.uuid())
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}

impl Deref for TenantTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

/// A transaction of `sluice_system`. Dropped without [`SystemTx::commit`], it is rolled back.
#[derive(Debug)]
pub struct SystemTx {
    tx: Transaction<'static, Postgres>,
}

impl SystemTx {
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}

impl Deref for SystemTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for SystemTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
