//! Requests that may make a group: which of them admission is asked about.

use super::Duplex;
use crate::gateway::admission::counted::Counted;
use crate::gateway::admission::seen::Pass;
use crate::gateway::filters::Format;
use crate::gateway::filters::groups::{self, MayMake};
use crate::gateway::frame::RequestHeader;
use crate::gateway::listener::Shared;
use crate::gateway::pipeline::Expected;
use crate::gateway::table::Api;
use crate::gateway::wire::Wire;
use tokio::io::{AsyncRead, AsyncWrite};

/// What becomes of a request.
pub(super) enum Way {
    /// It makes no group, or there may be any number of them.
    Relay,
    /// Its group is one that everybody counts.
    Pass(Pass),
    Ask,
}

/// Looks at the first fields of the request that `frame` begins with.
pub(super) fn way(shared: &Shared, may_make: MayMake, format: Format, frame: &[u8]) -> Wire<Way> {
    if !shared.snapshot().limits(Counted::Groups) {
        return Ok(Way::Relay);
    }
    let Some(group) = groups::may_make(may_make, format, frame)? else { return Ok(Way::Relay) };
    Ok(shared.admission(Counted::Groups).pass(group).map_or(Way::Ask, Way::Pass))
}

impl<C, U> Duplex<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// Waits for the answer to a request that passes without asking, and holds its pass until then.
    pub(super) fn expect_passed(&mut self, header: RequestHeader, api: &Api, pass: Pass) {
        let answered = move |answer: &[u8]| {
            drop(pass);
            Ok(answer.to_vec())
        };
        self.pipeline.push(Expected::Amended {
            correlation: header.correlation,
            flexible: api.is_header_flexible(header.version),
            merge: Box::new(answered),
            own_bytes: 0,
            settlement: None,
        });
    }
}
