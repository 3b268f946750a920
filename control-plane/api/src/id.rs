//! Typed ids: a prefix and a UUIDv7 in lower-case Crockford base32, `ins_01jd…` (26 characters).
//! They sort by time of creation, as text and as UUIDs alike.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters of base32")]
pub struct ParseIdError {
    pub prefix: &'static str,
}

fn encode(value: u128) -> [u8; 26] {
    let mut text = [b'0'; 26];
    let mut rest = value;
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text
}

fn decode(text: &[u8]) -> Option<u128> {
    if text.len() != 26 || text[0] > b'7' {
        return None;
    }
    text.iter().try_fold(0u128, |value, digit| {
        let five = ALPHABET.iter().position(|known| known == digit)?;
        Some((value << 5) | five as u128)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// The id of a row whose key is `uuid`.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// A new id, ordered after those made before it on this machine.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0.as_u128());
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|digits| decode(digits.as_bytes()))
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                    .examples([serde_json::json!(concat!($prefix, "_01jd9mz5w8e4wahj8k6t3v2q7r"))])
                    .into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

ids! {
    /// An organisation: the tenant.
    OrganisationId = "org";
    /// A project: what instances, quotas and roles belong to.
    ProjectId = "prj";
    /// A person who signs in.
    UserId = "usr";
    /// A program that signs in with API keys.
    ServiceAccountId = "sva";
    /// One API key of a service account.
    ApiKeyId = "key";
    /// A Kafka instance.
    InstanceId = "ins";
    /// A background job.
    JobId = "job";
    /// A price that was offered.
    QuoteId = "quo";
    /// An accepted order.
    OrderId = "ord";
    /// A line of the audit trail.
    AuditEventId = "aud";
    /// A signed-in session: the family of its refresh tokens.
    SessionId = "ses";
    /// A cluster of capacity that instances are placed on.
    ClusterId = "cls";
    /// A certificate that an instance shows to clients, or showed.
    CertificateId = "crt";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        for value in [0, 1, u128::MAX, Uuid::now_v7().as_u128()] {
            let id = InstanceId::from_uuid(Uuid::from_u128(value));
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), 30);
        }
    }

    #[test]
    fn ids_sort_as_text_as_they_were_made() {
        let first = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000);
        let later = Uuid::from_u128(0x0193_0000_0001_7000_8000_0000_0000_0000);
        assert!(JobId::from_uuid(first).to_string() < JobId::from_uuid(later).to_string());
    }

    #[test]
    fn an_id_of_another_kind_or_shape_is_refused() {
        let job = JobId::generate().to_string();
        assert!(job.parse::<InstanceId>().is_err());
        for text in [
            "",
            "ins_",
            "ins_81jd9mz5w8e4wahj8k6t3v2q7r",
            "ins_01JD9MZ5W8E4WAHJ8K6T3V2Q7R",
            "ins_01jd9mz5w8e4wahj8k6t3v2q7u",
        ] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }
}
