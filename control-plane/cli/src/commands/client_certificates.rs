//! Certificates that Kafka clients may sign in with (mTLS): whose are trusted, and whom they mean.

use super::{
    access::{apply, switch_text},
    cert::upload::{asked, bytes, password, text},
};
use crate::{
    context::{Context, Scope},
    error::{Error, Result},
    render::time,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use control_plane_api::access::{Mtls, UpdateAccess, UpdateMtls};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say which certificates are trusted; what is not given stays. `sluice access set NAME --mtls on` asks clients for them
    Trust(Trust),
    /// Trust none, and ask clients for none; their connections end
    Clear {
        /// Name or id
        instance: String,
        /// Show what would be done, and who would lose a connection, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Trust {
    /// Name or id
    instance: String,
    /// PEM file with the certificates of authorities; more than once: of all these files. They are trusted instead of those before
    #[arg(long, value_name = "FILE", conflicts_with = "truststore")]
    ca: Vec<PathBuf>,
    /// Truststore with the authorities: JKS or PKCS#12
    #[arg(long, value_name = "FILE")]
    truststore: Option<PathBuf>,
    /// File whose first line is the truststore's password; - is standard input. Else SLUICE_TRUSTSTORE_PASSWORD, else asked for
    #[arg(long, value_name = "FILE", requires = "truststore")]
    truststore_password_file: Option<PathBuf>,
    /// PEM file with a list of revoked certificates; more than once: one of each authority. They count instead of those before
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// No certificate is revoked
    #[arg(long, conflicts_with = "crl")]
    no_crl: bool,
    /// What a certificate's subject becomes, as Kafka's ssl.principal.mapping.rules; DEFAULT is the whole name
    #[arg(long, value_name = "RULES")]
    rules: Option<String>,
    /// Show what would be done, and who would lose a connection, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(ctx: &Context, scope: &Scope, command: Command) -> Result<()> {
    match command {
        Command::Trust(args) => {
            let update = UpdateAccess { mtls: Some(Some(args.patch()?)), ..UpdateAccess::default() };
            apply(ctx, scope, &args.instance, &update, args.dry_run, None).await
        }
        Command::Clear { instance, dry_run } => {
            let update = UpdateAccess { mtls: Some(None), ..UpdateAccess::default() };
            apply(ctx, scope, &instance, &update, dry_run, None).await
        }
    }
}

impl Trust {
    fn patch(&self) -> Result<UpdateMtls> {
        let mut patch = UpdateMtls {
            ca_pem: joined(&self.ca)?,
            crl_pem: if self.no_crl { Some(None) } else { joined(&self.crl)? },
            principal_rules: self.rules.clone().map(Some),
            ..UpdateMtls::default()
        };
        if let Some(file) = &self.truststore {
            patch.truststore = Some(STANDARD.encode(bytes(file)?));
            let given = password(self.truststore_password_file.as_deref(), "SLUICE_TRUSTSTORE_PASSWORD")?;
            patch.truststore_password = Some(asked(given, "truststore's password", "--truststore-password-file FILE")?);
        }
        if patch == UpdateMtls::default() {
            let flags = "--ca, --truststore, --crl, --no-crl or --rules";
            return Err(Error::Usage(format!("nothing to change: give {flags}")));
        }
        Ok(patch)
    }
}

/// The files one after the other; none when there are none.
fn joined(files: &[PathBuf]) -> Result<Option<Option<String>>> {
    if files.is_empty() {
        return Ok(None);
    }
    let texts = files.iter().map(|file| text(file)).collect::<Result<Vec<_>>>()?;
    // A file need not end with its line.
    Ok(Some(Some(texts.join("\n"))))
}

/// Lines of the access that are about certificates of clients.
pub fn details(mtls: &Mtls) -> Vec<(String, String)> {
    let mut lines = vec![("mTLS".to_owned(), switch_text(mtls.enabled))];
    lines.extend(mtls.authorities.iter().map(|authority| {
        let text = format!("{}, until {}", authority.subject, time(&authority.valid_until));
        ("Clients' authority".to_owned(), text)
    }));
    lines.extend(mtls.revocation_lists.iter().map(|list| {
        let next = list.next_at.as_ref().map(|at| format!(", next due {}", time(at))).unwrap_or_default();
        ("Revoked".to_owned(), format!("{} by {}, as of {}{next}", list.revoked, list.issuer, time(&list.issued_at)))
    }));
    if mtls.enabled || !mtls.authorities.is_empty() {
        lines.push(("Certificates mean".to_owned(), mtls.principal_rules.clone()));
    }
    lines
}
