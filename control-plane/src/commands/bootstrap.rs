//! `bootstrap`: the first organisation, project and owner of an installation.

use super::assemble;
use anyhow::{Context, Result};
use clap::Args;
use control_plane::{
    app::bootstrap::{Bootstrapped, FirstOwner, bootstrap},
    config::Config,
    kafka::KrafkaControl,
    nodes::HttpsNodes,
    store::Database,
    telemetry::logs,
};
use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, Args)]
pub struct Options {
    /// Name of the organisation
    #[arg(long, default_value = "default")]
    organisation: String,
    /// E-mail address of its owner
    #[arg(long, default_value = "owner@sluice.local")]
    email: String,
    /// File with the owner's password; without it one is generated and shown once
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Also write address and password to this file, for the owner only (0600)
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
}

pub async fn run(config: &Config, options: &Options) -> Result<()> {
    logs::start(&config.log)?;
    if let Some(owner) = &config.database.owner_url {
        Database::migrate(owner.expose()).await.context("migrations")?;
    }
    let password = match &options.password_file {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    let app = assemble::app(config, Arc::new(HttpsNodes::default()), Arc::new(KrafkaControl)).await?;
    let first = FirstOwner { organisation: options.organisation.clone(), email: options.email.clone(), password };
    let keep = |password: &str| match &options.credentials {
        Some(path) => write_private(path, &format!("email: {}\npassword: {password}\n", options.email)),
        None => Ok(()),
    };
    match bootstrap(&app, &first, keep).await? {
        Bootstrapped::Already => tracing::info!(organisation = options.organisation, "exists already: nothing to do"),
        Bootstrapped::Made { password } => {
            writeln!(std::io::stdout(), "email: {}\npassword: {password}", options.email)?;
        }
    }
    Ok(())
}

/// A file that only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}
