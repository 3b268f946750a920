//! Background jobs.

use crate::{
    args::{ListArgs, moment},
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::Result,
    prompt,
    render::say,
    resolve, watch,
};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use control_plane_api::job::Job;

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
            ctx.out.one(&watch::job(ctx, &scope, &job.id.to_string()).await?)
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
        Command::Delete { job } => {
            ctx.client.send(&Call::delete(scope.path(&["jobs", &job]))).await?;
            say(format!("Record of {job} removed."));
            Ok(())
        }
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

pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
