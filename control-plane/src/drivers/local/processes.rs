//! A node's processes, found by the nonce that all of them carry in their environment.
//!
//! Supervisor, gateway and JVM inherit `SLUICE_NODE_NONCE`; a pid alone is never trusted, since it may be another's by
//! now (kafka.md finding 24). Signals go by pidfd: it names one process for ever, whatever becomes of its number.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{collections::HashSet, fs, io, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

pub(super) const NONCE_VARIABLE: &str = "SLUICE_NODE_NONCE";
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Nonces of all nodes of which a process lives.
pub(super) fn live_nonces() -> io::Result<HashSet<String>> {
    Ok(pids()?.into_iter().filter_map(nonce_of).collect())
}

/// A process of a node.
#[derive(Debug)]
pub(super) struct Member {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Member {
    fn number(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// It has ended whole: its files and sockets are closed, which a look into /proc cannot tell.
    fn ended(&self) -> io::Result<bool> {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        match poll(&mut watched, Some(&Timespec::default())) {
            Ok(readable) => Ok(readable > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The processes of a node that live now.
pub(super) fn members(nonce: &str) -> io::Result<Vec<Member>> {
    let mut found = Vec::new();
    for pid in pids()? {
        let Some(pidfd) = open(pid)? else { continue };
        // Read after the descriptor was opened: if it carries the nonce now, the descriptor is of that process, or of
        // one that is gone, which takes no signal.
        if nonce_of(pid).is_some_and(|found| found == nonce) {
            found.push(Member { pid, pidfd });
        }
    }
    Ok(found)
}

/// The file that a process runs, under a name that stays when the file's own is gone.
pub(super) fn program(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

/// Kills one process of a node and waits until it has ended; it may be gone already.
pub(super) async fn kill_one(nonce: &str, pid: u32, deadline: Duration) -> io::Result<()> {
    let Some(member) = members(nonce)?.into_iter().find(|member| member.number() == pid) else { return Ok(()) };
    match pidfd_send_signal(&member.pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    let deadline = Instant::now() + deadline;
    while !member.ended()? {
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} does not end")));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Kills every process of a node and waits until none is left, nor any of `known`, which may be ending by themselves;
/// those that remain at the deadline are the answer.
pub(super) async fn kill(nonce: &str, mut known: Vec<Member>, deadline: Duration) -> io::Result<Vec<u32>> {
    let deadline = Instant::now() + deadline;
    loop {
        // Again and again, since a supervisor may start a JVM between the look and the signal.
        for member in members(nonce)? {
            match pidfd_send_signal(&member.pidfd, Signal::KILL) {
                Ok(()) => known.push(member),
                Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut left = Vec::new();
        for member in known {
            if !member.ended()? && left.iter().all(|other: &Member| other.pid != member.pid) {
                left.push(member);
            }
        }
        known = left;
        if known.is_empty() || Instant::now() >= deadline {
            return Ok(known.iter().map(Member::number).collect());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn open(pid: Pid) -> io::Result<Option<OwnedFd>> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        // Gone, or a thread's number.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn pids() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw));
    }
    Ok(pids)
}

/// None for a process without one, that is gone, a zombie, or another user's.
fn nonce_of(pid: Pid) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    environment.split(|&byte| byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(NONCE_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}
