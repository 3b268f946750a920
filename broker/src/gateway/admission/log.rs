//! What gateways ask of Kafka to keep a limit: a log that all of them share, and what there is of what is counted.
//!
//! [`LogTopic`](super::log_topic::LogTopic) is the log. What there is of partitions and groups is [`super::partitions`]'s and
//! [`super::groups`]'s.

use super::ledger::Topics;
use super::record::Want;
use super::topology::Topology;
use futures::future::BoxFuture;
use std::io;

/// What was read from a place on.
#[derive(Debug)]
pub(in crate::gateway) struct Page<R> {
    /// The place is no more: what was read before counts for nothing, and this is the start of the log.
    pub(in crate::gateway) restarted: bool,
    pub(in crate::gateway) records: Vec<(i64, R)>,
    /// Where to read on.
    pub(in crate::gateway) next: i64,
}

/// Records in one order, the same for everybody. All of it may be tried again after an error.
pub(in crate::gateway) trait Log<R>: Send + Sync {
    /// Appends records next to each other, acknowledged by all replicas in sync; gives the first one's offset. After an
    /// error they may be in the log, or get there later.
    fn append<'a>(&'a self, records: &'a [R]) -> BoxFuture<'a, io::Result<i64>>;

    /// Reads on from `place`, once there is something to read or after a few seconds.
    fn read(&self, place: i64) -> BoxFuture<'_, io::Result<Page<R>>>;
}

/// What there is of what is counted. All of it may be asked again after an error.
pub(in crate::gateway) trait Inventory: Send + Sync {
    /// The topics that count, as this node's broker knows them now; or all groups.
    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>>;

    /// Whether each topic has so many partitions, or more, at the controller, asked through this node's broker, and so behind
    /// all that this broker has to ask of the controller. `None` where that can't be told.
    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>>;

    /// Whether what is asked for is there in any case, and so needs no room: known to this node's broker alone, whatever
    /// became of the others.
    fn is_here<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<bool>>;

    /// The topology that this node's broker keeps of a Streams group that it coordinates, or Kafka's error.
    fn topology<'a>(&'a self, group: &'a str) -> BoxFuture<'a, io::Result<Result<Topology, i16>>>;
}
