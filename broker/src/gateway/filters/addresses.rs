//! Every address that Kafka tells becomes the one of the path that the client came by.
//!
//! Looked up by node id. Ids below zero mean "no node" and pass untouched. A node that the path
//! advertises no address for is left out (or, as a coordinator, answered as not available): its
//! internal address must not leak, and every client treats a missing broker as one to ask for again.

use super::{Decision, Format, Scope, code};
use crate::gateway::frame::LENGTH;
use crate::gateway::wire::{Reader, Wire, Writer};

const ENDPOINT_TYPE_BROKERS: i8 = 1;

/// Rewrites a Metadata response frame up to the end of its brokers. Gives the new head, of which
/// the length field is still to be set, and how many bytes of the frame it replaces.
pub(in crate::gateway) fn metadata_head(scope: Scope<'_>, format: Format, frame: &[u8]) -> Wire<(Vec<u8>, usize)> {
    let mut r = Reader::new(frame, format.flexible);
    r.take(LENGTH)?;
    r.i32()?; // correlation id
    r.tags()?;
    if format.version >= 3 {
        r.i32()?; // throttle time
    }
    let mut w = Writer::new(format.flexible);
    w.raw(r.since(0));
    put_nodes(&mut w, scope, &mut r, format.version >= 1)?;
    Ok((w.bytes, r.position()))
}

/// Writes an array of nodes as it is read: `id, host, port`, a rack, tagged fields.
pub(super) fn put_nodes(w: &mut Writer, scope: Scope<'_>, r: &mut Reader<'_>, has_rack: bool) -> Wire<()> {
    let count = r.partial_array()?;
    let mut nodes = w.part();
    let mut kept = 0;
    for _ in 0..count {
        let node = r.i32()?;
        r.string()?;
        r.i32()?;
        let after_address = r.position();
        if has_rack {
            r.skip_nullable_string()?;
        }
        r.tags()?;
        kept += usize::from(put_node(&mut nodes, scope, node, r.since(after_address)));
    }
    w.array(kept);
    w.raw(&nodes.bytes);
    Ok(())
}

/// Writes `id, host, port` and then `rest`, when the path knows the node.
fn put_node(w: &mut Writer, scope: Scope<'_>, node: i32, rest: &[u8]) -> bool {
    let Some(address) = scope.snapshot.address(scope.path, node) else { return false };
    w.i32(node);
    w.string(&address.host);
    w.i32(address.port.into());
    w.raw(rest);
    true
}

/// FindCoordinator: one node up to version 3, an array by key from version 4 on.
pub(in crate::gateway) fn find_coordinator(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    let mut w = Writer::new(format.flexible);
    if format.version >= 1 {
        w.i32(r.i32()?); // throttle time
    }
    if format.version < 4 {
        let error = r.i16()?;
        let message = if format.version >= 1 { r.nullable_string()? } else { None };
        let found = coordinator(scope, &mut r)?;
        w.i16(found.error(error));
        if format.version >= 1 {
            w.nullable_string(found.message(message));
        }
        found.put(&mut w);
    } else {
        let count = r.array()?;
        w.array(count);
        for _ in 0..count {
            w.string(r.string()?); // key
            let found = coordinator(scope, &mut r)?;
            found.put(&mut w);
            w.i16(found.error(r.i16()?));
            w.nullable_string(found.message(r.nullable_string()?));
            w.raw(tags(&mut r)?);
        }
    }
    w.raw(tags(&mut r)?);
    r.end()?;
    Ok(w.bytes)
}

/// A coordinator as the client may see it.
struct Coordinator<'a> {
    node: i32,
    host: &'a str,
    port: i32,
    hidden: bool,
}

fn coordinator<'a>(scope: Scope<'a>, r: &mut Reader<'a>) -> Wire<Coordinator<'a>> {
    let (node, host, port) = (r.i32()?, r.string()?, r.i32()?);
    if node < 0 {
        return Ok(Coordinator { node, host, port, hidden: false });
    }
    Ok(match scope.snapshot.address(scope.path, node) {
        Some(address) => Coordinator { node, host: &address.host, port: address.port.into(), hidden: false },
        None => Coordinator { node: -1, host: "", port: -1, hidden: true },
    })
}

