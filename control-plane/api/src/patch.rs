//! Members of JSON merge patches (RFC 7396): absent changes nothing, null resets, a value replaces.
//!
//! For `#[serde(default, deserialize_with = …)]`; `default` is what stands for an absent member.

use serde::{Deserialize, Deserializer};

/// Null takes the member back to its default.
pub(crate) fn null_resets<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(|value| Some(value.unwrap_or_default()))
}

/// The member cannot be taken away: null is a fault.
pub(crate) fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Null is told from a value.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
