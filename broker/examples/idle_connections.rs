//! Opens connections and holds them idle, so that the memory of the other side can be read.
//!
//! `idle_connections ADDRESS COUNT plain | tls CA_PEM USER PASSWORD`: prints `held N` and waits for end of input.

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (address, count): (SocketAddr, usize) =
        (args.first().context("no ADDRESS")?.parse()?, args.get(1).context("no COUNT")?.parse()?);
    let tls = match args.get(2).map(String::as_str) {
        Some("plain") => None,
        Some("tls") => {
            let [ca, user, password] = &args[3..] else { bail!("tls CA_PEM USER PASSWORD") };
            Some((connector(ca)?, format!("\0{user}\0{password}")))
        }
        _ => bail!("plain or tls"),
    };
    let mut plain_held = Vec::new();
    let mut tls_held = Vec::new();
    for number in 0..count {
        let mut stream = connect(address, number).await?;
        match &tls {
            None => {
                exchange(&mut stream, API_VERSIONS, &[]).await?;
                plain_held.push(stream);
            }
            Some((connector, token)) => {
                let mut stream = connector.connect(ServerName::from(address.ip()), stream).await?;
                exchange(&mut stream, SASL_HANDSHAKE, &[&5i16.to_be_bytes()[..], b"PLAIN"].concat()).await?;
                let length = i32::try_from(token.len())?.to_be_bytes();
                exchange(&mut stream, SASL_AUTHENTICATE, &[&length[..], token.as_bytes()].concat()).await?;
                tls_held.push(stream);
            }
        }
    }
    println!("held {}", plain_held.len() + tls_held.len());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
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
