//! A node under test: its directory, its processes, its two APIs. What still runs when the test ends is
//! killed, found by the nonce that all of it carries.

use crate::stand_in;
use crate::support::TestInstance;
use broker_api::spec::{NodeSpec, TlsIdentity};
use broker_api::status::{BrokerState, BrokerStatus};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits for a condition, and says which when it does not come.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Long enough for this machine at its busiest.
pub const SOON: Duration = Duration::from_secs(30);

pub struct Node {
    pub instance: Arc<TestInstance>,
    pub spec: NodeSpec,
    directory: tempfile::TempDir,
    tools: PathBuf,
    pub nonce: String,
    /// For the supervisor, beside what it always gets.
    pub arguments: Vec<&'static str>,
    /// What stands for the machine's `/etc/resolv.conf`.
    pub resolver: Option<PathBuf>,
    supervisor: Option<Child>,
}

impl Node {
    /// A node with the stand-in for Kafka; nothing runs yet.
    pub fn new() -> Self {
        let instance = TestInstance::new(crate::KAFKA_NEW, 1);
        let directory = tempfile::tempdir().unwrap();
        let tools = directory.path().join("tools");
        stand_in::make_tools(&tools, crate::KAFKA_NEW);
        Self::with(Arc::new(instance), 1, directory, tools)
    }

    /// A node with a real Kafka out of `tools`.
    pub fn with_kafka(version: &str, tools: PathBuf) -> Self {
        Self::with(Arc::new(TestInstance::new(version, 1)), 1, tempfile::tempdir().unwrap(), tools)
    }

    /// Nodes of one instance, each with a real Kafka; `change` is made to every spec.
    pub fn cluster(version: &str, brokers: u8, tools: &Path, change: impl Fn(&mut NodeSpec)) -> Vec<Self> {
        let instance = Arc::new(TestInstance::new(version, brokers));
        let node = |number| {
            let mut node = Self::with(instance.clone(), number, tempfile::tempdir().unwrap(), tools.to_owned());
            change(&mut node.spec);
            node.write_boot_spec(&node.spec);
            node
        };
        (1..=brokers).map(node).collect()
    }

    fn with(instance: Arc<TestInstance>, number: u8, directory: tempfile::TempDir, tools: PathBuf) -> Self {
        let spec = instance.spec(number);
        let nonce = format!("test-{}-{number}", instance.id);
        let node =
            Self { instance, spec, directory, tools, nonce, arguments: Vec::new(), resolver: None, supervisor: None };
        fs::create_dir(node.path("")).unwrap();
        node.write_boot_spec(&node.spec);
        node
    }

