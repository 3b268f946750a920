//! Background jobs.

use crate::{
    args::{ListArgs, moment},
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    problem::plain,
    prompt,
    render::{say, table},
    resolve, watch,
};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use control_plane_api::job::{Job, RevealedResult};
use serde_json::{Map, Value};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Jobs, newest first
    List(List),
    /// One job with its steps
    Get {
        /// Id, or the name of an instance for its newest job
        job: String,
    },
    /// Follow a job to its end
    Watch {
        /// Id, or the name of an instance for its newest job
        job: String,
    },
    /// Stop a job and undo what it did
    Cancel {
        /// Id, or the name of an instance for its newest job
        job: String,
    },
    /// Run a job again from the step that failed
    Retry {
        /// Id, or the name of an instance for its newest job
        job: String,
    },
    /// Show the secrets of a job's result, such as a new user's password: once, to who started it
    Reveal {
        /// Id, or the name of an instance for its newest job
        job: String,
    },
    /// Remove the record of a job that has ended
    Delete {
        /// Id
        job: String,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// queued, running, cancelling, unwinding, succeeded, failed, cancelled, stuck; several by commas
    #[arg(long)]
    state: Option<String>,
    /// instance-create or instance-delete
    #[arg(long)]
    kind: Option<String>,
    /// Name or id of an instance
    #[arg(long)]
    instance: Option<String>,
    /// Who started it
    #[arg(long)]
    actor: Option<String>,
    /// Begun at or after: a time, or how long ago, as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<DateTime<Utc>>,
    /// Begun before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    list: ListArgs,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(args) => {
            let call = Call::get(scope.path(&["jobs"]))
                .query_some("state", args.state)
                .query_some("kind", args.kind)
                .query_some("instance", args.instance)
                .query_some("actor", args.actor)
                .query_some("from", args.from.map(stamp))
                .query_some("to", args.to.map(stamp));
            ctx.out.list(&ctx.client.list::<Job>(call, args.list.extent()).await?)
        }
        Command::Get { job } => ctx.out.one(&resolve::job(ctx, &scope, &job).await?),
        Command::Watch { job } => {
            let job = resolve::job(ctx, &scope, &job).await?.typed()?;
            let done = watch::job(ctx, &scope, &job.id.to_string()).await?;
            tell_of_secrets(&done.typed()?);
            ctx.out.one(&done)
        }
        Command::Cancel { job } => {
            let job = resolve::job(ctx, &scope, &job).await?.typed()?;
            prompt::confirm(&ctx.settings, &format!("Cancel \"{}\" and undo what it did?", job.title))?;
            let call = Call::post(scope.path(&["jobs", &job.id.to_string(), "cancel"])).keyed();
            let doc = ctx.client.fetch(&call).await?;
            finish(ctx, &scope, doc, false).await
        }
        Command::Retry { job } => {
            let job = resolve::job(ctx, &scope, &job).await?.typed()?;
            let call = Call::post(scope.path(&["jobs", &job.id.to_string(), "retry"])).keyed();
            let doc = ctx.client.fetch(&call).await?;
            finish(ctx, &scope, doc, true).await
        }
        Command::Reveal { job } => {
            let job = resolve::job(ctx, &scope, &job).await?;
            let id = job.typed()?.id.to_string();
            let secrets = reveal(ctx, &scope, &job).await?.ok_or_else(|| Error::NotFound {
                message: format!("job {id} has no secrets, or they were shown already"),
                near: Vec::new(),
            })?;
            let lines: Vec<_> = secrets.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
            ctx.out.value(&secrets.into(), &id, &table::details(&lines, ctx.out.color))
        }
        Command::Delete { job } => {
            ctx.client.send(&Call::delete(scope.path(&["jobs", &job]))).await?;
            say(format!("Record of {job} removed."));
            Ok(())
        }
    }
}

/// Those who resumed watching must still find the password.
pub fn tell_of_secrets(done: &Job) {
    if done.secrets_waiting {
        say(format!("Its result has a secret that was not shown yet: sluice job reveal {}", done.id));
    }
}

/// Watches the job that a command started, or prints it, as `--wait` says.
pub async fn finish(ctx: &Context, scope: &Scope, started: Doc<Job>, by_default: bool) -> Result<()> {
    let id = started.typed()?.id.to_string();
    if ctx.waits(by_default) {
        return ctx.out.one(&watch::job(ctx, scope, &id).await?);
    }
    ctx.out.one(&started)?;
    say(format!("Follow it: sluice job watch {id}"));
    Ok(())
}

/// Secrets of the job's result, if there are any that were not shown yet.
pub async fn reveal(ctx: &Context, scope: &Scope, job: &Doc<Job>) -> Result<Option<Map<String, Value>>> {
    let job = job.typed()?;
    if !job.secrets_waiting {
        return Ok(None);
    }
    let call = Call::post(scope.path(&["jobs", &job.id.to_string(), "reveal"])).keyed();
    let answer: Doc<RevealedResult> = ctx.client.fetch(&call).await?;
    Ok(Some(answer.typed()?.secrets))
}

pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
