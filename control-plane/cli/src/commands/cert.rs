//! Certificates: what clients must trust.

use crate::{
    client::call::Call,
    context::Context,
    error::{Error, Result},
    render::say,
    resolve,
};
use clap::{Args, Subcommand, ValueEnum};
use std::{fs, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Save the authority that signs an instance's certificates
    Truststore(Truststore),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For librdkafka, Python, Go, Node.js, Rust, OpenSSL
    Pem,
    /// PKCS#12, for Java and others
    P12,
    /// For Java
    Jks,
}

#[derive(Debug, Args)]
pub struct Truststore {
    /// Name or id of the instance
    instance: String,
    #[arg(long, value_enum, default_value_t = Format::Pem)]
    format: Format,
    /// Where to; - is standard output; NAME-truststore.FORMAT without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
}

/// Of JKS and PKCS#12 stores (product.md §5); it guards nothing, as an authority's certificate is public.
const STORE_PASSWORD: &str = "dms@kafka";

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let Command::Truststore(args) = command;
    let scope = ctx.project().await?;
    let instance = resolve::instance(ctx, &scope, &args.instance).await?.typed()?;
    let format = match args.format {
        Format::Pem => "pem",
        Format::P12 => "p12",
        Format::Jks => "jks",
    };
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "truststore"])).query("format", format);
    let bytes = ctx.client.send(&call).await?.body;
    if args.out.as_deref().is_some_and(|out| out.as_os_str() == "-") {
        return ctx.out.bytes(&bytes);
    }
    let file = args.out.unwrap_or_else(|| format!("{}-truststore.{format}", instance.name).into());
    if !args.force && file.exists() {
        return Err(Error::Usage(format!("{} is there already; --force overwrites it", file.display())));
    }
    fs::write(&file, &bytes).map_err(Error::file(&file, "cannot be written"))?;
    ctx.out.line(&file.display().to_string())?;
    if args.format != Format::Pem {
        say(format!("Its password is {STORE_PASSWORD}."));
    }
    Ok(())
}
