//! Runs the gateway beside the supervisor (the local driver's way; on Kubernetes it is a container
//! of its own): one task that starts, watches, restarts, replaces and stops it.
//!
//! A replacement listens beside the old gateway (`SO_REUSEPORT`) and says that it is ready by a file
//! under `run/`, named by the nonce it was given; only then is the old one asked to drain. It touches the file as long as its
//! runtime turns: one that stops doing so is killed. Dropping everything leaves the gateway running: the next supervisor adopts it.

use super::backoff::BackOff;
use super::broker::terminate;
use super::process::{Launch, PROCESS_VARIABLE, Process, ProcessRole};
use super::rotate;
use crate::clock;
use crate::directory::NodeDirectory;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// From a start to ready; the gateway loads a spec and binds a few ports.
const READY_LIMIT: Duration = Duration::from_secs(10);
const READY_EVERY: Duration = Duration::from_millis(20);
/// How often a gateway touches its mark.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that find no new touch. Counted, and not measured by the clock, so that a machine that was paused, and not its
/// gateway, costs one of them.
const LOOKS: u32 = 10;
/// What the gateway itself prints: a panic. Its log is elsewhere.
const OUTPUT_LOG: &str = "gateway-output.log";

#[derive(Debug, Clone)]
pub struct GatewaySettings {
    pub directory: NodeDirectory,
    /// `sluice-node`, and what makes it a gateway.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// A gateway that dies must be back within a second.
    pub back_off: BackOff,
    /// For the old one to drain.
    pub drain_deadline: Duration,
    /// A gateway that lives and does nothing for so long is killed.
    pub silence: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the new gateway {0}; the old one stays")]
pub struct NotReplaced(String);

enum Command {
    Replace(oneshot::Sender<Result<(), NotReplaced>>),
    Stop { deadline: Duration, done: oneshot::Sender<()> },
}

/// The running task.
#[derive(Debug, Clone)]
pub struct GatewayProcess {
    commands: mpsc::Sender<Command>,
    pid: watch::Receiver<Option<u32>>,
}

impl GatewayProcess {
    /// Adopts the gateway that an earlier supervisor left, or starts one. Must be called inside a
    /// tokio runtime.
    pub fn start(settings: GatewaySettings) -> io::Result<Self> {
        let mut adopted = Process::adopt_all(ProcessRole::Gateway, &settings.directory.run())?;
        let current = adopted.pop();
        forget_all_but(current.as_ref(), &settings.directory.run())?;
        let (commands, receiver) = mpsc::channel(8);
        let (sender, pid) = watch::channel(current.as_ref().map(Process::pid));
        let mut runner = Runner {
            settings,
            commands: receiver,
            pid: sender,
            failures: 0,
            retired: JoinSet::new(),
            hurry: CancellationToken::new(),
        };
        for old in adopted {
            // Its replacement had been started when the supervisor died.
            runner.retire(old);
        }
        tokio::spawn(runner.run(current));
        Ok(Self { commands, pid })
    }

    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    pub async fn replace(&self) -> Result<(), NotReplaced> {
        let stopping = || NotReplaced("was not started: the supervisor is stopping".to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Replace(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    pub async fn stop(&self, deadline: Duration) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Stop { deadline, done }).await.is_ok() {
            // An error means that the task has ended: stopped as well.
            let _ = wait.await;
        }
    }
}

struct Runner {
    settings: GatewaySettings,
    commands: mpsc::Receiver<Command>,
    pid: watch::Sender<Option<u32>>,
    /// Ends in a row without having been ready.
    failures: u32,
    /// Old gateways that drain.
    retired: JoinSet<()>,
    /// Cancelled when they have no more time.
    hurry: CancellationToken,
}

impl Runner {
    async fn run(mut self, adopted: Option<Process>) {
        let mut current = adopted;
        loop {
            let process = match current.take() {
                Some(process) => process,
                None => match self.spawn() {
                    Ok(process) => process,
                    Err(error) => {
                        error!(%error, "gateway could not be started");
                        if !self.back_off().await {
                            return;
                        }
                        continue;
                    }
                },
            };
            match self.watch(process).await {
                Watched::Replaced(new) => current = Some(new),
                Watched::Ended => {
                    if !self.back_off().await {
                        return;
                    }
                }
                Watched::Stopped | Watched::Left => return,
            }
        }
    }

