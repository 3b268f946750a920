//! Runs the broker's JVM: one task that formats, starts, watches, restarts and stops it.
//!
//! ```text
//! formatting ─► starting ─► running ─┐ stop ─► stopping ─► stopped
//!                  ▲  │        │     │
//!                  │  ▼        ▼     │
//!               backing-off ◄── ended┘
//! ```
//!
//! A broker that served and then lives on without answering anything is ended, and starts again.
//!
//! Owns the JVM process and [`BrokerStatus`]. Commands come in by a channel, so there is one writer.
//! Dropping everything leaves the JVM running: the next supervisor adopts it.

use super::backoff::BackOff;
use super::cause::LogMarks;
use super::jvm::{OUTPUT_LOG, Tools};
use super::prepare;
use super::process::{Exit, Process, ProcessRole};
use super::properties::KafkaPaths;
use super::reconfigure;
use super::rotate;
use super::serving::{until_serving, until_silent};
use super::storage::Formatted;
use crate::directory::NodeDirectory;
use crate::error_text;
use crate::spec::change;
use broker_api::ports;
use broker_api::spec::NodeSpec;
use broker_api::status::{BrokerState, BrokerStatus};
use rustix::process::Signal;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

/// Between two attempts to make the broker take changed settings.
const SETTLE_EVERY: Duration = Duration::from_secs(5);
/// For a broker that does not answer to print what its threads do, and to end by itself if it still can.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The kernel ends a killed process at once, unless a disk holds it.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// How the broker is run.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    pub directory: NodeDirectory,
    pub tools: Tools,
    pub back_off: BackOff,
    /// Between two questions whether it serves, until it does.
    pub probe_every: Duration,
    /// A broker that served, lives, and has answered nothing for so long is started again.
    pub silence: Duration,
    /// For a graceful stop that the supervisor decides itself, before a restart.
    pub stop_deadline: Duration,
}

enum Command {
    Apply { spec: Arc<NodeSpec>, taken: oneshot::Sender<()> },
    Stop { deadline: Duration, done: oneshot::Sender<()> },
}

/// The running task.
#[derive(Debug, Clone)]
pub struct Broker {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<BrokerStatus>,
}

impl Broker {
    /// Adopts the JVM that an earlier supervisor left, or starts one.
    pub fn start(settings: BrokerSettings, spec: Arc<NodeSpec>, status: BrokerStatus) -> io::Result<Self> {
        let adopted = Process::adopt_all(ProcessRole::Broker, &settings.directory.run())?.pop();
        let (commands, receiver) = mpsc::channel(8);
        let (sender, status) = watch::channel(status);
        let runner = Runner {
            settings,
            spec,
            commands: receiver,
            status: sender,
            marks: None,
            served_since: None,
            settled: false,
        };
        tokio::spawn(runner.run(adopted));
        Ok(Self { commands, status })
    }

    pub fn status(&self) -> BrokerStatus {
        self.status.borrow().clone()
    }

    /// Brings the broker to a spec. When it returns, the status tells of what has begun. The caller
    /// has fenced the spec.
    pub async fn apply(&self, spec: Arc<NodeSpec>) {
        let (taken, wait) = oneshot::channel();
        if self.commands.send(Command::Apply { spec, taken }).await.is_ok() {
            // The task ends only after a stop, and then there is nothing to apply to.
            let _ = wait.await;
        }
    }

    /// Stops the broker for good: asks it to, and kills it at the deadline.
    pub async fn stop(&self, deadline: Duration) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Stop { deadline, done }).await.is_ok() {
            // An error means that the task has ended: stopped as well.
            let _ = wait.await;
        }
    }
}

struct Runner {
    settings: BrokerSettings,
    spec: Arc<NodeSpec>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<BrokerStatus>,
    marks: Option<LogMarks>,
    served_since: Option<Instant>,
    /// The running broker has every dynamic setting of the spec.
    settled: bool,
}

enum Next {
    Start,
    BackOff,
    Finish,
}

/// What a command asks of the broker that runs.
enum Order {
    Nothing,
    Restart,
    Stop {
        deadline: Duration,
        done: oneshot::Sender<()>,
    },
    /// Nobody can command any more: the supervisor goes, the JVM stays.
    Leave,
}

impl Runner {
    async fn run(mut self, adopted: Option<Process>) {
        let mut next = match adopted {
            Some(process) => self.adopt(process).await,
            None => Next::Start,
        };
        loop {
            next = match next {
                Next::Finish => return,
                Next::BackOff => self.back_off().await,
                Next::Start => match self.launch() {
                    Ok(process) => self.watch(process).await,
                    Err(text) => {
                        error!(kafka.error = text, "broker could not be started");
                        self.status.send_modify(|status| {
                            status.failures += 1;
                            status.last_exit = format!("could not be started: {text}");
                        });
                        Next::BackOff
                    }
                },
            };
        }
    }

