//! A database, a simulated world and runners, as often as a test wants them.

use crate::support::TestDatabase;
use broker_api::{secret::Secret, spec::TlsIdentity};
use chrono::{Duration as Span, TimeZone, Utc};
use control_plane::{
    clock::Clock,
    domain::node_spec::{REVISION, Site},
    drivers::{
        NodeRef,
        simulation::{Entry, Simulation, SimulationConfig, World},
    },
    jobs::{
        engine::{Metrics, NewJob, Registry, Resource, Runner, Turn, Workflow, enqueue},
        workflow::{
            AccessOpen, AclChange, CertificateChange, ClientQuotaChange, Environment, InstanceConfigure,
            InstanceCreate, InstanceDelete, KafkaUserChange, access_open, acl_change, certificate_change,
            client_quota_change, instance_configure, instance_create, instance_delete, kafka_user_change, registry,
        },
    },
    kafka::{Cluster, KafkaControl},
    pki,
    secrets::Keyring,
    store::Database,
};
use control_plane_api::{
    access::{Access, Authorization, BrokerAddress},
    acl::{AclBinding, AclPermission},
    certificate::CertificateReason,
    client_quota::QuotaRule,
    id::{CertificateId, InstanceId, JobId, OrganisationId, ProjectId},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::Notify;

pub(crate) const LEASE: Duration = Duration::from_secs(8);
pub(crate) const PASSWORD: &str = "Heron-lake-17";
pub(crate) const NEW_PASSWORD: &str = "Egret-pond-23";

/// Everything that outlives a control plane.
pub(crate) struct House {
    pub(crate) db: Database,
    pub(crate) world: Arc<World>,
    pub(crate) clock: Clock,
    pub(crate) keyring: Keyring,
    pub(crate) org: OrganisationId,
    pub(crate) project: ProjectId,
    // Last: dropped after what uses it.
    pub(crate) database: TestDatabase,
}

impl House {
    /// With a clock that stands still.
    pub(crate) async fn build() -> Self {
        Self::with_clock(Clock::manual(Utc.with_ymd_and_hms(2026, 11, 21, 8, 0, 0).unwrap())).await
    }

    pub(crate) async fn with_clock(clock: Clock) -> Self {
        let database = TestDatabase::create().await;
        let db = database.connect();
        let world = Arc::new(World::new(clock.clone(), SimulationConfig::default()));
        let (org, project) = (OrganisationId::generate(), ProjectId::generate());
        let mut sql = database.superuser().await;
        tenant(&mut sql, org, project, "acme").await;
        for statement in [
            "insert into regions values ('local-1', 'Local')",
            "insert into zones (name, region, vcpus, memory_gib, storage_gb)
             select 'local-1' || letter, 'local-1', 1000, 1000, 1000000 from unnest(array['a', 'b', 'c']) letter
             on conflict do nothing",
        ] {
            sqlx::query(statement).execute(&mut sql).await.unwrap();
        }
        Self { db, world, clock, keyring: Keyring::ephemeral().unwrap(), org, project, database }
    }

    pub(crate) fn environment(&self) -> Environment {
        Environment {
            platform: Simulation::platform(self.world.clone()),
            keyring: self.keyring.clone(),
            site: Site::default(),
        }
    }

    /// A control plane's runner, with the workflows of the product.
    pub(crate) fn runner(&self, owner: &str) -> Runner<Environment> {
        self.runner_of(owner, registry().unwrap(), self.environment())
    }

    pub(crate) fn runner_of<E: Send + Sync + 'static>(
        &self,
        owner: &str,
        registry: Registry<E>,
        environment: E,
    ) -> Runner<E> {
        Runner::new(
            self.db.clone(),
            registry,
            environment,
            self.keyring.clone(),
            self.clock.clone(),
            Metrics::default(),
            LEASE,
            owner.to_owned(),
        )
    }

    /// What an order writes, as `app::instances` does: instance, brokers, reservations and the job.
    pub(crate) async fn order(&self, name: &str) -> (InstanceId, JobId) {
        let (id, mut tx) = (InstanceId::generate(), self.db.system().await.unwrap());
        sqlx::query(
            "insert into instances (id, org_id, project_id, name, state, kafka_version, cluster_id, region, zones, spec,
                                    storage_gb, disk_type, spec_revision)
             select $1, $2, $3, $4, 'creating', '4.3.1', 'MkU3OEVBNTcwNTJENDM2Qk', 'local-1',
                    array['local-1a', 'local-1b', 'local-1c'], $5, 600, 'high', $6",
        )
        .bind(id.uuid())
        .bind(self.org.uuid())
        .bind(self.project.uuid())
        .bind(name)
        .bind(spec())
        .bind(REVISION)
        .execute(&mut *tx)
        .await
        .unwrap();
        for node_id in 0..3 {
            let zone = ["local-1a", "local-1b", "local-1c"][node_id as usize];
            for statement in [
                "insert into brokers (instance_id, org_id, node_id, zone, directory_id)
                 values ($1, $2, $3, $4, 'Kx7pQ2mYT0e1b3RrVwZs' || lpad($3::text, 2, '0'))",
                "insert into reservations (instance_id, org_id, node_id, zone, vcpus, memory_gib, storage_gb)
                 values ($1, $2, $3, $4, 2, 4, 200)",
            ] {
                let query = sqlx::query(statement).bind(id.uuid()).bind(self.org.uuid()).bind(node_id).bind(zone);
                query.execute(&mut *tx).await.unwrap();
            }
        }
        let user = "insert into kafka_users (instance_id, org_id, name) values ($1, $2, 'orders')";
        sqlx::query(user).bind(id.uuid()).bind(self.org.uuid()).execute(&mut *tx).await.unwrap();
        let params = instance_create::Params { instance_id: id, user: "orders".into(), password_generated: true };
        let secrets = instance_create::Secrets { password: Secret::new(PASSWORD) };
        let job = self.job::<InstanceCreate>(params, secrets, Some(resource(id, name)));
        let job = enqueue(&mut tx, &self.keyring, &self.clock, job).await.unwrap();
        tx.commit().await.unwrap();
        (id, job)
    }

    /// What a deletion writes.
    pub(crate) async fn delete(&self, id: InstanceId) -> JobId {
        let params = instance_delete::Params { instance_id: id };
        self.enqueue(self.job::<InstanceDelete>(params, (), Some(resource(id, "orders")))).await
    }

    /// What a change of the access writes.
    pub(crate) async fn configure(&self, id: InstanceId) -> JobId {
        let mut sql = self.database.superuser().await;
        let raise =
            "update instances set generation = generation + 1, access = '{\"authorization\": \"acl\"}' where id = $1";
        sqlx::query(raise).bind(id.uuid()).execute(&mut sql).await.unwrap();
        let params = instance_configure::Params { instance_id: id, authorization: true };
        self.enqueue(self.job::<InstanceConfigure>(params, (), Some(resource(id, "orders")))).await
    }

    /// What a change of the access writes that opens the public ports and 9011, and lets only ACLs decide.
    pub(crate) async fn open_ways(&self, id: InstanceId) -> JobId {
        let told = |broker_id| BrokerAddress { broker_id, host: format!("{broker_id}.acme.example"), port: 9011 };
        let access = Access {
            public_plaintext: true,
            public_sasl_ssl: true,
            cross_network: true,
            cross_network_addresses: (0..3).map(told).collect(),
            authorization: Authorization::Acl,
            ..Access::default()
        };
        let mut sql = self.database.superuser().await;
        sqlx::query("update instances set generation = generation + 1, access = $2 where id = $1")
            .bind(id.uuid())
            .bind(json!(access))
            .execute(&mut sql)
            .await
            .unwrap();
        let params = access_open::Params {
            instance_id: id,
            before: json!(Access::default()),
            authorization: true,
            certificate_id: CertificateId::generate(),
        };
        self.enqueue(self.job::<AccessOpen>(params, (), Some(resource(id, "orders")))).await
    }

    /// Every broker serves every path, at a public address of its own where there must be one, under a certificate that
    /// covers what it is called there.
    pub(crate) async fn assert_open(&self, id: InstanceId) {
        let public = self.world.public_addresses(id);
        assert_eq!(public.len(), 3);
        for node_id in 0..3 {
            let spec = self.world.spec(NodeRef { instance: id, node_id }).unwrap();
            assert_eq!(spec.generation, 4, "raised by the change, by the addresses and by their certificate");
            let (own, public) = (spec.kafka.bind, public[&node_id]);
            let binds: Vec<SocketAddr> = spec.gateway.listeners.iter().map(|listener| listener.bind).collect();
            let wanted = [(own, 9092), (own, 9093), (public, 9094), (public, 9095), (own, 9011)];
            assert_eq!(binds, wanted.map(SocketAddr::from));
            let names: Vec<String> = spec
                .gateway
                .listeners
                .iter()
                .flat_map(|listener| listener.advertised.iter().map(|address| address.host.clone()))
                .collect();
            let uncovered = pki::uncovered(&spec.gateway.server_tls.certificate_pem, &names).unwrap();
            assert_eq!(uncovered, Vec::<String>::new());
        }
        self.assert_certificate(id, 1).await;
        let allow = |binding: &AclBinding| binding.permission == AclPermission::Allow;
        assert!(!self.world.bindings(id).iter().any(allow), "only ACLs decide");
    }

    /// Nothing of an opening is left but perhaps its certificate.
    pub(crate) async fn assert_not_open(&self, id: InstanceId) {
        assert!(self.world.public_addresses(id).is_empty());
        let access = "select access::text from instances where id = $1";
        let access: Access = serde_json::from_str(&self.text(access, id.uuid()).await.unwrap()).unwrap();
        assert_eq!(access, Access::default());
        for node_id in 0..3 {
            let spec = self.world.spec(NodeRef { instance: id, node_id }).unwrap();
            let ports: Vec<u16> = spec.gateway.listeners.iter().map(|listener| listener.bind.port()).collect();
            assert_eq!(ports, [9092, 9093]);
        }
        let allow = |binding: &AclBinding| binding.permission == AclPermission::Allow;
        assert!(self.world.bindings(id).iter().any(allow), "who could do everything can again");
    }

    /// What a change of ACLs writes: one binding goes, one comes.
    pub(crate) async fn change_acls(&self, id: InstanceId) -> JobId {
        let kafka = Simulation::new(self.world.clone());
        kafka.put_acls(&self.cluster(id).await, &[binding("read")], &[]).await.unwrap();
        let params =
            acl_change::Params { instance_id: id, create: vec![binding("write")], delete: vec![binding("read")] };
        self.enqueue(self.job::<AclChange>(params, (), Some(resource(id, "orders")))).await
    }

    /// What a change of quotas writes: one figure goes, one comes.
    pub(crate) async fn change_quotas(&self, id: InstanceId) -> JobId {
        let kafka = Simulation::new(self.world.clone());
        kafka.put_client_quotas(&self.cluster(id).await, &[quota("consumer_byte_rate")], &[]).await.unwrap();
        let params = client_quota_change::Params {
            instance_id: id,
            set: vec![quota("producer_byte_rate")],
            remove: vec![quota("consumer_byte_rate")],
        };
        self.enqueue(self.job::<ClientQuotaChange>(params, (), Some(resource(id, "orders")))).await
    }

    /// Where the simulated Kafka of an instance is.
    async fn cluster(&self, id: InstanceId) -> Cluster {
        let mut tx = self.db.system().await.unwrap();
        let addresses: Vec<String> = sqlx::query_scalar("select host from brokers where instance_id = $1")
            .bind(id.uuid())
            .fetch_all(&mut *tx)
            .await
            .unwrap();
        let none = TlsIdentity { certificate_pem: String::new(), key_pem: Secret::new(""), ca_pem: String::new() };
        Cluster {
            internal: addresses.iter().map(|host| SocketAddr::new(host.parse().unwrap(), 9190)).collect(),
            sasl_ssl: Vec::new(),
            identity: Arc::new(none),
            public_ca_pem: String::new(),
        }
    }

    /// What a reset of the user's password writes.
    pub(crate) async fn reset_password(&self, id: InstanceId) -> JobId {
        let params = kafka_user_change::Params {
            instance_id: id,
            user: "orders".into(),
            action: kafka_user_change::Action::Reset,
            password_generated: false,
        };
        let secrets = kafka_user_change::Secrets { password: Some(Secret::new(NEW_PASSWORD)) };
        self.enqueue(self.job::<KafkaUserChange>(params, secrets, Some(resource(id, "orders")))).await
    }

    /// What a rotation of the certificate writes.
    pub(crate) async fn rotate_certificate(&self, id: InstanceId) -> JobId {
        let params = certificate_change::Params {
            instance_id: id,
            certificate_id: CertificateId::generate(),
            reason: CertificateReason::Rotated,
            overlap_hours: 720,
        };
        let secrets = certificate_change::Secrets { own: None };
        self.enqueue(self.job::<CertificateChange>(params, secrets, Some(resource(id, "orders")))).await
    }

    /// Every broker shows the certificate that is recorded as served, its key is the only one that is kept, and so many
    /// were served before.
    pub(crate) async fn assert_certificate(&self, id: InstanceId, earlier: i64) {
        let mut sql = self.database.superuser().await;
        let served = "select certificate_pem from certificates where instance_id = $1 and replaced_at is null";
        let served: String = sqlx::query_scalar(served).bind(id.uuid()).fetch_one(&mut sql).await.unwrap();
        for node_id in 0..3 {
            let spec = self.world.spec(NodeRef { instance: id, node_id }).unwrap();
            assert_eq!(spec.gateway.server_tls.certificate_pem, served, "broker {node_id}");
        }
        let before = "select count(*) from certificates where instance_id = $1 and replaced_at is not null";
        let before: i64 = sqlx::query_scalar(before).bind(id.uuid()).fetch_one(&mut sql).await.unwrap();
        assert_eq!(before, earlier);
        let keys = "select count(*) from instance_secrets where instance_id = $1 and name like 'clients-tls%'";
        let keys: i64 = sqlx::query_scalar(keys).bind(id.uuid()).fetch_one(&mut sql).await.unwrap();
        assert_eq!(keys, 1);
    }

    pub(crate) async fn enqueue<W: Workflow>(&self, job: NewJob<W>) -> JobId {
        let mut tx = self.db.system().await.unwrap();
        let id = enqueue(&mut tx, &self.keyring, &self.clock, job).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub(crate) fn job<W: Workflow>(
        &self,
        params: W::Params,
        secrets: W::Secrets,
        resource: Option<Resource>,
    ) -> NewJob<W> {
        NewJob {
            id: JobId::generate(),
            org: self.org,
            project: self.project,
            params,
            secrets,
            resource,
            actor: "alice@acme.example".into(),
            request_id: "req-1".into(),
            priority: 0,
            run_after: self.clock.now(),
        }
    }

    /// Claims and runs what is ready, and moves the clock past every back-off, until the job has ended or is stuck.
    pub(crate) async fn finish<E: Send + Sync + 'static>(&self, runner: &Runner<E>, job: JobId) -> String {
        for _ in 0..60 {
            self.turn(runner).await;
            let state = self.job_state(job).await;
            if ["succeeded", "failed", "cancelled", "stuck"].contains(&state.as_str()) {
                return state;
            }
            self.clock.advance(Span::seconds(60));
        }
        panic!("job {job} came to no end: {:?}", self.history(job).await);
    }

    /// Claims what is ready and runs it, one after the other.
    pub(crate) async fn turn<E: Send + Sync + 'static>(&self, runner: &Runner<E>) -> Vec<Turn> {
        let mut turns = Vec::new();
        for row in runner.claim(100, 100).await.unwrap() {
            turns.push(runner.run(row, Arc::new(Notify::new())).await);
        }
        turns
    }

    pub(crate) async fn job_state(&self, job: JobId) -> String {
        self.text("select state from jobs where id = $1", job.uuid()).await.unwrap()
    }

    /// `event step detail` of each line.
    pub(crate) async fn history(&self, job: JobId) -> Vec<String> {
        let mut sql = self.database.superuser().await;
        let rows = sqlx::query("select event, step, detail from job_events where job_id = $1 order by seq")
            .bind(job.uuid())
            .fetch_all(&mut sql)
            .await
            .unwrap();
        rows.iter()
            .map(|row| {
                let part = |name| row.get::<Option<String>, _>(name).unwrap_or_default();
                format!("{} {} {}", part("event"), part("step"), part("detail")).trim().to_owned()
            })
            .collect()
    }

    pub(crate) async fn text(&self, statement: &'static str, id: uuid::Uuid) -> Option<String> {
        let mut sql = self.database.superuser().await;
        sqlx::query_scalar(statement).bind(id).fetch_optional(&mut sql).await.unwrap().flatten()
    }

    pub(crate) async fn instance_state(&self, id: InstanceId) -> Option<String> {
        self.text("select state from instances where id = $1", id.uuid()).await
    }

    /// Rows that an instance holds beside its own, by table.
    pub(crate) async fn held(&self, id: InstanceId) -> Vec<(&'static str, i64)> {
        let mut sql = self.database.superuser().await;
        let mut held = Vec::new();
        for table in [
            "brokers",
            "reservations",
            "broker_addresses",
            "instance_secrets",
            "certificate_authorities",
            "kafka_users",
        ] {
            let statement = AssertSqlSafe(format!("select count(*) from {table} where instance_id = $1"));
            held.push((table, sqlx::query_scalar(statement).bind(id.uuid()).fetch_one(&mut sql).await.unwrap()));
        }
        held
    }

    /// Done: running, everything there exactly once, every node made once.
    #[track_caller]
    pub(crate) fn assert_nodes_made_once(&self, id: InstanceId) {
        let expected: BTreeSet<NodeRef> = (0..3).map(|node_id| NodeRef { instance: id, node_id }).collect();
        let mine: BTreeSet<NodeRef> = self.world.nodes().into_iter().filter(|node| node.instance == id).collect();
        assert_eq!(mine, expected);
        for node in expected {
            let entries: Vec<Entry> = self.ledger_of(node);
            assert_eq!(entries, [Entry::Created(node)], "one effect, and no other");
        }
    }

    pub(crate) fn ledger_of(&self, node: NodeRef) -> Vec<Entry> {
        let about = |entry: &Entry| match entry {
            Entry::Created(of) | Entry::Restarted(of) | Entry::Renewed(of) | Entry::Removed(of) => *of == node,
        };
        self.world.ledger().into_iter().filter(about).collect()
    }

    pub(crate) async fn assert_running(&self, id: InstanceId) {
        self.assert_running_with(id, 3).await;
    }

    /// With so many addresses.
    pub(crate) async fn assert_running_with(&self, id: InstanceId, addresses: i64) {
        assert_eq!(self.instance_state(id).await.as_deref(), Some("running"));
        self.assert_nodes_made_once(id);
        assert_eq!(self.world.users(id), ["orders"]);
        let expected = [
            ("brokers", 3),
            ("reservations", 3),
            ("broker_addresses", addresses),
            // Two leaves a node, those of clients and control plane, the key of delegation tokens.
            ("instance_secrets", 9),
            ("certificate_authorities", 1),
            ("kafka_users", 1),
        ];
        assert_eq!(self.held(id).await, expected);
    }

    /// Nothing but perhaps the instance's own row.
    pub(crate) async fn assert_holds_nothing(&self, id: InstanceId) {
        assert_eq!(self.held(id).await.iter().map(|(_, rows)| rows).sum::<i64>(), 0, "{:?}", self.held(id).await);
        let left: Vec<NodeRef> = self.world.nodes().into_iter().filter(|node| node.instance == id).collect();
        assert_eq!(left, []);
        assert_eq!(self.world.users(id), Vec::<String>::new());
    }
}