    /// A path under the node directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("node").join(name)
    }

    pub fn write_boot_spec(&self, spec: &NodeSpec) {
        let whole = self.path("spec.json.written");
        fs::write(&whole, serde_json::to_vec(spec).unwrap()).unwrap();
        fs::rename(whole, self.path("spec.json")).unwrap();
    }

    fn command(&self, with_gateway: bool) -> Command {
        let program = env!("CARGO_BIN_EXE_sluice-node");
        let mut command = match &self.resolver {
            None => Command::new(program),
            Some(resolver) => {
                let mut command = Command::new("unshare");
                let bind = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
                command.args(["--mount", "sh", "-c", bind]).arg(resolver).arg(program);
                command
            }
        };
        command.arg("supervisor").arg("--dir").arg(self.path("")).arg("--tools").arg(&self.tools).args(&self.arguments);
        if with_gateway {
            command.arg("--with-gateway");
        }
        command.env("SLUICE_NODE_NONCE", &self.nonce).stdin(Stdio::null());
        command
    }

    /// Starts a supervisor and waits until its socket answers.
    pub fn start(&mut self) {
        self.start_with(false);
    }

    pub fn start_with_gateway(&mut self) {
        self.start_with(true);
    }

    fn start_with(&mut self, with_gateway: bool) {
        self.supervisor = Some(self.command(with_gateway).spawn().unwrap());
        let pid = self.supervisor_pid();
        until("the supervisor's socket", SOON, || self.try_status().filter(|status| status.identity.pid == pid));
    }

    /// What a supervisor prints that is started although one runs.
    pub fn start_another(&self) -> (bool, String) {
        let output = self.command(false).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.as_ref().unwrap().id()
    }

    pub fn kill_supervisor(&mut self) {
        let mut supervisor = self.supervisor.take().unwrap();
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
    }

    /// Waits until the supervisor has ended by itself, and tells whether in peace.
    pub fn wait_for_supervisor(&mut self) -> bool {
        let mut supervisor = self.supervisor.take().unwrap();
        until("the supervisor's end", SOON, || supervisor.try_wait().unwrap()).success()
    }

    pub fn ask_supervisor(&self, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, String)> {
        let stream = UnixStream::connect(self.path("supervisor.sock"))?;
        exchange(stream, method, path, body)
    }

    fn try_status(&self) -> Option<BrokerStatus> {
        let (_, body) = self.ask_supervisor("GET", "/status", b"").ok()?;
        serde_json::from_str(&body).ok()
    }

    pub fn status(&self) -> BrokerStatus {
        until("the supervisor's answer", SOON, || self.try_status())
    }

    /// Waits until the broker serves, and tells its pid.
    pub fn wait_until_running(&self) -> u32 {
        self.wait_until_running_within(SOON)
    }

    pub fn wait_until_running_within(&self, limit: Duration) -> u32 {
        until("a running broker", limit, || {
            let status = self.try_status()?;
            status.pid.filter(|_| status.state == BrokerState::Running)
        })
    }

    /// Waits until another broker process than `old` serves.
    pub fn wait_until_another_runs(&self, old: u32) -> u32 {
        until("another running broker", SOON, || {
            let status = self.try_status()?;
            status.pid.filter(|pid| status.state == BrokerState::Running && *pid != old)
        })
    }

    pub fn gateway_pid(&self) -> u32 {
        until("a gateway", SOON, || self.status().identity.gateway_pid)
    }

    /// The certificate of the control plane.
    pub fn control_plane(&self) -> TlsIdentity {
        self.instance.control_ca.issue("sluice-control-plane", &["localhost".to_owned()])
    }

    /// Asks the control API as the control plane, until somebody listens.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let caller = self.control_plane();
        until("the control API", SOON, || {
            match ask_control(
                self.spec.gateway.control,
                Some(&caller),
                self.instance.control_ca.pem(),
                method,
                path,
                body,
            ) {
                Ok(answer) => Some(answer),
                // Not there yet, or closed before it was asked: a server may give up a connection at any time.
                Err(error) if matches!(error.kind(), ConnectionRefused | ConnectionReset | BrokenPipe) => None,
                Err(error) => panic!("{error}"),
            }
        })
    }

    pub fn put_spec(&self, spec: &NodeSpec) -> (u16, serde_json::Value) {
        let (status, body) = self.ask("PUT", "/v1/spec", &serde_json::to_vec(spec).unwrap());
        (status, serde_json::from_str(&body).unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            let _ = supervisor.kill();
            let _ = supervisor.wait();
        }
        let wanted = format!("SLUICE_NODE_NONCE={}", self.nonce);
        for pid in pids() {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                kill(pid);
            }
        }
    }
}

fn pids() -> Vec<u32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// `kill -9`; one that is gone already is fine.
pub fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
}

/// Whether a process is there and no zombie.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// One request to a control API, by whoever shows `caller`.
pub fn ask_control(
    address: SocketAddr,
    caller: Option<&TlsIdentity>,
    ca_pem: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<(u16, String)> {
    exchange(connect(address, caller, ca_pem)?, method, path, body)
}

/// What a TLS server shows: its leaf, in DER.
pub fn shown_certificate(address: SocketAddr, caller: &TlsIdentity) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, Some(caller), &caller.ca_pem)?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
    Ok(shown.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
}

pub fn connect(
    address: SocketAddr,
    caller: Option<&TlsIdentity>,
    ca_pem: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match caller {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![der(&identity.certificate_pem)], key).unwrap()
        }
    };
    let stream = TcpStream::connect(address)?;
    let name = ServerName::IpAddress(address.ip().into());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

pub fn der(certificate_pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap()
}

/// HTTP/1.1 in its smallest form: one request, one answer, end.
fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, String)> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Some close without saying so.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
