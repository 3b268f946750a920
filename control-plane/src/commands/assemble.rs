//! From configuration to the parts that a process is made of.

use anyhow::{Context, Result};
use chrono::Duration;
use control_plane::{
    app::{App, auth::SignInPolicy, keys},
    auth::{
        password::{Cost, Passwords},
        token::Tokens,
    },
    clock::Clock,
    config::{Config, DriverKind, LimitsConfig, Redacted},
    domain::node_spec::Site,
    drivers::{
        Platform,
        local::{LocalDriver, LocalOptions},
        simulation::{Simulation, SimulationConfig, World},
    },
    http::{Settings, limits::Rate, server::Connections},
    jobs::{
        engine::{Config as RunnersConfig, Metrics as JobMetrics, Runner, Runners},
        workflow::{self, Environment},
    },
    kafka::{KafkaControl, KrafkaControl},
    loops::{CertificateMetrics, Keeper, Loops, Pace},
    nodes::{HttpsNodes, NodeControl},
    store::{Database, DatabaseUrls},
    telemetry::metrics::Metrics,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Audience of access tokens: this API and no other.
const AUDIENCE: &str = "sluice-api";
/// A replica that died holds its jobs this long.
const LEASE: std::time::Duration = std::time::Duration::from_secs(8);
const TOKEN_LIFE: Duration = Duration::minutes(15);

pub fn database(config: &Config) -> Result<Database> {
    let url = |value: &Option<Redacted>, key: &str| {
        value.as_ref().map(|url| url.expose().to_owned()).with_context(|| format!("{key} is not set"))
    };
    let urls = DatabaseUrls {
        owner: config.database.owner_url.as_ref().map(|url| url.expose().to_owned()),
        app: url(&config.database.app_url, "database.app_url")?,
        system: url(&config.database.system_url, "database.system_url")?,
        max_connections: config.database.max_connections,
    };
    Ok(Database::connect(&urls)?)
}

/// The application on a migrated database, its keys loaded.
pub async fn app(config: &Config, nodes: Arc<dyn NodeControl>, kafka: Arc<dyn KafkaControl>) -> Result<Arc<App>> {
    let db = database(config)?;
    let keyring = keys::load_keyring(&db, config.secrets.master_keys()?).await.context("data keys")?;
    let checks = config.sign_in.password_checks;
    let checks = checks.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get));
    let app = App {
        db,
        clock: Clock::system(),
        keyring,
        passwords: Passwords::new(Cost::DEFAULT, checks)?,
        tokens: Tokens::new(&config.issuer(), AUDIENCE, TOKEN_LIFE),
        sign_in: SignInPolicy {
            session_life: Duration::hours(config.sign_in.session_hours.into()),
            failures_allowed: config.sign_in.failures_allowed,
            first_lock: Duration::seconds(config.sign_in.first_lock_seconds.into()),
            longest_lock: Duration::seconds(config.sign_in.longest_lock_seconds.into()),
        },
        feed: Default::default(),
        nodes,
        kafka,
        metrics: Metrics::default(),
        stopping: CancellationToken::new(),
    };
    keys::refresh(&app).await.context("signing keys")?;
    Ok(Arc::new(app))
}

pub fn http_settings(limits: &LimitsConfig) -> Settings {
    Settings {
        callers: Rate { per_minute: limits.requests_per_minute, burst: limits.request_burst },
        sign_ins: Rate { per_minute: limits.sign_ins_per_minute, burst: limits.sign_in_burst },
        concurrency: limits.concurrent_requests,
        timeout: std::time::Duration::from_secs(limits.request_timeout_seconds),
    }
}

pub fn connections(limits: &LimitsConfig) -> Connections {
    Connections { most: limits.connections, silence: std::time::Duration::from_secs(limits.connection_silence_seconds) }
}

/// Where brokers run.
pub fn platform(config: &Config, clock: &Clock) -> Result<Platform> {
    match config.driver.kind {
        DriverKind::Simulation => {
            Ok(Simulation::platform(Arc::new(World::new(clock.clone(), SimulationConfig::default()))))
        }
        DriverKind::Local => {
            let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("sluice-node"));
            let node_program = match &config.driver.node_program {
                Some(program) => program.clone(),
                None => beside().context("where this program is")?,
            };
            let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
            let driver = LocalDriver::new(LocalOptions {
                home: std::path::absolute(&config.home).context("home")?,
                tools: std::path::absolute(&config.tools).context("tools")?,
                node_program,
                claims: LocalOptions::shared_claims(runtime.as_deref()),
            })?;
            Ok(Platform {
                driver: Arc::new(driver),
                nodes: Arc::new(HttpsNodes::default()),
                kafka: Arc::new(KrafkaControl),
            })
        }
    }
}

/// What a replica does besides answering requests.
pub struct Background {
    runners: Runners<Environment>,
    loops: Loops,
}

impl Background {
    /// Runs jobs and loops until [`Background::stop`].
    pub fn start(config: &Config, app: &App, platform: Platform) -> Result<Self> {
        let metrics = JobMetrics::default();
        let certificate_metrics = CertificateMetrics::default();
        app.metrics.register(|registry| {
            metrics.register(registry);
            certificate_metrics.register(registry);
        });
        let driver = &config.driver;
        let site = Site {
            heap_mb: driver.heap_mb,
            fast_start: driver.fast_start,
            balancers: driver.balancers.clone(),
            replication_tls: driver.replication_tls,
        };
        // Unique among replicas and over restarts: a lease is never mistaken for one's own.
        let owner = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4());
        let (db, keyring, clock) = (app.db.clone(), app.keyring.clone(), app.clock.clone());
        let keeper = Keeper {
            db: db.clone(),
            clock: clock.clone(),
            platform: platform.clone(),
            keyring: keyring.clone(),
            site: site.clone(),
            certificate_metrics: certificate_metrics.clone(),
            owner: owner.clone(),
        };
        let environment = Environment { platform, keyring: keyring.clone(), site };
        let runner = Runner::new(db, workflow::registry()?, environment, keyring, clock, metrics, LEASE, owner);
        let runners = Runners::start(runner, RunnersConfig::default());
        Ok(Self { runners, loops: Loops::start(keeper, Pace::default()) })
    }

    /// Gives everything that is under way to the other replicas.
    pub async fn stop(self) {
        tokio::join!(self.runners.stop(), self.loops.stop());
    }
}
