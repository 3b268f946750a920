//! `sluice-node`: the two processes of a broker node.

use anyhow::{Context, Result};
use broker::control;
use broker::directory::NodeDirectory;
use broker::supervisor::jvm::Tools;
use broker::supervisor::{self, SupervisorOptions, Timing};
use broker::telemetry::{self, LogTarget};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A Sluice broker node: Apache Kafka and the gateway in front of it.
#[derive(Debug, Parser)]
#[command(name = "sluice-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run and watch the broker's JVM; adopts the one that runs.
    Supervisor(SupervisorArgs),
    /// Serve clients and the node's control API
    Gateway(GatewayArgs),
}

#[derive(Debug, Args)]
struct Common {
    /// The node directory; spec.json must be in it
    #[arg(long, value_name = "NODE_DIR")]
    dir: PathBuf,
    /// Where the node's own log goes
    #[arg(long, value_enum, default_value = "file")]
    log: LogTarget,
}

#[derive(Debug, Args)]
struct SupervisorArgs {
    #[command(flatten)]
    common: Common,
    /// Where Kafka and Java are (kafka/VERSION/libs, java)
    #[arg(long, value_name = "TOOLS_DIR", env = "SLUICE_TOOLS")]
    tools: PathBuf,
    /// Run the gateway too
    #[arg(long)]
    with_gateway: bool,
    /// Start a broker again that lives but has answered nothing for this long, seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    silence_seconds: u64,
    /// Random text that a driver recognises this process by
    #[arg(long, env = "SLUICE_NODE_NONCE", default_value = "", hide = true)]
    nonce: String,
}

#[derive(Debug, Args)]
struct GatewayArgs {
    #[command(flatten)]
    common: Common,
    /// For clients to leave when it is asked to stop, seconds
    #[arg(long, default_value_t = 25)]
    drain_seconds: u64,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Supervisor(args) => run_supervisor(args),
        Command::Gateway(args) => run_gateway(args),
    }
}

fn run_supervisor(args: SupervisorArgs) -> Result<()> {
    let directory = open(&args.common, "supervisor")?;
    // A session of its own has no terminal: closing one ends neither us nor what we run. Fails where
    // we lead a process group already, which is as good.
    let _ = rustix::process::setsid();
    let gateway = args.with_gateway.then(|| gateway_command(&directory)).transpose()?;
    let options = SupervisorOptions {
        directory,
        tools: Tools::new(std::path::absolute(args.tools)?),
        gateway,
        nonce: args.nonce,
        timing: Timing { silence: Duration::from_secs(args.silence_seconds), ..Timing::default() },
    };
    // It waits, mostly; a thread for each core would cost memory for nothing.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(supervisor::run(options, until_asked_to_stop()?).await?) })
}

fn run_gateway(args: GatewayArgs) -> Result<()> {
    let directory = open(&args.common, "gateway")?;
    let drain_deadline = Duration::from_secs(args.drain_seconds);
    all_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { Ok(control::run(directory, until_asked_to_stop()?, drain_deadline).await?) })
}

/// As many files as the process may have: each connection is two.
fn all_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, files = ?limit.current, "cannot open more files: connections are limited by them");
    }
}

fn gateway_command(directory: &NodeDirectory) -> Result<(PathBuf, Vec<OsString>)> {
    let program = env::current_exe().context("the gateway is this very program")?;
    Ok((program, vec!["gateway".into(), "--dir".into(), directory.root().into()]))
}

fn open(common: &Common, log_name: &str) -> Result<NodeDirectory> {
    let directory =
        NodeDirectory::open(&common.dir).with_context(|| format!("node directory {}", common.dir.display()))?;
    telemetry::init(common.log, &directory.logs(), log_name)
        .with_context(|| format!("logs in {}", directory.logs().display()))?;
    Ok(directory)
}

/// Cancelled by SIGTERM or SIGINT.
fn until_asked_to_stop() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}
