//! The database's own wall between tenants, derived from its catalogue: a table made tomorrow is checked without a word here.

use crate::support::TestApp;
use sqlx::{AssertSqlSafe, Connection, Row};

#[tokio::test]
async fn the_serving_roles_own_nothing_and_bypass_nothing() {
    let app = TestApp::start().await;
    let mut superuser = app.database.superuser().await;
    let rows = sqlx::query("select rolname, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb as strong from pg_roles where rolname like 'sluice%'")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(!row.get::<bool, _>("strong"), "{}", row.get::<String, _>("rolname"));
    }
    let owned: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname in ('sluice_app', 'sluice_system')",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert!(owned.is_empty(), "{owned:?}");
}

/// Tables of tenants: those with an organisation.
const TENANT_TABLES: &str = "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'public' and c.relkind in ('r', 'p') and a.attname = 'org_id' and not a.attisdropped order by 1";

#[tokio::test]
async fn every_table_of_tenants_has_forced_policies_for_both_roles() {
    let app = TestApp::start().await;
    let mut superuser = app.database.superuser().await;
    let tables: Vec<String> = sqlx::query_scalar(TENANT_TABLES).fetch_all(&mut superuser).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let forced: bool =
            sqlx::query_scalar("select relrowsecurity and relforcerowsecurity from pg_class where oid = $1::regclass")
                .bind(&table)
                .fetch_one(&mut superuser)
                .await
                .unwrap();
        assert!(forced, "{table}: row-level security is not forced");
        let policies: Vec<String> = sqlx::query_scalar(
            "select polname::text from pg_policy where polrelid = $1::regclass and polname in ('tenant', 'platform') order by 1",
        )
        .bind(&table)
        .fetch_all(&mut superuser)
        .await
        .unwrap();
        assert_eq!(policies, ["platform", "tenant"], "{table}");
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_and_without_a_scope_nobody_sees_any() {
    let app = TestApp::start().await;
    for (organisation, name) in [(&app.acme, "shop"), (&app.globex, "depot")] {
        let made = app.post("/v1/projects", serde_json::json!({ "name": name })).by(organisation.owner()).send().await;
        made.expect::<serde_json::Value>(201);
    }
    let mut superuser = app.database.superuser().await;
    let tables: Vec<String> = sqlx::query_scalar(TENANT_TABLES).fetch_all(&mut superuser).await.unwrap();
    let mut unscoped = sqlx::PgConnection::connect(&app.database.url("sluice_app")).await.unwrap();
    for table in tables {
        let readable: bool = sqlx::query_scalar("select has_table_privilege('sluice_app', $1, 'select')")
            .bind(&table)
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        if !readable {
            continue;
        }
        let count = format!("select count(*) from {table}");
        let seen: i64 = sqlx::query_scalar(AssertSqlSafe(count.clone())).fetch_one(&mut unscoped).await.unwrap();
        assert_eq!(seen, 0, "{table}, without a scope");
        let mut tx = app.app.db.tenant(control_plane::store::Scope::organisation(app.acme.id)).await.unwrap();
        let foreign = format!("{count} where org_id <> '{}'", app.acme.id.uuid());
        let seen: i64 = sqlx::query_scalar(AssertSqlSafe(foreign)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}, rows of others");
    }
    let mut tx = app.app.db.tenant(control_plane::store::Scope::organisation(app.acme.id)).await.unwrap();
    let theirs = sqlx::query("insert into projects (id, org_id, name) values (gen_random_uuid(), $1, 'planted')")
        .bind(app.globex.id.uuid())
        .execute(&mut *tx)
        .await
        .unwrap_err();
    assert!(theirs.to_string().contains("row-level security"), "{theirs}");
}
