//! Connections that do what costs the other side memory or CPU, so that both can be read there.
//!
//! ```text
//! connections hold  ADDRESS COUNT WAY          opens them, prints `held N`, waits for end of input
//! connections churn ADDRESS COUNT WAY          opens and closes them, 32 at a time; prints the seconds it took
//! connections stuck ADDRESS COUNT WAY BYTES    each sends a Produce request of so many bytes but for its last; prints `held N`, waits
//!
//! WAY: plain | tls CA_PEM | login CA_PEM USER PASSWORD
//! ```

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const AT_A_TIME: usize = 32;
const PIECE: usize = 64 * 1024;
/// Who sends nothing for so long is stopped by a full buffer on the way.
const QUIET: Duration = Duration::from_secs(3);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How far a connection goes before it counts as open.
#[derive(Clone)]
enum Way {
    Plain,
    Tls(TlsConnector),
    Login(TlsConnector, String),
}

impl Way {
    fn read(args: &[String]) -> Result<Self> {
        Ok(match args {
            [way] if way == "plain" => Self::Plain,
            [way, ca] if way == "tls" => Self::Tls(connector(ca)?),
            [way, ca, user, password] if way == "login" => Self::Login(connector(ca)?, format!("\0{user}\0{password}")),
            _ => bail!("the way is plain, tls CA_PEM or login CA_PEM USER PASSWORD"),
        })
    }

    async fn open(&self, address: SocketAddr, number: usize) -> Result<Box<dyn Stream>> {
        let mut stream = connect(address, number).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        Ok(match self {
            Self::Plain => {
                exchange(&mut stream, API_VERSIONS, &[]).await?;
                Box::new(stream)
            }
            Self::Tls(connector) => Box::new(connector.connect(name, stream).await?),
            Self::Login(connector, token) => {
                let mut stream = connector.connect(name, stream).await?;
                exchange(&mut stream, SASL_HANDSHAKE, &[&5i16.to_be_bytes()[..], b"PLAIN"].concat()).await?;
                let length = i32::try_from(token.len())?.to_be_bytes();
                exchange(&mut stream, SASL_AUTHENTICATE, &[&length[..], token.as_bytes()].concat()).await?;
                Box::new(stream)
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, address, count, way @ ..] = &args[..] else { bail!("hold | churn | stuck, ADDRESS, COUNT, WAY") };
    let (address, count): (SocketAddr, usize) = (address.parse()?, count.parse()?);
    match what.as_str() {
        "hold" => hold(open(address, count, &Way::read(way)?).await?).await,
        "churn" => churn(address, count, Way::read(way)?).await,
        "stuck" => {
            let (bytes, way) = way.split_last().context("no BYTES")?;
            let opened = open(address, count, &Way::read(way)?).await?;
            stick(opened, Arc::from(unfinished_produce(bytes.parse()?)?)).await
        }
        _ => bail!("hold, churn or stuck"),
    }
}

async fn open(address: SocketAddr, count: usize, way: &Way) -> Result<Vec<Box<dyn Stream>>> {
    let mut opened = Vec::with_capacity(count);
    for number in 0..count {
        opened.push(way.open(address, number).await?);
    }
    Ok(opened)
}

async fn hold<T>(held: Vec<T>) -> Result<()> {
    println!("held {}", held.len());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

async fn churn(address: SocketAddr, count: usize, way: Way) -> Result<()> {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (next, way) = (next.clone(), way.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                way.open(address, number).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    println!("{}", began.elapsed().as_secs_f64());
    Ok(())
}

/// Sends until all is sent or nobody takes more.
async fn stick(opened: Vec<Box<dyn Stream>>, request: Arc<[u8]>) -> Result<()> {
    let (count, sent) = (opened.len(), Arc::new(AtomicUsize::new(0)));
    let mut senders = JoinSet::new();
    for mut stream in opened {
        let (request, sent) = (request.clone(), sent.clone());
        senders.spawn(async move {
            for piece in request.chunks(PIECE) {
                stream.write_all(piece).await?;
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
            stream.flush().await?;
            // Held until the end of the process.
            std::future::pending::<anyhow::Result<()>>().await
        });
    }
    let (all, mut before) = (count * request.len(), usize::MAX);
    while sent.load(Ordering::Relaxed) < all && sent.load(Ordering::Relaxed) != before {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(QUIET).await;
    }
    hold(vec![(); count]).await
}

/// All but the last byte of a request that claims so many: no transaction, acks of all, and records without end.
fn unfinished_produce(bytes: usize) -> Result<Vec<u8>> {
    let mut frame = Vec::with_capacity(4 + bytes);
    frame.extend(i32::try_from(bytes)?.to_be_bytes());
    frame.extend(PRODUCE.to_be_bytes());
    frame.extend(3i16.to_be_bytes());
    frame.extend(1i32.to_be_bytes());
    // No client id, no transactional id, all acks, 30 s.
    frame.extend([0xff; 6]);
    frame.extend(30_000i32.to_be_bytes());
    frame.resize(3 + bytes, 0);
    Ok(frame)
}

/// A broker serves 200 connections of an IP address: each 200 come from a loopback address of their own.
async fn connect(address: SocketAddr, number: usize) -> Result<TcpStream> {
    if !address.ip().is_loopback() {
        return Ok(TcpStream::connect(address).await?);
    }
    let socket = TcpSocket::new_v4()?;
    let [.., high, low] = u32::try_from(number / 200)?.to_be_bytes();
    socket.bind((Ipv4Addr::new(127, 99, high, low), 0).into())?;
    Ok(socket.connect(address).await?)
}

/// One request with header version 1 (no client id) and its answer, which is thrown away.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: i16, body: &[u8]) -> Result<()> {
    let version: i16 = if key == SASL_HANDSHAKE { 1 } else { 0 };
    let mut frame = Vec::new();
    frame.extend(i32::try_from(10 + body.len())?.to_be_bytes());
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(1i32.to_be_bytes());
    frame.extend((-1i16).to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    let length = stream.read_i32().await? as usize;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    let error = i16::from_be_bytes([answer[4], answer[5]]);
    if error != 0 {
        bail!("API {key} answered error {error}");
    }
    Ok(())
}

fn connector(ca: &str) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
