//! The application in this process, called through its router.

use super::{Organisation, Person, TestDatabase};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use chrono::Duration;
use control_plane::{
    app::{App, auth::SignInPolicy, keys},
    auth::{
        password::{Cost, Passwords},
        token::{SigningKey, Tokens},
    },
    clock::Clock,
    drivers::simulation::{Simulation, SimulationConfig, World},
    http,
    http::{Settings, limits::Rate},
    secrets::MasterKeys,
    store::{sealed, signing_keys},
    telemetry::metrics::Metrics,
};
use control_plane_api::problem::Problem;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The application on a database of its own, with two organisations that must never see each other.
pub struct TestApp {
    pub app: Arc<App>,
    pub acme: Organisation,
    pub globex: Organisation,
    pub master_key: String,
    /// Where its brokers are simulated.
    pub world: Arc<World>,
    router: Router,
    // Last: dropped after what uses it.
    pub database: TestDatabase,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with_clock(Clock::system()).await
    }

    pub async fn with_clock(clock: Clock) -> Self {
        let database = TestDatabase::create().await;
        let master_key = master_key();
        let world = Arc::new(World::new(clock.clone(), SimulationConfig::default()));
        let app = build(&database, clock, ("test", &master_key), &world).await;
        let acme = Organisation::create(&app, "acme").await;
        let globex = Organisation::create(&app, "globex").await;
        Self { router: router(app.clone()), app, acme, globex, master_key, world, database }
    }

    /// Another replica on the same database.
    pub async fn replica(&self) -> Replica {
        self.replica_with("test", &self.master_key).await
    }

    /// Another replica that knows only this master key.
    pub async fn replica_with(&self, name: &str, master_key: &str) -> Replica {
        Replica { router: router(build(&self.database, self.app.clock.clone(), (name, master_key), &self.world).await) }
    }

    /// A request of `person`: `app.get(path).by(person).send()`.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call::new(&self.router, method, path)
    }

    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: impl Into<String>, body: Value) -> Call<'_> {
        self.call(Method::POST, path).json(body)
    }
}

/// A second process, as far as its callers can tell.
pub struct Replica {
    router: Router,
}

impl Replica {
    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(&self.router, Method::GET, path)
    }

    pub fn post(&self, path: impl Into<String>, body: Value) -> Call<'_> {
        Call::new(&self.router, Method::POST, path).json(body)
    }
}

pub const ISSUER: &str = "https://sluice.example";
pub const AUDIENCE: &str = "sluice-api";

/// The key that signs access tokens, private half included.
pub async fn signing_key(app: &App) -> SigningKey {
    let mut conn = app.db.system_connection().await.expect("connection");
    let record = signing_keys::list(&mut conn).await.expect("keys").remove(0);
    let context = sealed::Place::SigningKey { kid: record.kid.clone() }.context();
    SigningKey {
        private_pkcs8: app.keyring.open(&context, &record.private_key_sealed).expect("it opens"),
        kid: record.kid,
        public_jwk: record.public_jwk.0,
        signs_from: record.signs_from,
        signs_until: record.signs_until,
    }
}

/// Limits that no test reaches unless it means to.
pub const SETTINGS: Settings = Settings {
    callers: Rate { per_minute: 600_000, burst: 100_000 },
    sign_ins: Rate { per_minute: 600_000, burst: 100_000 },
    concurrency: 1000,
    timeout: std::time::Duration::from_secs(60),
};

pub fn router(app: Arc<App>) -> Router {
    http::router(app, SETTINGS).expect("documents")
}

/// A key such as every replica of one installation is given.
pub fn master_key() -> String {
    MasterKeys::generate().expect("random bytes")
}

/// A replica on `database`.
pub async fn build(database: &TestDatabase, clock: Clock, master_key: (&str, &str), world: &Arc<World>) -> Arc<App> {
    let db = database.connect();
    let master = MasterKeys::new(master_key.0, [master_key]).expect("a master key");
    let keyring = keys::load_keyring(&db, master).await.expect("keyring");
    let app = App {
        keyring,
        passwords: Passwords::new(Cost::LEAST, 4).expect("argon2"),
        tokens: Tokens::new(ISSUER, AUDIENCE, Duration::minutes(15)),
        sign_in: SignInPolicy::default(),
        feed: Default::default(),
        nodes: Arc::new(Simulation::new(world.clone())),
        kafka: Arc::new(Simulation::new(world.clone())),
        metrics: Metrics::default(),
        stopping: CancellationToken::new(),
        clock,
        db,
    };
    keys::refresh(&app).await.expect("signing keys");
    Arc::new(app)
}

/// A request being made.
#[must_use]
pub struct Call<'a> {
    router: &'a Router,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub fn new(router: &'a Router, method: Method, path: impl Into<String>) -> Self {
        Self { router, method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn by(self, person: &Person) -> Self {
        self.bearer(&person.token)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub fn text(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    pub async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body.map_or_else(Body::empty, Body::from)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { path: self.path, status: parts.status, headers: parts.headers, body }
    }
}

/// The same request with one key, a hundred times at once: it has one effect, and all get its answer.
pub async fn a_hundred_at_once(ask: impl AsyncFn() -> Answer) {
    let one = async || {
        loop {
            let answer = ask().await;
            match answer.status.as_u16() {
                201 => return answer,
                409 => answer.problem("idempotency-in-flight"),
                _ => panic!("{}", answer.text()),
            };
            tokio::task::yield_now().await;
        }
    };
    let answers = futures::future::join_all((0..100).map(|_| one())).await;
    assert!(answers.iter().all(|answer| answer.body == answers[0].body), "the same bytes");
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
    assert_eq!(first, 1);
}

#[derive(Debug, Clone)]
pub struct Answer {
    path: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, after a check of the status.
    #[track_caller]
    pub fn expect<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.path, self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.path, self.text()))
    }

    /// The code, if it is a problem.
    pub fn problem_code(&self) -> Option<String> {
        let problem: Problem = serde_json::from_slice(&self.body).ok()?;
        Some(problem.code.as_str().to_owned())
    }

    /// The problem, after a check of its code and of everything that all problems have.
    #[track_caller]
    pub fn problem(&self, code: &str) -> Problem {
        assert_eq!(self.header(header::CONTENT_TYPE.as_str()), Some("application/problem+json"), "{}", self.text());
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!(problem.code.as_str(), code, "{}", self.text());
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(Some(problem.request_id.as_str()), self.header("x-request-id"));
        problem
    }
}