    async fn adopt(&mut self, process: Process) -> Next {
        info!(broker.pid = process.pid(), "adopted the broker that was running");
        // Nothing on record: it was adopted before it ever served, and starts with the newest spec.
        if let Some(in_force) = prepare::in_force(&self.settings.directory) {
            let newest = std::mem::replace(&mut self.spec, Arc::new(in_force));
            if matches!(self.follow(newest), Order::Restart) {
                return self.restart(&process).await;
            }
        }
        self.watch(process).await
    }

    fn launch(&mut self) -> Result<Process, String> {
        let directory = &self.settings.directory;
        self.set_state(BrokerState::Formatting);
        let formatted = prepare::format(directory, &self.spec).map_err(|error| error_text(&error))?;
        if formatted == Formatted::Now {
            info!(data = %directory.data().display(), "formatted the log directory");
        }
        self.set_state(BrokerState::Starting);
        let launch =
            prepare::prepare(directory, &self.settings.tools, &self.spec).map_err(|error| error_text(&error))?;
        self.marks = Some(LogMarks::now(directory));
        let process =
            Process::spawn(ProcessRole::Broker, &launch, &directory.run()).map_err(|error| error_text(&error))?;
        info!(broker.pid = process.pid(), kafka.version = self.spec.kafka.version, "started the broker");
        Ok(process)
    }

    /// Stays with a process until it has ended or something else is to be done.
    async fn watch(&mut self, process: Process) -> Next {
        let started = Instant::now();
        self.served_since = None;
        self.settled = false;
        self.status.send_modify(|status| {
            status.state = BrokerState::Starting;
            status.pid = Some(process.pid());
            status.kafka_version.clone_from(&self.spec.kafka.version);
        });
        let address = SocketAddr::new(self.spec.kafka.bind, ports::UPSTREAM_PLAINTEXT);
        let serving = until_serving(address, self.settings.probe_every);
        let silent = until_silent(address, self.settings.silence);
        tokio::pin!(serving, silent);
        let has_served = process.has_served();
        let mut settling = interval(SETTLE_EVERY);
        settling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rotation = interval(Duration::from_secs(30));
        loop {
            tokio::select! {
                exit = process.wait() => return self.ended(exit, started),
                command = self.commands.recv() => match self.obey(command) {
                    Order::Nothing => settling.reset_immediately(),
                    Order::Restart => return self.restart(&process).await,
                    Order::Stop { deadline, done } => return self.stop(&process, deadline, done).await,
                    Order::Leave => return Next::Finish,
                },
                () = &mut serving, if self.served_since.is_none() => {
                    self.serves(&process, started);
                    settling.reset_immediately();
                }
                () = &mut silent, if has_served || self.served_since.is_some() => return self.end_silent(&process).await,
                _ = settling.tick(), if self.served_since.is_some() && !self.settled => self.settle().await,
                _ = rotation.tick() => {
                    let path = self.settings.directory.logs().join(OUTPUT_LOG);
                    if let Err(error) = rotate::while_open(&path) {
                        warn!(path = %path.display(), %error, "could not rotate a log");
                    }
                }
            }
        }
    }

    fn serves(&mut self, process: &Process, started: Instant) {
        self.served_since = Some(Instant::now());
        if let Err(error) = process.note_served() {
            warn!(%error, "could not put on record that the broker served");
        }
        info!(broker.start_ms = started.elapsed().as_millis() as u64, "the broker serves");
        self.status.send_modify(|status| {
            status.state = BrokerState::Running;
            status.failures = 0;
        });
    }

    fn ended(&mut self, exit: io::Result<Exit>, started: Instant) -> Next {
        let how = match exit {
            Ok(exit) => exit.to_string(),
            Err(error) => format!("was lost sight of: {error}"),
        };
        let cause = self.marks.as_ref().map(LogMarks::cause).unwrap_or_default();
        // Of one that was adopted, the start is not known, nor is its status.
        let after = match self.marks {
            Some(_) => format!(" after {} s", started.elapsed().as_secs()),
            None => String::new(),
        };
        let text = match cause.is_empty() {
            true => format!("{how}{after}"),
            false => format!("{how}{after}:\n{cause}"),
        };
        warn!(broker.exit = text, "the broker ended by itself");
        let served = self.served_since.take().is_some();
        self.status.send_modify(|status| {
            status.pid = None;
            status.last_exit = text;
            status.failures = if served { 0 } else { status.failures + 1 };
        });
        Next::BackOff
    }

    /// Ends a broker that lives but does not serve. It did serve, so the next start is at once: that one
    /// has its whole time of silence again.
    async fn end_silent(&mut self, process: &Process) -> Next {
        let silence = self.settings.silence.as_secs();
        error!(broker.pid = process.pid(), "the broker has answered nothing for {silence} s; it is started again");
        self.set_state(BrokerState::Stopping);
        // A JVM prints the stack of every thread to its output. What is gone by now has no need to.
        let _ = process.signal(Signal::QUIT);
        let how = terminate(process, LAST_WORDS).await;
        self.served_since = None;
        self.status.send_modify(|status| {
            status.pid = None;
            status.last_exit = format!("answered nothing for {silence} s; {how}");
        });
        Next::BackOff
    }