impl Coordinator<'_> {
    fn put(&self, w: &mut Writer) {
        w.i32(self.node);
        w.string(self.host);
        w.i32(self.port);
    }

    fn error(&self, kafka: i16) -> i16 {
        if self.hidden { code::COORDINATOR_NOT_AVAILABLE } else { kafka }
    }

    fn message<'m>(&self, kafka: Option<&'m str>) -> Option<&'m str> {
        if self.hidden { Some("the coordinator has no address on this access path yet") } else { kafka }
    }
}

/// DescribeCluster for controllers is refused: clients never reach them (KIP-919).
pub(in crate::gateway) fn describe_cluster_request(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    r.bool()?; // authorised operations
    if format.version == 0 || r.i8()? == ENDPOINT_TYPE_BROKERS {
        return Ok(Decision::Forward);
    }
    let mut w = Writer::new(format.flexible);
    w.i32(0); // throttle time
    w.i16(code::MISMATCHED_ENDPOINT_TYPE);
    w.nullable_string(Some("controllers are not reachable by clients: ask for brokers (endpoint type 1)"));
    w.i8(ENDPOINT_TYPE_BROKERS);
    w.string(""); // cluster id
    w.i32(-1); // controller id
    w.array(0);
    w.i32(i32::MIN); // authorised operations: not asked for
    w.tags();
    Ok(Decision::Answer(w.bytes))
}

pub(in crate::gateway) fn describe_cluster(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    r.i16()?; // error
    r.nullable_string()?; // message
    if format.version >= 1 {
        r.i8()?; // endpoint type
    }
    r.string()?; // cluster id
    r.i32()?; // controller id
    let mut w = Writer::new(format.flexible);
    w.raw(r.since(0));
    let mut brokers = Writer::new(format.flexible);
    let mut kept = 0;
    for _ in 0..r.array()? {
        let node = r.i32()?;
        r.string()?;
        r.i32()?;
        let after_address = r.position();
        r.nullable_string()?; // rack
        if format.version >= 2 {
            r.bool()?; // fenced
        }
        r.tags()?;
        kept += usize::from(put_node(&mut brokers, scope, node, r.since(after_address)));
    }
    w.array(kept);
    w.raw(&brokers.bytes);
    w.raw(r.rest());
    Ok(w.bytes)
}

/// DescribeQuorum from version 2 on tells the controllers' listeners: each node gets one, named
/// after the path, or none. Java clients refuse names that are not in upper case.
pub(in crate::gateway) fn describe_quorum(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.i16()?; // error
    r.nullable_string()?;
    for _ in 0..r.array()? {
        r.string()?; // topic
        for _ in 0..r.array()? {
            r.take(4 + 2)?; // partition, error
            r.nullable_string()?;
            r.take(4 + 4 + 8)?; // leader, epoch, high watermark
            for _ in 0..2 {
                // voters, observers
                for _ in 0..r.array()? {
                    r.take(4 + 16 + 8 + 8 + 8)?; // replica, directory, end offset, fetched, caught up
                    r.tags()?;
                }
            }
            r.tags()?;
        }
        r.tags()?;
    }
    let mut w = Writer::new(format.flexible);
    w.raw(r.since(0));
    let listener = scope.path.as_str().to_ascii_uppercase().replace('-', "_");
    let nodes = r.array()?;
    w.array(nodes);
    for _ in 0..nodes {
        let node = r.i32()?;
        w.i32(node);
        for _ in 0..r.array()? {
            r.string()?; // name
            r.string()?; // host
            r.i16()?; // port
            r.tags()?;
        }
        match scope.snapshot.address(scope.path, node) {
            Some(address) => {
                w.array(1);
                w.string(&listener);
                w.string(&address.host);
                w.raw(&address.port.to_be_bytes());
                w.tags();
            }
            None => w.array(0),
        }
        w.raw(tags(&mut r)?);
    }
    w.raw(r.rest());
    Ok(w.bytes)
}

/// A section of tagged fields as it stands.
fn tags<'a>(r: &mut Reader<'a>) -> Wire<&'a [u8]> {
    let start = r.position();
    r.tags()?;
    Ok(r.since(start))
}
