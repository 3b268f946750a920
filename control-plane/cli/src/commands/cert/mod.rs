//! Certificates: what an instance shows to clients, what these must trust, and its change.

pub mod upload;

use super::{instance::plan_text, job};
use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::{enum_text, or_dash, say, table, time, time_or_dash},
    resolve,
};
use clap::{Args, Subcommand, ValueEnum};
use control_plane_api::{
    certificate::{Certificate, CertificatePlan, RotateCertificate, TrustedAuthority},
    instance::{Instance, Plan},
};
use std::{fs, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What clients are shown now, and what they must trust
    Show {
        /// Name or id of the instance
        instance: String,
    },
    /// Show clients a certificate of your own
    Upload(Box<upload::Upload>),
    /// Have the platform issue a new certificate; also the way back from an own one
    Rotate {
        /// Name or id of the instance
        instance: String,
        #[command(flatten)]
        change: Change,
    },
    /// What clients were shown before
    History {
        /// Name or id of the instance
        instance: String,
    },
    /// Save the authorities that clients of an instance must trust
    Truststore(Truststore),
}

#[derive(Debug, Args)]
pub struct Change {
    /// How long the truststore also holds the authority of the certificate that is replaced: 0 to 8760, 720 without it
    #[arg(long, value_name = "HOURS")]
    overlap_hours: Option<u32>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
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
    let scope = ctx.project().await?;
    match command {
        Command::Show { instance } => show(ctx, &scope, &instance).await,
        Command::Upload(args) => {
            let (instance, path) = of_instance(ctx, &scope, &args.instance).await?;
            let call = Call::put(path).json(&args.body()?)?;
            carry_out(ctx, &scope, &instance, call, &args.change).await
        }
        Command::Rotate { instance, change } => {
            let (instance, mut path) = of_instance(ctx, &scope, &instance).await?;
            path.push("rotate".to_owned());
            let call = Call::post(path).json(&RotateCertificate { overlap_hours: change.overlap_hours })?;
            carry_out(ctx, &scope, &instance, call, &change).await
        }
        Command::History { instance } => history(ctx, &scope, &instance).await,
        Command::Truststore(args) => truststore(ctx, &scope, args).await,
    }
}

/// The instance, and the path of its certificate.
async fn of_instance(ctx: &Context, scope: &Scope, wanted: &str) -> Result<(Instance, Vec<String>)> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let path = scope.path(&["instances", &instance.id.to_string(), "certificate"]);
    Ok((instance, path))
}

