//! The gateway's own side of a connection to Kafka: connecting, and speaking SASL while logging in.

use super::frame::{self, REQUEST_PEEK};
use super::framed::Framed;
use super::stream::Stream;
use super::table::{SASL_AUTHENTICATE, SASL_HANDSHAKE};
use super::wire::{Malformed, Reader, Wire, Writer};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Loopback answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer to a login: a SCRAM message, or what ApiVersions lists.
const MAX_ANSWER: u32 = 1024 * 1024;
/// Versions that Kafka 3.9 and 4.x both speak.
const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE_VERSION: i16 = 2;

/// Makes connections to Kafka.
pub(super) trait Connect: Send {
    type Stream: Stream;

    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Kafka's listener at an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kafka(pub(super) SocketAddr);

impl Connect for Kafka {
    type Stream = TcpStream;

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.0)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Kafka's answer to one SASL message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SaslAnswer {
    /// Kafka's error code; 0 is none.
    pub(super) error: i16,
    pub(super) message: Option<String>,
    pub(super) token: Vec<u8>,
    /// When the login ends, ms from now; 0 is never (KIP-368).
    pub(super) lifetime_ms: i64,
}

/// One request of ours at a time, over a connection that nothing else uses meanwhile.
#[derive(Debug)]
pub(super) struct SaslUpstream<S> {
    pub(super) frames: Framed<S>,
    correlation: i32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SaslUpstream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { frames: Framed::new(stream), correlation: 0 }
    }

    /// Sends a client's frame as it is and gives the answer's frame.
    pub(super) async fn forward(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.frames.send(request).await?;
        self.frames.next(MAX_ANSWER).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Chooses a mechanism; gives Kafka's error code.
    pub(super) async fn handshake(&mut self, mechanism: &str) -> io::Result<i16> {
        let mut w = self.request(SASL_HANDSHAKE, HANDSHAKE_VERSION, false);
        w.string(mechanism);
        let answer = self.forward(&frame::sealed(w.bytes)).await?;
        self.read(&answer, false, |r| r.i16())
    }

    /// Carries one SASL message.
    pub(super) async fn authenticate(&mut self, token: &[u8]) -> io::Result<SaslAnswer> {
        let mut w = self.request(SASL_AUTHENTICATE, AUTHENTICATE_VERSION, true);
        w.bytes(token);
        w.tags();
        let answer = self.forward(&frame::sealed(w.bytes)).await?;
        self.read(&answer, true, |r| {
            Ok(SaslAnswer {
                error: r.i16()?,
                message: r.nullable_string()?.map(str::to_owned),
                token: r.bytes()?.to_vec(),
                lifetime_ms: r.i64()?,
            })
        })
    }

    fn request(&mut self, key: i16, version: i16, flexible: bool) -> Writer {
        self.correlation = self.correlation.wrapping_add(1);
        let mut header = Writer::new(false);
        header.i32(0);
        header.i16(key);
        header.i16(version);
        header.i32(self.correlation);
        debug_assert_eq!(header.bytes.len(), REQUEST_PEEK);
        header.string("sluice-gateway");
        let mut w = Writer::new(flexible);
        w.raw(&header.bytes);
        w.tags();
        w
    }

    fn read<T>(&self, frame: &[u8], flexible: bool, body: impl FnOnce(&mut Reader<'_>) -> Wire<T>) -> io::Result<T> {
        let parse = || {
            let body_at = frame::response_body(frame, flexible)?;
            if frame[frame::LENGTH..frame::RESPONSE_PEEK] != self.correlation.to_be_bytes() {
                return Err(Malformed::Length);
            }
            body(&mut Reader::new(&frame[body_at..], flexible))
        };
        parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}
