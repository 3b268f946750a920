//! The mechanisms that clients choose from, and what PLAIN says. Knows no connection.

use crate::gateway::metrics::Mechanism;
use crate::gateway::scram::Hash;
use crate::gateway::snapshot::Snapshot;
use crate::gateway::wire::Writer;

pub(super) const PLAIN: &str = "PLAIN";
pub(super) const OAUTHBEARER: &str = "OAUTHBEARER";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Plain,
    Scram(Hash),
    Bearer,
}

impl Chosen {
    /// In the order that clients are told.
    const ALL: [Self; 4] = [Self::Plain, Self::Scram(Hash::Sha256), Self::Scram(Hash::Sha512), Self::Bearer];

    /// The one of this name, whether it is on or not.
    pub(super) fn named(mechanism: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == mechanism)
    }

    /// What a client may choose from now.
    pub(super) fn offered(snapshot: &Snapshot) -> Vec<Self> {
        let is_on = |one: &Self| match one {
            Self::Bearer => snapshot.bearer.is_some(),
            Self::Plain | Self::Scram(_) => snapshot.takes(one.name()),
        };
        Self::ALL.into_iter().filter(is_on).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => PLAIN,
            Self::Scram(hash) => hash.mechanism(),
            Self::Bearer => OAUTHBEARER,
        }
    }

    pub(super) fn label(self) -> Mechanism {
        match self {
            Self::Plain => Mechanism::Plain,
            Self::Scram(Hash::Sha256) => Mechanism::ScramSha256,
            Self::Scram(Hash::Sha512) => Mechanism::ScramSha512,
            Self::Bearer => Mechanism::Bearer,
        }
    }
}

/// Body of a SaslHandshake response.
pub(super) fn offer(error: i16, offered: &[&str]) -> Vec<u8> {
    let mut w = Writer::new(false);
    w.i16(error);
    w.array(offered.len());
    offered.iter().for_each(|mechanism| w.string(mechanism));
    w.bytes
}

/// User and password of a PLAIN message (RFC 4616). As in Kafka, nobody may act for somebody else.
pub(super) fn credentials(token: &[u8]) -> Option<(&str, &str)> {
    let mut parts = std::str::from_utf8(token).ok()?.split('\0');
    let (acts_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    (whole && (acts_for.is_empty() || acts_for == user)).then_some((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_message_names_one_user_and_a_password() {
        assert_eq!(credentials(b"\0alice\0pencil"), Some(("alice", "pencil")));
        assert_eq!(credentials(b"alice\0alice\0pencil"), Some(("alice", "pencil")));
        for hostile in
            [&b""[..], b"\0\0", b"\0alice", b"\0alice\0", b"bob\0alice\0pencil", b"\0alice\0a\0b", b"\0\xff\0p"]
        {
            assert_eq!(credentials(hostile), None, "{hostile:?}");
        }
    }
}
