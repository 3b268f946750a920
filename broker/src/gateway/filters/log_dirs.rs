//! DescribeLogDirs: sizes are the tenant's business, the platform's file names are not.

use super::{Format, Scope};
use crate::gateway::wire::{Reader, Wire, Writer};

/// What the first log directory is called; others get a number.
const SHOWN: &str = "/data";

pub(in crate::gateway) fn describe(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    if format.version >= 3 {
        r.i16()?; // error
    }
    let mut w = Writer::new(format.flexible);
    w.raw(r.since(0));
    let directories = r.array()?;
    w.array(directories);
    for number in 0..directories {
        w.i16(r.i16()?); // error
        r.string()?;
        if number == 0 {
            w.string(SHOWN)
        } else {
            w.string(&format!("{SHOWN}-{number}"))
        }
        let start = r.position();
        for _ in 0..r.array()? {
            r.string()?; // topic
            for _ in 0..r.array()? {
                r.take(4 + 8 + 8 + 1)?; // partition, size, lag, future
                r.tags()?;
            }
            r.tags()?;
        }
        if format.version >= 4 {
            r.take(8 + 8)?; // total, usable
        }
        if format.version >= 5 {
            r.bool()?; // cordoned
        }
        r.tags()?;
        w.raw(r.since(start));
    }
    w.raw(r.rest());
    Ok(w.bytes)
}
