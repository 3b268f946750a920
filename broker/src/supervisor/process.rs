//! A process that outlives its parent, and can be found again.
//!
//! Owns identity, adoption, signals and waiting for the JVM and the gateway. Who a process is, is
//! written down before it runs: boot id, pid, start time and a random nonce that it carries in its
//! environment (kafka.md finding 24), so a recycled pid is never mistaken for it. Signals and waiting
//! go by pidfd only. `PDEATHSIG` must not be used: these processes go on without the supervisor.

use crate::directory::write_atomic;
use rand::Rng as _;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Carries `role:nonce` in the environment of what the supervisor starts.
pub const PROCESS_VARIABLE: &str = "SLUICE_PROCESS";

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub directory: PathBuf,
    /// Standard output and error go here, appended.
    pub output: PathBuf,
}

/// What a process is for; also the first part of its record's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessRole {
    Broker,
    Gateway,
}

impl fmt::Display for ProcessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Gateway => "gateway",
        })
    }
}

/// Who a process is. Kept under `run/` from just before its start until it was seen to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    role: ProcessRole,
    nonce: String,
    boot_id: String,
    /// Absent when the supervisor died between writing this and knowing it.
    started: Option<Started>,
    /// It was seen to do what it is for.
    #[serde(default)]
    served: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Started {
    pid: u32,
    start_ticks: u64,
}

/// How a process ended, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
    /// It was adopted: its status went to another parent.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}

/// A running process, child or adopted. Dropping it leaves it running and on record.
#[derive(Debug)]
pub struct Process {
    record: PathBuf,
    nonce: String,
    started: Started,
    pidfd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Starts a process in a process group of its own, on record in `run`.
    pub fn spawn(role: ProcessRole, launch: &Launch, run: &Path) -> io::Result<Self> {
        let mut record = Record { role, nonce: random_nonce(), boot_id: boot_id()?, started: None, served: false };
        let path = run.join(format!("{role}-{}.json", record.nonce));
        record.write(&path)?;
        let spawned = record.spawn(launch).and_then(|started| {
            record.started = Some(started);
            record.write(&path)?;
            Self::open(path.clone(), &record.nonce, started)
        });
        if spawned.is_err() && record.started.is_none() {
            // Nothing runs under it. A record that stays behind would be found gone later.
            let _ = fs::remove_file(&path);
        }
        spawned
    }

    /// Finds the processes of a role that an earlier supervisor left, oldest first, and forgets
    /// those that are gone.
    pub fn adopt_all(role: ProcessRole, run: &Path) -> io::Result<Vec<Self>> {
        let mut adopted = Vec::new();
        for entry in fs::read_dir(run)? {
            let path = entry?.path();
            let Some(record) = Record::read(&path).filter(|record| record.role == role) else { continue };
            let found = match record.find()? {
                Some(started) => Self::open(path.clone(), &record.nonce, started).map(Some),
                None => Ok(None),
            };
            match found {
                Ok(Some(process)) => adopted.push(process),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::remove_file(&path)?,
            }
        }
        adopted.sort_by_key(|process| process.started.start_ticks);
        Ok(adopted)
    }

    fn open(record: PathBuf, nonce: &str, started: Started) -> io::Result<Self> {
        let pidfd = pidfd_open(pid_of(started.pid)?, PidfdFlags::NONBLOCK).map_err(|error| match error {
            rustix::io::Errno::SRCH => io::ErrorKind::NotFound.into(),
            error => io::Error::from(error),
        })?;
        // The descriptor is of whoever had the pid then: prove that it was the one we mean.
        if start_ticks(started.pid)? != Some(started.start_ticks) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let pidfd = watch(pidfd)?;
        Ok(Self { record, nonce: nonce.to_owned(), started, pidfd })
    }

    pub fn pid(&self) -> u32 {
        self.started.pid
    }

    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Puts on record that it serves, for a supervisor that adopts it when it no longer does.
    pub fn note_served(&self) -> io::Result<()> {
        let record = Record::read(&self.record).ok_or(io::ErrorKind::NotFound)?;
        Record { served: true, ..record }.write(&self.record)
    }

    pub fn has_served(&self) -> bool {
        Record::read(&self.record).is_some_and(|record| record.served)
    }

    /// Sends a signal; a process that is gone already is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.pidfd.get_ref(), signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the end. Safe to cancel; afterwards the process is off the record.
    pub async fn wait(&self) -> io::Result<Exit> {
        // Readable, and readable for ever, once the process has ended.
        let _ended = self.pidfd.readable().await?;
        let exit = reap(self.pidfd.get_ref())?;
        match fs::remove_file(&self.record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(exit),
        }
    }
}

#[expect(
    deprecated,
    reason = "it is unsound only for types that may close or swap their descriptor; an OwnedFd does not"
)]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

fn reap(pidfd: &OwnedFd) -> io::Result<Exit> {
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => Ok(status
            .exit_status()
            .map(Exit::Status)
            .or_else(|| status.terminating_signal().map(Exit::Signal))
            .unwrap_or(Exit::Unknown)),
        // Not our child.
        Ok(None) | Err(rustix::io::Errno::CHILD) => Ok(Exit::Unknown),
        Err(error) => Err(error.into()),
    }
}

impl Record {
    fn write(&self, path: &Path) -> io::Result<()> {
        write_atomic(path, &serde_json::to_vec(self)?)
    }

    /// None for what is no record, such as half of one.
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn mark(&self) -> String {
        format!("{}:{}", self.role, self.nonce)
    }

    fn spawn(&self, launch: &Launch) -> io::Result<Started> {
        let output = OpenOptions::new().append(true).create(true).mode(0o600).open(&launch.output)?;
        let child = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(&launch.directory)
            .env(PROCESS_VARIABLE, self.mark())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C at the terminal is for whoever started us, not for it.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", launch.program.display())))?;
        // Not reaped before we do it, so the pid cannot be another's yet.
        let start_ticks = start_ticks(child.id())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Started { pid: child.id(), start_ticks })
    }

    /// The process of this record, if it still runs.
    fn find(&self) -> io::Result<Option<Started>> {
        if self.boot_id != boot_id()? {
            return Ok(None);
        }
        match self.started {
            Some(started) => Ok(self.is(started.pid)?.filter(|found| *found == started)),
            None => self.search(),
        }
    }

    fn search(&self) -> io::Result<Option<Started>> {
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(started) = self.is(pid)? {
                return Ok(Some(started));
            }
        }
        Ok(None)
    }

    /// Whether `pid` carries our nonce. A zombie has no environment, and counts as gone.
    fn is(&self, pid: u32) -> io::Result<Option<Started>> {
        // Start time first and again after: between them, the pid is one process.
        let Some(before) = start_ticks(pid)? else { return Ok(None) };
        let wanted = format!("{PROCESS_VARIABLE}={}", self.mark());
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return Ok(None) };
        let ours = environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        let same = start_ticks(pid)? == Some(before);
        Ok((ours && same).then_some(Started { pid, start_ticks: before }))
    }
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// 128 random bits, in hex.
pub fn random_nonce() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// Changes with every boot of the machine.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Start of a process in clock ticks since boot, field 22 of `/proc/PID/stat`; none when it is gone.
pub fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // ESRCH when it goes between open and read.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The name, field 2, may hold anything; what follows its last parenthesis is plain.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(after_name.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok()))
}
