//! Heartbeats of Streams groups: they may make a group, and topics. Admission is asked about both.

use super::Duplex;
use super::admitted::Admitting;
use super::groups::Way;
use crate::gateway::admission::Admitted;
use crate::gateway::admission::counted::Counted;
use crate::gateway::filters::admitted::Codec;
use crate::gateway::filters::{Format, streams};
use crate::gateway::frame::RequestHeader;
use crate::gateway::listener::Shared;
use crate::gateway::stream::Stream;
use crate::gateway::table::Api;
use crate::gateway::wire::Wire;
use std::sync::Arc;

/// Looks at the first fields of the heartbeat that `frame` begins with.
pub(super) fn way(shared: &Shared, format: Format, frame: &[u8]) -> Wire<Way> {
    let beat = streams::peek(format, frame)?;
    if beat.joins() {
        return Ok(Way::Ask);
    }
    let passes = beat.leaves()
        || !shared.snapshot().limits(Counted::Partitions)
        || shared.admission(Counted::Partitions).is_complete(beat.group);
    Ok(if passes { Way::Relay } else { Way::Ask })
}

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// Puts a heartbeat on hold: first for the topics that it may have made, then for the group.
    pub(super) fn ask_for_heartbeat(
        &mut self,
        frame: Vec<u8>,
        body_at: usize,
        header: RequestHeader,
        api: &'static Api,
        codec: &'static Codec,
    ) -> Wire<()> {
        let format = Format { version: header.version, flexible: api.is_flexible(header.version) };
        let body = &frame[body_at..];
        let asked = Arc::new((codec.read)(format, body)?);
        let snapshot = self.shared.snapshot();
        let node = snapshot.peer.node;
        let topics = if snapshot.limits(Counted::Partitions) {
            let (group, topology) = (streams::head(format, body)?.group.to_owned(), streams::topology(format, body)?);
            let admission = self.shared.admission(Counted::Partitions).clone();
            Some(admission.admit_heartbeat(group, topology, snapshot.limit(Counted::Partitions), node))
        } else {
            None
        };
        let groups = self.shared.admission(Counted::Groups).clone();
        let new_group = asked.items.first().and_then(|item| item.name.as_deref());
        let new_group = new_group.filter(|_| snapshot.limits(Counted::Groups));
        let pass = new_group.and_then(|group| groups.pass(group));
        let group = (new_group.is_some() && pass.is_none())
            .then(|| groups.admit(asked.clone(), snapshot.limit(Counted::Groups), node));
        drop(snapshot);
        let freely = Admitted::freely(codec.counted, &asked);
        let decided = async move {
            let reserved = match topics {
                Some(topics) => topics.await,
                None => Ok(None),
            };
            let reserved = match reserved {
                Ok(reserved) => reserved,
                Err(refusal) => {
                    return Admitted { counted: Counted::Partitions, refusals: vec![Some(refusal)], ..freely };
                }
            };
            let admitted = match group {
                Some(group) => group.await,
                None => freely,
            };
            Admitted { reserved, pass, ..admitted }
        };
        self.admitting =
            Some(Admitting { decided: Box::pin(decided), asked, codec, header, api, frame, body_at, policy: None });
        Ok(())
    }
}
