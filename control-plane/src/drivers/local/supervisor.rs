//! A node's supervisor: started apart from us, spoken to through its unix socket.

use super::{files::NodeHome, processes::NONCE_VARIABLE};
use broker_api::{paths::supervisor as paths, status::BrokerStatus};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{
    env,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};

const MAX_ANSWER_BYTES: usize = 1 << 20;
const STATUS_DEADLINE: Duration = Duration::from_secs(2);
/// The supervisor itself gives a new gateway ten seconds.
const REPLACE_DEADLINE: Duration = Duration::from_secs(15);
/// What it prints before its own log is open, or when it panics.
const OUTPUT: &str = "supervisor-output.log";
/// Nothing else of our environment is a node's business.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "JAVA_HOME", "LANG", "TZ", "TMPDIR"];

/// Starts `sluice-node supervisor`. It makes a session of its own, and goes on when we end.
pub(super) fn start(program: &Path, tools: &Path, home: &NodeHome, nonce: &str) -> io::Result<Child> {
    let output = OpenOptions::new().append(true).create(true).mode(0o600).open(home.logs().join(OUTPUT))?;
    let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    Command::new(program)
        .arg("supervisor")
        .arg("--dir")
        .arg(home.root())
        .arg("--tools")
        .arg(tools)
        .arg("--with-gateway")
        .current_dir(home.root())
        .env_clear()
        .envs(passed_on)
        .env(NONCE_VARIABLE, nonce)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
}

/// The last lines that a supervisor printed: why it ended.
pub(super) fn last_output(home: &NodeHome) -> String {
    let text = fs::read(home.logs().join(OUTPUT)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

/// What it says of itself, or an error while it does not listen.
pub(super) async fn status(home: &NodeHome) -> io::Result<BrokerStatus> {
    let body = within(STATUS_DEADLINE, request(home, Method::GET, paths::STATUS)).await?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// Asks it to stop JVM and gateway, then itself; `graceful` for Kafka to hand its leaders over.
pub(super) async fn stop(home: &NodeHome, graceful: Duration) -> io::Result<()> {
    let path = format!("{}?deadline_ms={}", paths::STOP, graceful.as_millis());
    // The gateway drains after the broker, for as long at most.
    within(2 * graceful + STATUS_DEADLINE, request(home, Method::POST, &path)).await.map(drop)
}

/// Asks it to start a gateway of its own build and to let the one that runs drain.
pub(super) async fn replace_gateway(home: &NodeHome) -> io::Result<()> {
    within(REPLACE_DEADLINE, request(home, Method::POST, paths::REPLACE_GATEWAY)).await.map(drop)
}

async fn request(home: &NodeHome, method: Method, path: &str) -> io::Result<Bytes> {
    let stream = UnixStream::connect(home.socket()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "node")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(format!("the supervisor answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(io::Error::other)?;
        Ok(body.to_bytes())
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

async fn within<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
