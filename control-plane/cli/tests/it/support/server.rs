//! HTTP/1.1 on a loopback port, one thread a connection, each answer by a function of the request.

use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// How many requests of this method and target came before.
    pub before: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// `GET /v1/me`, without the query.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target.split('?').next().unwrap_or_default())
    }
}

#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Close without an answer.
    hang_up: bool,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub fn text(status: u16, kind: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type".into(), kind.into())], body, hang_up: false }
    }

    pub fn page(items: &[Value]) -> Self {
        Self::json(200, &json!({ "items": items, "next_cursor": null }))
    }

    pub fn problem(status: u16, code: &str) -> Self {
        let body = json!({"type": format!("/docs/errors/{code}"), "title": format!("Title of {code}"), "status": status,
            "detail": format!("Detail of {code}."), "instance": "/", "code": code, "request_id": "req-1"});
        Self::text(status, "application/problem+json", body.to_string())
    }

    /// Events of ids and data, then the end of the stream.
    pub fn events(events: &[(u64, &str)]) -> Self {
        let body = events.iter().map(|(id, data)| format!("id: {id}\nevent: progress\ndata: {data}\n\n")).collect();
        Self::text(200, "text/event-stream", body)
    }

    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::text(500, "text/plain", String::new()) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves until the test process ends.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("http", Box::new(script), Ok)
    }

    /// Over TLS, with a certificate for `name` by an authority of its own; also the authority's PEM.
    pub fn start_tls(name: &str, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Self, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new([]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key.into()).unwrap();
        let config = Arc::new(config);
        let shake = move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
            Ok(StreamOwned::new(connection, stream))
        };
        (Self::serve("https", Box::new(script), shake), pem)
    }

    fn serve<S: Read + Write>(
        scheme: &str,
        script: Script,
        shake: impl Fn(TcpStream) -> std::io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script, shake) = (Arc::clone(&seen), Arc::new(script), Arc::new(shake));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script, shake) = (Arc::clone(&log), Arc::clone(&script), Arc::clone(&shake));
                thread::spawn(move || {
                    // A client that does not trust the certificate ends here.
                    if let Ok(stream) = shake(stream) {
                        answer(stream, &log, &script);
                    }
                });
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests with this line, as `POST /v1/auth/token`.
    pub fn seen_of(&self, line: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.line() == line).collect()
    }
}

fn answer(mut stream: impl Read + Write, log: &Mutex<Vec<Request>>, script: &Script) {
    let Some(mut request) = read(&mut stream) else { return };
    {
        let mut log = log.lock().unwrap();
        let same = |other: &&Request| other.method == request.method && other.target == request.target;
        request.before = log.iter().filter(same).count();
        log.push(request.clone());
    }
    let reply = script(&request);
    if reply.hang_up {
        return;
    }
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
    // The client may have gone away: its right.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(reply.body.as_bytes()))
        .and_then(|()| stream.flush());
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Request { method, target, headers, body, before: 0 })
}
