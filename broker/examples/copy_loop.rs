//! The yardstick of the benchmarks: a naive relay, 64 KiB copies, one task a direction, TLS at the front if asked.
//!
//! `copy_loop LISTEN UPSTREAM [CERTIFICATE_PEM KEY_PEM]`

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;
use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const BUFFER: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream) = (args.first().context("no LISTEN")?, args.get(1).context("no UPSTREAM")?.clone());
    let acceptor = match (args.get(2), args.get(3)) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        let (upstream, acceptor) = (upstream.clone(), acceptor.clone());
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let mut broker = TcpStream::connect(upstream).await?;
            broker.set_nodelay(true)?;
            match acceptor {
                Some(acceptor) => {
                    let mut client = acceptor.accept(client).await?;
                    copy_bidirectional_with_sizes(&mut client, &mut broker, BUFFER, BUFFER).await
                }
                None => copy_bidirectional_with_sizes(&mut client, &mut broker, BUFFER, BUFFER).await,
            }
        });
    }
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
