//! What one Produce request brings to topics that have a quota. It is charged once Kafka took it: whoever may not write to a topic
//! must not slow those who may, and what is sent again counts once.

use super::debt::Debt;
use super::line::Line;
use super::names::OF_KAFKA;
use super::{Motion, Topic, TopicQuotas};
use crate::gateway::filters::walk::Seen;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes by topic, and not by partition: of these a request may claim to have millions. A topic of which Kafka took any partition
/// is charged as a whole.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Bill {
    /// That what comes next is of.
    topic: Topic,
    /// By the address of the line.
    owed: BTreeMap<usize, (Arc<Line>, u64)>,
    /// Has records of a topic of which the name is not known.
    nameless: bool,
}

impl Bill {
    pub(in crate::gateway) fn is_empty(&self) -> bool {
        self.owed.is_empty() && !self.nameless
    }

    /// Adds what passes in the request.
    pub(in crate::gateway) fn note(&mut self, quotas: &TopicQuotas, seen: Seen<'_>) {
        match seen {
            Seen::Name(name) => self.topic = quotas.by_name(Motion::Produce, name),
            Seen::Id(id) => self.topic = quotas.by_id(Motion::Produce, id),
            Seen::Records(bytes) if bytes > 0 => match &self.topic {
                Topic::Held(line) => {
                    let (_, owed) = self.owed.entry(address(line)).or_insert_with(|| (line.clone(), 0));
                    *owed = owed.saturating_add(bytes);
                }
                Topic::Nameless(_) => self.nameless = true,
                Topic::Free => {}
            },
            Seen::Records(_) | Seen::ErrorCode(_) | Seen::Throttle(_) => {}
        }
    }

    /// Charges `debt` with what Kafka took, as its answer tells, and tells the client how long to wait.
    pub(in crate::gateway) fn settle(&mut self, debt: &mut Debt, quotas: &TopicQuotas, seen: Seen<'_>) {
        match seen {
            Seen::ErrorCode(0) => match &self.topic {
                Topic::Held(line) => {
                    if let Some((line, bytes)) = self.owed.remove(&address(line)) {
                        debt.charge(line, bytes);
                    }
                }
                Topic::Nameless(id) => quotas.names.ask(*id, OF_KAFKA),
                Topic::Free => {}
            },
            Seen::Throttle(ms) => {
                // Without a wait Kafka's word stays as it is.
                if let wait @ 1.. = debt.wait_ms() {
                    *ms = wait.max(*ms);
                }
            }
            seen => self.note(quotas, seen),
        }
    }
}

/// Tells lines apart: those that are kept have different ones.
fn address(line: &Arc<Line>) -> usize {
    Arc::as_ptr(line).addr()
}