    async fn watch(&mut self, process: Process) -> Watched {
        self.pid.send_replace(Some(process.pid()));
        let mut rotation = interval(Duration::from_secs(30));
        let mut pulse =
            Pulse::of(ready_file(&self.settings.directory.run(), process.nonce()), self.settings.silence / LOOKS);
        loop {
            tokio::select! {
                exit = process.wait() => {
                    let how = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
                    warn!(gateway.pid = process.pid(), gateway.exit = how, "the gateway ended by itself");
                    let was_ready = self.forget(&process);
                    self.failures = if was_ready { 1 } else { self.failures + 1 };
                    self.pid.send_replace(None);
                    return Watched::Ended;
                }
                command = self.commands.recv() => match command {
                    Some(Command::Replace(reply)) => {
                        let replaced = self.replace().await;
                        // Whoever asked may have gone; what was asked stands.
                        let _ = reply.send(replaced.as_ref().map(|_| ()).map_err(Clone::clone));
                        if let Ok(new) = replaced {
                            self.forget(&process);
                            self.retire(process);
                            return Watched::Replaced(new);
                        }
                    }
                    Some(Command::Stop { deadline, done }) => {
                        let how = terminate(&process, deadline).await;
                        info!(gateway.pid = process.pid(), gateway.exit = how, "stopped the gateway");
                        self.hurry.cancel();
                        while self.retired.join_next().await.is_some() {}
                        self.forget(&process);
                        self.pid.send_replace(None);
                        let _ = done.send(());
                        return Watched::Stopped;
                    }
                    None => return Watched::Left,
                },
                () = pulse.stops() => {
                    // Its end comes by `wait`.
                    let how = terminate(&process, Duration::ZERO).await;
                    error!(gateway.pid = process.pid(), gateway.exit = how, "the gateway did nothing for {:?}", self.settings.silence);
                }
                _ = rotation.tick() => {
                    if let Err(error) = rotate::while_open(&self.settings.directory.logs().join(OUTPUT_LOG)) {
                        warn!(%error, "could not rotate the gateway's output");
                    }
                }
            }
        }
    }

    /// False when there will be no next start.
    async fn back_off(&mut self) -> bool {
        let wait = sleep(self.settings.back_off.delay(self.failures));
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return true,
                command = self.commands.recv() => match command {
                    Some(Command::Replace(reply)) => {
                        let _ = reply.send(Err(NotReplaced("was not started: none runs, one is started by itself".to_owned())));
                    }
                    Some(Command::Stop { done, .. }) => {
                        let _ = done.send(());
                        return false;
                    }
                    None => return false,
                },
            }
        }
    }

    fn spawn(&mut self) -> io::Result<Process> {
        let directory = &self.settings.directory;
        let launch = Launch {
            program: self.settings.program.clone(),
            arguments: self.settings.arguments.clone(),
            directory: directory.root().to_owned(),
            output: directory.logs().join(OUTPUT_LOG),
        };
        rotate::on_start(&launch.output)?;
        let process =
            Process::spawn(ProcessRole::Gateway, &launch, &directory.run()).inspect_err(|_| self.failures += 1)?;
        info!(gateway.pid = process.pid(), "started the gateway");
        Ok(process)
    }

