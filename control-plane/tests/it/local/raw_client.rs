//! A Kafka client that logs in by PLAIN, or not at all, and then holds one connection, never making another: what real clients hide.

use super::instance::Instance;
use bytes::{Bytes, BytesMut};
use control_plane::kafka::Credentials;
use kafka_protocol::{
    messages::ResponseHeader,
    protocol::{Decodable, HeaderVersion, Request},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// What tenants are promised (product.md §5).
const PROMISED: Duration = Duration::from_secs(2);
const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub struct RawClient(Box<dyn Stream>);

impl RawClient {
    /// An error when the gateway refuses the login, or closes.
    pub async fn log_in(instance: &Instance, credentials: &Credentials) -> io::Result<Self> {
        Self::log_in_at(instance.cluster.sasl_ssl[0], instance, credentials).await
    }

    /// On a plaintext listener.
    pub async fn anonymous_at(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(Box::new(TcpStream::connect(address).await?)))
    }

    /// On a TLS listener, which it reaches by its address.
    pub async fn log_in_at(address: SocketAddr, instance: &Instance, credentials: &Credentials) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(instance.cluster.public_ca_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect(address).await?;
        let tls = TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(address.ip().into()), tcp).await?;
        let mut client = Self(Box::new(tls));
        let mut mechanism = 5_u16.to_be_bytes().to_vec();
        mechanism.extend(b"PLAIN");
        client.ask(SASL_HANDSHAKE, 1, &mechanism).await?;
        let token = format!("\0{}\0{}", credentials.user, credentials.password.expose());
        let mut message = u32::try_from(token.len()).unwrap().to_be_bytes().to_vec();
        message.extend(token.as_bytes());
        match client.ask(SASL_AUTHENTICATE, 0, &message).await? {
            0 => Ok(client),
            code => Err(io::Error::other(format!("the login was refused with {code}"))),
        }
    }

    /// One request of a kind that has a type.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).map_err(io::Error::other)?;
        // Headers of flexible messages end with tagged fields: none.
        let tags: &[u8] = if R::header_version(version) >= 2 { &[0] } else { &[] };
        let mut answer = Bytes::from(self.exchange(R::KEY, version, &[tags, &body].concat()).await?);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(io::Error::other)?;
        R::Response::decode(&mut answer, version).map_err(io::Error::other)
    }

    /// One request; the error code that its answer begins with.
    async fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<i16> {
        let answer = self.exchange(key, version, body).await?;
        Ok(i16::from_be_bytes([answer[4], answer[5]]))
    }

    async fn exchange(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut request = u32::try_from(10 + body.len()).unwrap().to_be_bytes().to_vec();
        request.extend(key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(7_i32.to_be_bytes());
        // No client id.
        request.extend((-1_i16).to_be_bytes());
        request.extend(body);
        self.0.write_all(&request).await?;
        let length = self.0.read_u32().await?;
        let mut answer = vec![0; length as usize];
        self.0.read_exact(&mut answer).await?;
        Ok(answer)
    }

    pub async fn assert_open(mut self) {
        assert_eq!(self.ask(API_VERSIONS, 0, &[]).await.unwrap(), 0);
    }

    pub async fn assert_closed(mut self) {
        let ended = timeout(PROMISED, self.0.read_u8()).await.expect("the gateway closes the connection");
        assert!(ended.is_err(), "nothing was asked, so nothing is answered");
    }
}
