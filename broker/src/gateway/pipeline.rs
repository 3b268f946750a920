//! Answers that a client still waits for, in the order of its requests.
//!
//! A Kafka response names no API, so what was asked is remembered here. Correlation ids are the
//! client's own and pass untouched. Bounded by pausing the client's requests, never by an error.

use super::filters::Merge;
use super::table::ResponseRule;
use std::collections::VecDeque;

/// Requests in flight on one connection before more are read: fifty times what clients use by
/// default (`max.in.flight.requests.per.connection` is 5).
const CAPACITY: usize = 256;

/// The answer to one request.
pub(super) enum Expected {
    /// Comes from Kafka and is treated by the rule of its API.
    FromKafka { correlation: i32, key: i16, version: i16, flexible: bool, rule: ResponseRule },
    /// Comes from Kafka to a request that was amended, and is completed.
    Amended { correlation: i32, flexible: bool, merge: Merge },
    /// Ours: a whole frame that waits its turn.
    Own(Vec<u8>),
}

#[derive(Default)]
pub(super) struct Pipeline {
    queue: VecDeque<Expected>,
}

impl Pipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= CAPACITY
    }

    pub(super) fn push(&mut self, expected: Expected) {
        self.queue.push_back(expected);
    }

    /// Our own answer, when it is its turn.
    pub(super) fn next_own(&mut self) -> Option<Vec<u8>> {
        match self.queue.pop_front()? {
            Expected::Own(frame) => Some(frame),
            other => {
                self.queue.push_front(other);
                None
            }
        }
    }

    /// What Kafka's next response answers.
    pub(super) fn next(&mut self) -> Option<Expected> {
        self.queue.pop_front()
    }
}
