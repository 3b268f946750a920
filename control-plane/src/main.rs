//! `sluice-control-plane`: the program. Puts the parts together; decides nothing itself.

mod commands;

use clap::{Parser, Subcommand};
use control_plane::config;
use std::{path::PathBuf, process::ExitCode};

/// The Sluice control plane
#[derive(Debug, Parser)]
#[command(name = "sluice-control-plane", version)]
struct Arguments {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Set one key of the configuration: `--set log.format=json`
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, run jobs and loops
    Serve,
    /// Bring the database's schema up to date
    Migrate,
    /// Make the first organisation, its project `default` and its owner; safe to repeat
    Bootstrap(commands::bootstrap::Options),
    /// Write the OpenAPI documents
    Openapi {
        /// Directory to write tenant.json and operator.json to
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the catalogue of problem codes as Markdown
    Errors,
    /// Print the effective configuration and where each value came from
    Config,
    /// Print a new master key
    GenerateMasterKey,
    /// Wrap all data keys with the active master key, and seal all secrets with a new data key
    RotateMasterKey,
    /// Check the hash chain of the audit trail
    VerifyAudit,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-control-plane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let load = || config::load(arguments.config.as_deref(), &arguments.set);
    match arguments.command {
        Command::Serve => commands::serve::run(load()?.config).await,
        Command::Migrate => commands::migrate(&load()?.config).await,
        Command::Bootstrap(options) => commands::bootstrap::run(&load()?.config, &options).await,
        Command::Openapi { out } => commands::openapi(&out),
        Command::Errors => commands::errors(),
        Command::Config => commands::config(&load()?),
        Command::GenerateMasterKey => commands::generate_master_key(),
        Command::RotateMasterKey => commands::rotate_master_key(&load()?.config).await,
        Command::VerifyAudit => commands::verify_audit(&load()?.config).await,
    }
}
