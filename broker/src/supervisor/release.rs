//! The lines of Apache Kafka that a node can run, and where they differ for us.
//!
//! Owns the table of differences. Pure.

use std::fmt;

/// A release line, `major.minor`: what its patch releases share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Line {
    /// The last that serves clients older than 2.1 (KIP-896).
    V3_9,
    V4_3,
}

/// A feature and its level, as a format finalises it.
pub type FeatureLevel = (&'static str, i16);

impl Line {
    pub const ALL: [Self; 2] = [Self::V3_9, Self::V4_3];

    /// Line of a version such as `4.3.1`.
    pub fn of(version: &str) -> Result<Self, UnknownVersion> {
        let unknown = || UnknownVersion { version: version.to_owned() };
        let numbers =
            version.split('.').map(|part| part.parse::<u16>().map_err(|_| unknown())).collect::<Result<Vec<_>, _>>()?;
        match numbers[..] {
            [3, 9, _] => Ok(Self::V3_9),
            [4, 3, _] => Ok(Self::V4_3),
            _ => Err(unknown()),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3_9 => "3.9",
            Self::V4_3 => "4.3",
        }
    }

    /// Levels that `StorageTool format --release-version` of this line writes; a test compares.
    pub fn features(self) -> &'static [FeatureLevel] {
        match self {
            Self::V3_9 => &[("metadata.version", 21)],
            Self::V4_3 => &[
                ("metadata.version", 30),
                ("eligible.leader.replicas.version", 1),
                ("group.version", 1),
                ("share.version", 1),
                ("streams.version", 1),
                ("transaction.version", 2),
            ],
        }
    }

    /// Validates OAUTHBEARER tokens in the broker; the class moved between the lines (kafka.md finding 15).
    pub fn token_validator(self) -> &'static str {
        match self {
            Self::V3_9 => "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerValidatorCallbackHandler",
            Self::V4_3 => "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
        }
    }

    /// Share groups (KIP-932) are stable here, so their state topic is configured.
    pub fn has_share_groups(self) -> bool {
        self >= Self::V4_3
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Apache Kafka {version:?} cannot be run by this node; it runs 3.9.x and 4.3.x")]
pub struct UnknownVersion {
    version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_belongs_to_its_line_and_others_are_refused() {
        assert_eq!(Line::of("3.9.2"), Ok(Line::V3_9));
        assert_eq!(Line::of("4.3.1"), Ok(Line::V4_3));
        for wrong in ["", "4", "4.3", "3.8.1", "4.30.1", "4.3.x", "4.3.1.1"] {
            assert!(Line::of(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