pub(crate) async fn tenant(sql: &mut PgConnection, org: OrganisationId, project: ProjectId, name: &str) {
    let query = sqlx::query("insert into organisations (org_id, name) values ($1, $2)");
    query.bind(org.uuid()).bind(name).execute(&mut *sql).await.unwrap();
    let query = sqlx::query("insert into projects (id, org_id, name) values ($1, $2, 'default')");
    query.bind(project.uuid()).bind(org.uuid()).execute(sql).await.unwrap();
}

/// Of the user `orders`, on the topic `orders`.
pub(crate) fn binding(operation: &str) -> AclBinding {
    let binding = json!({
        "resource_type": "topic", "resource_name": "orders", "principal": "User:orders", "operation": operation,
    });
    serde_json::from_value(binding).unwrap()
}

/// Of the user `orders`: this figure.
pub(crate) fn quota(key: &str) -> QuotaRule {
    serde_json::from_value(json!({ "entity": { "user": "orders" }, "limits": { key: 1_000_000 } })).unwrap()
}

fn resource(id: InstanceId, name: &str) -> Resource {
    Resource { kind: "instance", id: id.uuid(), name: name.to_owned() }
}

fn spec() -> serde_json::Value {
    json!({
        "name": "kafka.100", "bandwidth_mb_per_s": 100, "brokers": 3, "broker_vcpus": 2, "broker_memory_gib": 4,
        "disk_types": ["high"], "tps_high_throughput": 100_000, "tps_synchronous_replication": [],
        "partitions": 300, "client_connections": 3000, "consumer_groups": 60, "advised_traffic_mb_per_s": 70,
        "storage_gb_min": 600, "storage_gb_max": 90_000, "price_per_month": "1300", "price_per_hour": "2.71",
        "available": true
    })
}
