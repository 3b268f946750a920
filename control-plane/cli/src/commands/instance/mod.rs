//! Kafka instances.

mod connect;
mod create;

pub use create::plan_text;

use super::{job, metrics};
use crate::{
    args::{ListArgs, moment, pair},
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::{say, table},
    resolve, watch,
};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use control_plane_api::{
    instance::{Instance, Plan, UpdateInstance},
    usage::Usage,
};
use std::collections::BTreeMap;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Instances of the project
    List(List),
    /// One instance: state, addresses, brokers
    Get {
        /// Name or id
        instance: String,
    },
    /// Buy an instance: price, confirmation, then the job live
    Create(create::Create),
    /// Change name, description or labels
    Update(Update),
    /// Delete an instance and all its data
    Delete {
        /// Name or id
        instance: String,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Follow the job that changes the instance now
    Watch {
        /// Name or id
        instance: String,
    },
    /// Addresses, protocol and what to trust
    Connect {
        /// Name or id
        instance: String,
    },
    /// How much it uses of what it was sold with
    Usage {
        /// Name or id
        instance: String,
    },
    /// What its brokers count: refused connections and requests, logins, bytes, waits
    Metrics {
        /// Name or id
        instance: String,
        #[command(flatten)]
        shown: metrics::Shown,
    },
    /// Code that connects and runs as printed
    Snippet(connect::Snippet),
    /// Protect an instance from deletion
    Protect {
        /// Name or id
        instance: String,
        /// Lift the protection
        #[arg(long)]
        off: bool,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// running, creating, faulty and so on; several by commas
    #[arg(long)]
    state: Option<String>,
    #[arg(long)]
    name: Option<String>,
    /// A bootstrap address, or part of one
    #[arg(long)]
    address: Option<String>,
    #[arg(long)]
    spec: Option<String>,
    #[arg(long)]
    zone: Option<String>,
    /// KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Option<(String, String)>,
    /// Contained in name, id or description
    #[arg(short, long, value_name = "TEXT")]
    query: Option<String>,
    /// name, -name, created_at or -created_at
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// A time, or how long ago, as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_after: Option<DateTime<Utc>>,
    /// A time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<DateTime<Utc>>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Name or id
    instance: String,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// Set a label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Remove a label; repeatable
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(args) => list(ctx, &scope, args).await,
        Command::Get { instance } => ctx.out.one(&resolve::instance(ctx, &scope, &instance).await?),
        Command::Create(args) => create::run(ctx, &scope, args).await,
        Command::Update(args) => update(ctx, &scope, args).await,
        Command::Delete { instance, dry_run } => delete(ctx, &scope, &instance, dry_run).await,
        Command::Watch { instance } => watch(ctx, &scope, &instance).await,
        Command::Connect { instance } => connect::connect(ctx, &scope, &instance).await,
        Command::Usage { instance } => usage(ctx, &scope, &instance).await,
        Command::Metrics { instance, shown } => {
            let instance = resolve::instance(ctx, &scope, &instance).await?.typed()?;
            let path = scope.path(&["instances", &instance.id.to_string(), "metrics", "prometheus"]);
            metrics::show(ctx, &Call::get(path), &shown).await
        }
        Command::Snippet(args) => connect::snippet(ctx, &scope, args).await,
        Command::Protect { instance, off } => {
            let change = UpdateInstance { deletion_protection: Some(!off), ..UpdateInstance::default() };
            let doc = patch(ctx, &scope, &instance, &change).await?;
            say(if off { "Protection lifted." } else { "Protected: `delete` is refused until `protect --off`." });
            ctx.out.one(&doc)
        }
    }
}

async fn usage(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "usage"]));
    let doc: Doc<Usage> = ctx.client.fetch(&call).await?;
    let Usage { partitions, groups, connections } = doc.typed()?;
    let groups = groups.map_or("can't be told now".to_owned(), |groups| format!("{} of {}", groups.used, groups.limit));
    let details = [
        ("Partitions".to_owned(), format!("{} of {}", partitions.used, partitions.limit)),
        ("Consumer groups".to_owned(), groups),
        ("Connections".to_owned(), format!("{} of {}", connections.used, connections.limit)),
    ];
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

async fn list(ctx: &Context, scope: &Scope, args: List) -> Result<()> {
    let call = Call::get(scope.path(&["instances"]))
        .query_some("state", args.state)
        .query_some("name", args.name)
        .query_some("address", args.address)
        .query_some("spec", args.spec)
        .query_some("zone", args.zone)
        .query_some("label", args.label.map(|(key, value)| format!("{key}:{value}")))
        .query_some("q", args.query)
        .query_some("sort", args.sort)
        .query_some("created_after", args.created_after.map(job::stamp))
        .query_some("created_before", args.created_before.map(job::stamp));
    ctx.out.list(&ctx.client.list::<Instance>(call, args.list.extent()).await?)
}

async fn update(ctx: &Context, scope: &Scope, args: Update) -> Result<()> {
    let mut labels: BTreeMap<String, Option<String>> =
        args.labels.into_iter().map(|(key, value)| (key, Some(value))).collect();
    labels.extend(args.remove_labels.into_iter().map(|key| (key, None)));
    let change = UpdateInstance {
        name: args.name,
        description: args.description,
        labels: (!labels.is_empty()).then_some(Some(labels)),
        deletion_protection: None,
    };
    if change.name.is_none() && change.description.is_none() && change.labels.is_none() {
        return Err(Error::Usage(
            "nothing to change: give --name, --description, --label or --remove-label".to_owned(),
        ));
    }
    ctx.out.one(&patch(ctx, scope, &args.instance, &change).await?)
}

async fn patch(ctx: &Context, scope: &Scope, wanted: &str, change: &UpdateInstance) -> Result<Doc<Instance>> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::patch(scope.path(&["instances", &instance.id.to_string()])).json(change)?;
    ctx.client.fetch(&call).await
}

async fn delete(ctx: &Context, scope: &Scope, wanted: &str, dry_run: bool) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::delete(scope.path(&["instances", &instance.id.to_string()]));
    if dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        return ctx.out.value(&plan.value, &instance.name, &plan_text(&plan.typed()?));
    }
    let what = format!(
        "Instance {} ({}, {}) and all its data will be deleted. There is no backup.",
        instance.name, instance.id, instance.spec.name
    );
    prompt::confirm_by_name(&ctx.settings, &what, &instance.name)?;
    let started = ctx.client.fetch(&call.keyed()).await?;
    job::finish(ctx, scope, started, true).await
}

async fn watch(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let doc = resolve::instance(ctx, scope, wanted).await?;
    let instance = doc.typed()?;
    match instance.active_job_id {
        Some(id) => {
            let job = watch::job(ctx, scope, &id.to_string()).await?;
            job::tell_of_secrets(&job.typed()?);
            ctx.out.one(&resolve_again(ctx, scope, &instance, job).await?)
        }
        None => {
            say("No job changes it now.");
            ctx.out.one(&doc)
        }
    }
}

/// The instance after the job; when the job deleted it, as it was before.
async fn resolve_again(
    ctx: &Context,
    scope: &Scope,
    before: &Instance,
    job: Doc<control_plane_api::job::Job>,
) -> Result<Doc<Instance>> {
    match resolve::instance(ctx, scope, &before.id.to_string()).await {
        Err(Error::Problem(problem)) if problem.status == 404 => Err(Error::NotFound {
            message: format!("{}: done, and the instance is gone", job.typed()?.title),
            near: Vec::new(),
        }),
        other => other,
    }
}