    /// Waits as long as the failures in a row ask for, obeying commands.
    async fn back_off(&mut self) -> Next {
        let delay = self.settings.back_off.delay(self.status.borrow().failures);
        self.status.send_modify(|status| {
            status.state = BrokerState::BackingOff;
            status.pid = None;
        });
        let command = tokio::select! {
            () = sleep(delay) => {
                self.status.send_modify(|status| status.restarts += 1);
                return Next::Start;
            }
            command = self.commands.recv() => command,
        };
        match command {
            Some(Command::Apply { spec, taken }) => {
                // Perhaps this is the cure: no reason to wait longer.
                self.spec = spec;
                let _ = taken.send(());
                Next::Start
            }
            Some(Command::Stop { done, .. }) => self.finish(Some(done)),
            None => Next::Finish,
        }
    }

    fn obey(&mut self, command: Option<Command>) -> Order {
        match command {
            Some(Command::Apply { spec, taken }) => {
                let order = self.follow(spec);
                if matches!(order, Order::Restart) {
                    self.set_state(BrokerState::Stopping);
                }
                // Whoever asked may have gone.
                let _ = taken.send(());
                order
            }
            Some(Command::Stop { deadline, done }) => Order::Stop { deadline, done },
            None => Order::Leave,
        }
    }

    /// Takes over a spec. What the running broker can take, it will be told when it serves.
    fn follow(&mut self, spec: Arc<NodeSpec>) -> Order {
        let change = match change(&self.spec, &spec) {
            Ok(change) => change,
            Err(error) => {
                error!(error = error_text(&error), "ignored a spec that cannot be served");
                return Order::Nothing;
            }
        };
        self.spec = spec;
        self.settled = false;
        if change.restart.is_empty() {
            return Order::Nothing;
        }
        info!(broker.settings = change.restart.join(","), "the broker must start again for changed settings");
        Order::Restart
    }

    /// Tells the running broker what changed since the spec that it was last known to follow whole.
    /// A setting that was once changed this way overrides the file, so it is done after a restart too.
    async fn settle(&mut self) {
        if let Err(text) = self.try_to_settle().await {
            warn!(error = text, "the running broker did not take changed settings; trying again");
            return;
        }
        self.settled = true;
    }

    async fn try_to_settle(&self) -> Result<(), String> {
        let directory = &self.settings.directory;
        if let Some(before) = prepare::in_force(directory) {
            let change = change(&before, &self.spec).map_err(|error| error_text(&error))?;
            if change.internal_tls {
                prepare::write_internal_tls(directory, &self.spec).map_err(|error| error.to_string())?;
            }
            let paths = KafkaPaths::new(&directory.kafka(), directory.data());
            reconfigure::apply(&paths, &self.spec, &change).await?;
        }
        prepare::write_in_force(directory, &self.spec).map_err(|error| error.to_string())
    }

    async fn restart(&mut self, process: &Process) -> Next {
        self.end(process, self.settings.stop_deadline).await;
        self.status.send_modify(|status| status.restarts += 1);
        Next::Start
    }

    async fn stop(&mut self, process: &Process, deadline: Duration, done: oneshot::Sender<()>) -> Next {
        self.end(process, deadline).await;
        self.finish(Some(done))
    }

    fn finish(&mut self, done: Option<oneshot::Sender<()>>) -> Next {
        self.set_state(BrokerState::Stopped);
        if let Some(done) = done {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
        Next::Finish
    }

    async fn end(&mut self, process: &Process, deadline: Duration) {
        self.set_state(BrokerState::Stopping);
        info!(broker.pid = process.pid(), "stopping the broker");
        let how = terminate(process, deadline).await;
        info!(broker.pid = process.pid(), broker.exit = how, "stopped the broker");
        self.status.send_modify(|status| {
            status.pid = None;
            status.last_exit = format!("stopped on request: {how}");
        });
    }

    fn set_state(&self, state: BrokerState) {
        self.status.send_modify(|status| status.state = state);
    }
}

/// Asks a process to end, and kills it at the deadline. Tells how it went.
pub async fn terminate(process: &Process, deadline: Duration) -> String {
    let ask = process.signal(Signal::TERM);
    if let Ok(Ok(exit)) = timeout(deadline, process.wait()).await {
        return exit.to_string();
    }
    let killed = ask.and_then(|()| process.signal(Signal::KILL));
    match (killed, timeout(KILL_LIMIT, process.wait()).await) {
        (Ok(()), Ok(Ok(exit))) => format!("{exit}, being still there after {deadline:?}"),
        (Err(error), _) | (_, Ok(Err(error))) => format!("could not be ended: {error}"),
        (_, Err(_)) => "did not end, even killed".to_owned(),
    }
}