    async fn replace(&mut self) -> Result<Process, NotReplaced> {
        let new = self.spawn().map_err(|error| NotReplaced(format!("could not be started: {error}")))?;
        let ready = ready_file(&self.settings.directory.run(), new.nonce());
        tokio::select! {
            exit = new.wait() => {
                let how = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
                Err(NotReplaced(format!("{how} before it was ready")))
            }
            waited = timeout(READY_LIMIT, appears(&ready)) => match waited {
                Ok(()) => Ok(new),
                Err(_) => {
                    terminate(&new, Duration::ZERO).await;
                    Err(NotReplaced(format!("was not ready after {READY_LIMIT:?}")))
                }
            }
        }
    }

    /// Lets a gateway drain in the background; it stays on record until it is gone.
    fn retire(&mut self, process: Process) {
        let (deadline, hurry) = (self.settings.drain_deadline, self.hurry.clone());
        self.retired.spawn(async move {
            let how = tokio::select! {
                how = terminate(&process, deadline) => how,
                () = hurry.cancelled() => terminate(&process, Duration::ZERO).await,
            };
            info!(gateway.pid = process.pid(), gateway.exit = how, "the old gateway is gone");
        });
    }

    /// Removes the mark of readiness; whether there was one.
    fn forget(&self, process: &Process) -> bool {
        fs::remove_file(ready_file(&self.settings.directory.run(), process.nonce())).is_ok()
    }
}

/// Whether a gateway still touches its mark.
struct Pulse {
    mark: PathBuf,
    tick: Interval,
    touched: Option<SystemTime>,
    /// None until the first touch: a gateway of an older release has none.
    missed: Option<u32>,
}

impl Pulse {
    fn of(mark: PathBuf, every: Duration) -> Self {
        let mut tick = interval(every.max(READY_EVERY));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { mark, tick, touched: None, missed: None }
    }

    /// Returns once the mark was not touched in [`LOOKS`] looks. Safe to drop and ask again.
    async fn stops(&mut self) {
        loop {
            self.tick.tick().await;
            // No mark: not ready yet, or about to be replaced.
            let Ok(touched) = fs::metadata(&self.mark).and_then(|mark| mark.modified()) else { continue };
            let before = self.touched.replace(touched);
            self.missed = match self.missed {
                _ if before.is_some_and(|before| before != touched) => Some(0),
                missed => missed.map(|missed| missed + 1),
            };
            if self.missed >= Some(LOOKS) {
                self.missed = None;
                return;
            }
        }
    }
}

enum Watched {
    Ended,
    Replaced(Process),
    Stopped,
    /// Nobody can command any more: the supervisor goes, the gateway stays.
    Left,
}

async fn appears(path: &Path) {
    let mut tick = interval(READY_EVERY);
    while !path.exists() {
        tick.tick().await;
    }
}

/// Removes marks of readiness that a supervisor left when it died.
fn forget_all_but(current: Option<&Process>, run: &Path) -> io::Result<()> {
    let kept = current.map(|process| ready_file(run, process.nonce()));
    for entry in fs::read_dir(run)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ready") && Some(&path) != kept.as_ref() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn ready_file(run: &Path, nonce: &str) -> PathBuf {
    run.join(format!("gateway-{nonce}.ready"))
}

/// The mark of a gateway that serves.
#[derive(Debug)]
pub struct Mark(Option<File>);

/// Called by the gateway when it serves. Does nothing where no supervisor started it.
pub fn announce_ready(directory: &NodeDirectory) -> io::Result<Mark> {
    let nonce = env::var(PROCESS_VARIABLE).ok().and_then(|mark| mark.strip_prefix("gateway:").map(str::to_owned));
    let nonce = nonce.filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Ok(Mark(nonce.map(|nonce| File::create(ready_file(&directory.run(), &nonce))).transpose()?))
}

impl Mark {
    /// Shows that the gateway lives, until it ends.
    pub async fn beat(self) {
        let Some(mark) = self.0 else { return };
        let mut beat = interval(BEAT_EVERY);
        loop {
            beat.tick().await;
            // A time and no text: that needs no room on a full disk.
            if let Err(error) = mark.set_modified(clock::now()) {
                warn!(%error, "could not show that the gateway lives");
            }
        }
    }
}
