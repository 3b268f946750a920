//! Every Kafka API and what the gateway does with it.

const NAMES: [&str; 2] = ["Produce", "Fetch"];

/// Position of an API in the table.
pub(super) fn index(key: i16) -> Option<usize> {
    usize::try_from(key).ok().filter(|index| *index < NAMES.len())
}

/// Names of all APIs, in the table's order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}
