//! What requests that admission decides about have in common: what they want, how each is told no, and what Kafka's answer
//! says of it.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format};
use crate::gateway::admission::counted::Counted;
use crate::gateway::admission::record::Id;
use crate::gateway::wire::{Reader, Wire, Writer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Change {
    Make,
    Delete,
    /// The request only asks what would happen.
    Nothing,
}

/// A topic, or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Item {
    pub(in crate::gateway) name: Option<String>,
    pub(in crate::gateway) topic_id: Option<Id>,
    /// How many partitions the topic is to have, where that counts. A group has one.
    pub(in crate::gateway) partitions: Option<u32>,
    /// Where it stands in the body.
    pub(super) at: (usize, usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Asked {
    pub(in crate::gateway) change: Change,
    pub(in crate::gateway) items: Vec<Item>,
    pub(super) rest_at: usize,
}

impl Item {
    /// One that no place in a request stands for.
    pub(in crate::gateway) fn new(name: String, partitions: u32) -> Self {
        Self { name: Some(name), topic_id: None, partitions: Some(partitions), at: (0, 0) }
    }

    /// One that is to be deleted.
    pub(in crate::gateway) fn gone(name: String) -> Self {
        Self { name: Some(name), topic_id: None, partitions: None, at: (0, 0) }
    }
}

impl Asked {
    pub(in crate::gateway) fn new(change: Change, items: Vec<Item>) -> Self {
        Self { change, items, rest_at: 0 }
    }
}

/// What Kafka answered for one topic or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Outcome {
    /// None where the answer does not say it again: then it is about the one that was asked for.
    pub(in crate::gateway) name: Option<String>,
    pub(in crate::gateway) topic_id: Option<Id>,
    /// Kafka's error code; 0 is none.
    pub(in crate::gateway) error: i16,
}

/// How one API says these things.
#[derive(Debug)]
pub(in crate::gateway) struct Codec {
    pub(in crate::gateway) counted: Counted,
    pub(in crate::gateway) read: fn(Format, &[u8]) -> Wire<Asked>,
    pub(in crate::gateway) outcomes: fn(Format, &[u8]) -> Wire<Vec<Outcome>>,
    pub(super) refuse: Refuse,
}

/// How an API says no.
#[derive(Debug)]
pub(super) enum Refuse {
    /// To some of many items.
    Items {
        refused: fn(Format, &str, &Refusal) -> Vec<u8>,
        head: fn(&mut Reader<'_>, Format) -> Wire<()>,
        good_head: fn(&mut Writer, Format),
    },
    /// To the request, which is about one: from its body.
    Whole(fn(Format, &[u8], &Refusal) -> Wire<Vec<u8>>),
    Never,
}

impl Codec {
    /// What becomes of a request of which some items are refused.
    pub(in crate::gateway) fn decide(
        &self,
        format: Format,
        body: &[u8],
        asked: &Asked,
        refusals: &[Option<Refusal>],
    ) -> Wire<Decision> {
        let (refused, head, good_head) = match self.refuse {
            Refuse::Never => return Ok(Decision::Forward),
            Refuse::Whole(refused) => {
                return match refusals.first() {
                    Some(Some(refusal)) => refused(format, body, refusal).map(Decision::Answer),
                    _ => Ok(Decision::Forward),
                };
            }
            Refuse::Items { refused, head, good_head } => (refused, head, good_head),
        };
        let result = |(item, refusal): (&Item, &Option<Refusal>)| {
            let name = item.name.as_deref().unwrap_or_default();
            refusal.as_ref().map(|refusal| refused(format, name, refusal))
        };
        let results: Vec<_> = asked.items.iter().zip(refusals).map(result).collect();
        let items: Vec<&[u8]> =
            asked.items.iter().map(|item| body.get(item.at.0..item.at.1).unwrap_or_default()).collect();
        let shape = Shape { format, head, good_head, positional: None };
        let kept = results.clone();
        Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, asked.rest_at)))
    }

    /// The refusals of a request that lost its right to start, or never had one.
    pub(in crate::gateway) fn without_ticket(
        &self,
        asked: &Asked,
        mut refusals: Vec<Option<Refusal>>,
    ) -> Vec<Option<Refusal>> {
        if asked.change == Change::Make {
            for (item, refusal) in asked.items.iter().zip(&mut refusals).filter(|(item, _)| item.partitions.is_some()) {
                debug_assert!(item.name.is_some());
                refusal.get_or_insert_with(|| self.counted.undecided());
            }
        }
        refusals
    }
}
