//! Answers that a client still waits for, in the order of its requests.
//!
//! A Kafka response names no API, so what was asked is remembered here. Correlation ids are the
//! client's own and pass untouched. Bounded by pausing the client's requests, never by an error.

use super::admission::Ticket;
use super::filters::admitted::Codec;
use super::filters::{Format, Merge};
use super::table::ResponseRule;
use super::topic_quotas::Bill;
use std::collections::VecDeque;

/// Requests in flight on one connection before more are read: fifty times what clients use by
/// default (`max.in.flight.requests.per.connection` is 5).
const CAPACITY: usize = 256;
/// Bytes of our own answers that wait for their turn before more requests are read. One answer may
/// be larger; it is the last one then.
const OWN_BYTES: usize = 1024 * 1024;

/// The answer to one request.
pub(super) enum Expected {
    /// Comes from Kafka and is treated by the rule of its API.
    FromKafka {
        correlation: i32,
        key: i16,
        version: i16,
        flexible: bool,
        rule: ResponseRule,
        /// Of a Produce request that takes of a topic's quota.
        bill: Option<Box<Bill>>,
    },
    /// Comes from Kafka to a request that was amended, and is completed with `own_bytes` of ours.
    Amended { correlation: i32, flexible: bool, merge: Merge, own_bytes: usize, settlement: Option<Settlement> },
    /// Comes from Kafka to a client that lets topics be made.
    Topics { correlation: i32, version: i16, flexible: bool },
    /// Comes from Kafka to a request of ours: the client hears nothing of it.
    Created { correlation: i32, settlement: Option<Settlement> },
    /// Ours: a whole frame that waits its turn.
    Own(Vec<u8>),
}

/// Admission hears what Kafka answered before the client does.
pub(super) struct Settlement {
    pub(super) ticket: Ticket,
    pub(super) codec: &'static Codec,
    pub(super) format: Format,
}

impl Expected {
    fn own_bytes(&self) -> usize {
        match self {
            Self::FromKafka { .. } | Self::Topics { .. } | Self::Created { .. } => 0,
            Self::Amended { own_bytes, .. } => *own_bytes,
            Self::Own(frame) => frame.len(),
        }
    }
}

#[derive(Default)]
pub(super) struct Pipeline {
    queue: VecDeque<Expected>,
    own_bytes: usize,
    /// Answers that have a bill.
    bills: usize,
}

impl Pipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= CAPACITY || self.own_bytes >= OWN_BYTES
    }

    pub(super) fn push(&mut self, expected: Expected) {
        self.own_bytes += expected.own_bytes();
        self.queue.push_back(expected);
    }

    /// What the request brought of which the answer was pushed last.
    pub(super) fn bill(&mut self, of_last: Bill) {
        if let Some(Expected::FromKafka { bill: bill @ None, .. }) = self.queue.back_mut()
            && !of_last.is_empty()
        {
            *bill = Some(Box::new(of_last));
            self.bills += 1;
        }
    }

    /// Whether what was brought to a topic with a quota is not answered yet.
    pub(super) fn is_billed(&self) -> bool {
        self.bills > 0
    }

    /// Our own answer, when it is its turn.
    pub(super) fn next_own(&mut self) -> Option<Vec<u8>> {
        let Expected::Own(frame) = self.queue.front_mut()? else { return None };
        let frame = std::mem::take(frame);
        self.own_bytes -= frame.len();
        self.queue.pop_front();
        Some(frame)
    }

    /// What Kafka's next response answers.
    pub(super) fn next(&mut self) -> Option<Expected> {
        let next = self.queue.pop_front()?;
        self.own_bytes -= next.own_bytes();
        self.bills -= usize::from(matches!(next, Expected::FromKafka { bill: Some(_), .. }));
        Some(next)
    }
}
