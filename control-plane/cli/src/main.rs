//! `sluice`: the command line of tenants and operators.
//!
//! Owns no rule of the product: it asks the API and shows the answers. May use control-plane-api and reqwest; must not
//! link a database, a server or Kubernetes. From the command line inwards: [`args`] parses, [`settings`] decides what
//! holds, [`commands`] act through [`client`], [`render`] prints, [`watch`] waits for jobs, [`error`] ends the program.

mod args;
mod client;
mod commands;
mod config;
mod context;
mod credentials;
mod error;
mod problem;
mod prompt;
mod render;
mod resolve;
mod settings;
mod watch;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; that nobody reads them is no fault.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(error::exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    // The one cryptography of the project (docs/adr): no other is linked, so that none can be in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            render::say(format!("error: cannot start: {error}"));
            return ExitCode::from(error::exit::FAULT);
        }
    };
    match runtime.block_on(Box::pin(commands::run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::Error::ClosedPipe) => ExitCode::SUCCESS,
        Err(error) => {
            error.lines().iter().for_each(render::say);
            ExitCode::from(error.exit_code())
        }
    }
}
