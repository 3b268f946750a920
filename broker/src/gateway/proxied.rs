//! Clients that come through a balancer: the PROXY protocol's header, version 2, says who they are.
//!
//! Owns reading the header from a fresh connection. Only connections of balancers that the spec names are asked for it:
//! anybody else could claim any address.

use ppp::v2::{Addresses, Command, Header};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Signature, version, family, and the length of the rest.
const FIXED: usize = 16;
/// Longest rest of a header that is read: addresses, and what balancers of large clouds add to them.
const MAX_REST: usize = 2048;

#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("no PROXY protocol header, version 2")]
    Malformed(#[from] ppp::v2::ParseError),
    #[error("a header of {0} bytes; at most {MAX_REST} are read")]
    Long(usize),
    #[error("the client's address is no IP address")]
    Family,
}

/// Who the client is; none where the balancer speaks for itself, as its health checks do.
pub(super) async fn client(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, HeaderError> {
    // Exactly the header's bytes: what follows is the client's.
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    // Told apart before more is waited for: a client without a header may have said all it will.
    match Header::try_from(header.as_slice()) {
        Ok(_) | Err(ppp::v2::ParseError::Partial(..)) => {}
        Err(error) => return Err(error.into()),
    }
    let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if rest > MAX_REST {
        return Err(HeaderError::Long(rest));
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let header = Header::try_from(header.as_slice())?;
    match (header.command, header.addresses) {
        (Command::Local, _) => Ok(None),
        (Command::Proxy, Addresses::IPv4(of)) => Ok(Some((of.source_address, of.source_port).into())),
        (Command::Proxy, Addresses::IPv6(of)) => Ok(Some((of.source_address, of.source_port).into())),
        (Command::Proxy, Addresses::Unspecified | Addresses::Unix(_)) => Err(HeaderError::Family),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ppp::v2::{Builder, Protocol, Version};

    fn header(command: Command, source: &str) -> Vec<u8> {
        let source: SocketAddr = source.parse().unwrap();
        Builder::with_addresses(Version::Two | command, Protocol::Stream, (source, source))
            .write_tlv(0xEA, b"\x01vpce-0a1b2c")
            .unwrap()
            .build()
            .unwrap()
    }

    async fn read(bytes: &[u8]) -> Result<(Option<SocketAddr>, Vec<u8>), HeaderError> {
        let mut stream = bytes;
        let client = client(&mut stream).await?;
        Ok((client, stream.to_vec()))
    }

    #[tokio::test]
    async fn the_clients_address_is_told_and_what_follows_is_left_to_the_client() {
        for source in ["203.0.113.7:40001", "[2001:db8::7]:40001"] {
            let bytes = [header(Command::Proxy, source), b"hello".to_vec()].concat();
            assert_eq!(read(&bytes).await.unwrap(), (Some(source.parse().unwrap()), b"hello".to_vec()));
        }
        let check = header(Command::Local, "203.0.113.7:40001");
        assert_eq!(read(&check).await.unwrap(), (None, Vec::new()));
    }

    #[tokio::test]
    async fn whatever_is_no_header_is_refused_without_waiting_for_more() {
        let good = header(Command::Proxy, "203.0.113.7:40001");
        for cut in 0..good.len() {
            assert!(matches!(read(&good[..cut]).await, Err(HeaderError::Io(_))), "cut at {cut}");
        }
        let mut long = good.clone();
        long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(matches!(read(&long).await, Err(HeaderError::Long(65_535))));
        // A TLS hello, a request of Kafka, and version 1 of the protocol.
        for other in [
            "\x16\x03\x01\x02\x00 and some more",
            "\0\0\0\x15\0\x12\0\x04 and some more",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        ] {
            assert!(matches!(read(other.as_bytes()).await, Err(HeaderError::Malformed(_))), "{other:?}");
        }
    }
}