async fn show(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let (instance, path) = of_instance(ctx, scope, wanted).await?;
    let doc: Doc<Certificate> = ctx.client.fetch(&Call::get(path)).await?;
    let shown = doc.typed()?;
    let mut details = vec![
        ("Source".to_owned(), format!("{} ({})", enum_text(&shown.source), enum_text(&shown.reason))),
        ("Subject".to_owned(), shown.subject),
        ("Issuer".to_owned(), shown.issuer),
        ("Serial".to_owned(), shown.serial),
        ("SHA-256".to_owned(), shown.fingerprint_sha256),
        ("Key".to_owned(), shown.key),
        ("Names".to_owned(), shown.names.join(", ")),
        ("Valid".to_owned(), format!("{} to {}", time(&shown.valid_from), time(&shown.valid_until))),
        ("Days left".to_owned(), shown.days_left.to_string()),
        (
            "Renewed by itself".to_owned(),
            shown.renews_at.as_ref().map_or_else(|| "no: upload the next".to_owned(), time),
        ),
    ];
    if !shown.uncovered.is_empty() {
        details.push(("Not covered".to_owned(), shown.uncovered.join(", ")));
    }
    for authority in &shown.trust {
        details.push(("Clients trust".to_owned(), trusted(authority)));
    }
    // The nearest end counts; the earlier ones have come true.
    if let Some(notice) = shown.notices.last() {
        let left = match notice.days_left {
            0 => "less than a day left, or none".to_owned(),
            1 => "1 day left, or less".to_owned(),
            days => format!("{days} days left, or fewer"),
        };
        details.push(("Notice".to_owned(), format!("{left} (told {})", time(&notice.at))));
    }
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

fn trusted(authority: &TrustedAuthority) -> String {
    match &authority.trusted_until {
        None => authority.subject.clone(),
        Some(until) => format!("{}, in the truststore until {}", authority.subject, time(until)),
    }
}

async fn history(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let (instance, path) = of_instance(ctx, scope, wanted).await?;
    let doc: Doc<Certificate> = ctx.client.fetch(&Call::get(path)).await?;
    let shown = doc.typed()?;
    let row = |served: &str, reason: String, source: String, serial: &str, until: String, by: String| {
        vec![served.to_owned(), reason, source, serial.to_owned(), until, by]
    };
    let mut rows = vec![row(
        &format!("{} to now", time(&shown.created_at)),
        enum_text(&shown.reason),
        enum_text(&shown.source),
        &shown.serial,
        time_or_dash(&None),
        or_dash(&shown.created_by),
    )];
    rows.extend(shown.history.iter().map(|one| {
        row(
            &format!("{} to {}", time(&one.created_at), time(&one.replaced_at)),
            enum_text(&one.reason),
            enum_text(&one.source),
            &one.serial,
            time(&one.trusted_until),
            or_dash(&one.created_by),
        )
    }));
    let titles = ["SERVED", "REASON", "SOURCE", "SERIAL", "TRUSTED UNTIL", "BY"];
    ctx.out.value(&doc.value["history"], &instance.name, &table::texts(&titles, &rows))
}

/// Plans; asks when clients could be refused; starts the job for what was seen.
async fn carry_out(ctx: &Context, scope: &Scope, instance: &Instance, call: Call, change: &Change) -> Result<()> {
    let plan: Doc<CertificatePlan> = ctx.client.fetch(&call.clone().query("dry_run", true)).await?;
    let typed = plan.typed()?;
    if change.dry_run {
        return ctx.out.value(&plan.value, &instance.name, &text(&typed));
    }
    let warnings = typed.checks.iter().filter(|check| check.severity != "ok").map(|check| check.detail.as_str());
    let warnings = warnings.collect::<Vec<_>>().join("\n");
    if !warnings.is_empty() {
        prompt::confirm(&ctx.settings, &format!("{warnings}\nGo ahead?"))?;
    }
    let path = scope.path(&["instances", &instance.id.to_string(), "certificate"]);
    let served: Doc<Certificate> = ctx.client.fetch(&Call::get(path)).await?;
    let tag = format!("\"{}\"", served.typed()?.etag);
    let started = ctx.client.fetch(&call.header("if-match", tag).keyed()).await?;
    job::finish(ctx, scope, started, true).await
}

fn text(plan: &CertificatePlan) -> String {
    let details = [
        ("Serial".to_owned(), plan.serial.clone().unwrap_or_else(|| "when it is issued".to_owned())),
        ("Subject".to_owned(), plan.subject.clone()),
        ("Issuer".to_owned(), plan.issuer.clone()),
        ("Key".to_owned(), plan.key.clone()),
        ("Names".to_owned(), plan.names.join(", ")),
        ("Valid".to_owned(), format!("{} to {}", time(&plan.valid_from), time(&plan.valid_until))),
        ("Clients trust".to_owned(), plan.trust.iter().map(trusted).collect::<Vec<_>>().join("; ")),
    ];
    let rest = Plan {
        checks: plan.checks.clone(),
        changes: plan.changes.clone(),
        steps: plan.steps.clone(),
        price: None,
        eta_seconds: Some(plan.eta_seconds),
    };
    format!("{}{}", table::details(&details, false), plan_text(&rest))
}

async fn truststore(ctx: &Context, scope: &Scope, args: Truststore) -> Result<()> {
    let instance = resolve::instance(ctx, scope, &args.instance).await?.typed()?;
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
