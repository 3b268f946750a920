//! Who is connected to an instance, how many may be, and the end of a connection.

use super::{instance::plan_text, job};
use crate::{
    args::ListArgs,
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::{say, table},
    resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::{
    client_connections::{ClientConnection, CloseConnections, CloseFilter, ClosedConnections},
    connection_limits::{ConnectionLimits, UpdateConnectionLimits},
    instance::Plan,
};
use serde_json::Value;
use std::str::FromStr;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connections of clients to all brokers
    List {
        /// Name or id of the instance
        instance: String,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        list: ListArgs,
    },
    /// End connections, by id or all that fit; clients may come back
    Kick {
        /// Name or id of the instance
        instance: String,
        /// Ids of connections
        #[arg(conflicts_with_all = ["ip", "user", "client_id", "broker"])]
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
    },
    /// How many may be connected, and how many are
    Limits {
        /// Name or id of the instance
        instance: String,
    },
    /// Change how many may be connected, while traffic flows
    SetLimits(SetLimits),
}

#[derive(Debug, Args)]
pub struct SetLimits {
    /// Name or id of the instance
    instance: String,
    /// To all brokers together, or `default`: as many as are allowed
    #[arg(long, value_name = "N")]
    total: Option<Chosen>,
    /// Of one client IP to one broker, or `default`: 200
    #[arg(long, value_name = "N")]
    per_ip: Option<Chosen>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// A number, or `default`.
#[derive(Debug, Clone, Copy)]
pub struct Chosen(pub Option<u32>);

impl FromStr for Chosen {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "default" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))).map_err(|_| "a number or `default` is expected"),
        }
    }
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Address of the client
    #[arg(long)]
    ip: Option<String>,
    /// Kafka user; ANONYMOUS on plaintext ports
    #[arg(long)]
    user: Option<String>,
    /// As the client names itself
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Id of a broker
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List { instance, filter, list } => {
            let mut silent = Vec::new();
            let call = Call::get(path(ctx, &scope, &instance, &["connections"]).await?)
                .query_some("ip", filter.ip)
                .query_some("user", filter.user)
                .query_some("client_id", filter.client_id)
                .query_some("broker_id", filter.broker);
            let extent = list.extent();
            let docs =
                ctx.client.list_watching::<ClientConnection>(call, extent, |page| note(page, &mut silent)).await?;
            tell_silent(&silent);
            ctx.out.list(&docs)
        }
        Command::Kick { instance, ids, filter: Filter { ip, user, client_id, broker } } => {
            let request = match (ids.is_empty(), &ip, &user, &client_id) {
                (false, ..) => CloseConnections { ids: Some(ids), filter: None },
                (true, None, None, None) => {
                    return Err(Error::Usage("name ids, or give --ip, --user or --client-id".to_owned()));
                }
                (true, ..) => {
                    let filter = CloseFilter { ip, user, client_id, broker_id: broker };
                    CloseConnections { ids: None, filter: Some(filter) }
                }
            };
            let path = path(ctx, &scope, &instance, &["connections", "close"]).await?;
            let what = match &request.ids {
                Some(ids) => format!("End {} connection(s)?", ids.len()),
                None => "End all connections that fit?".to_owned(),
            };
            prompt::confirm(&ctx.settings, &what)?;
            let answer = ctx.client.fetch::<ClosedConnections>(&Call::post(path).json(&request)?).await?;
            let ClosedConnections { closed, silent_brokers } = answer.typed()?;
            tell_silent(&silent_brokers);
            ctx.out.value(&answer.value, &closed.to_string(), &format!("{closed} connection(s) ended.\n"))
        }
        Command::Limits { instance } => limits(ctx, &scope, &instance).await,
        Command::SetLimits(args) => set_limits(ctx, &scope, args).await,
    }
}

async fn limits(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let call = Call::get(path(ctx, scope, wanted, &["connection-limits"]).await?);
    let doc: Doc<ConnectionLimits> = ctx.client.fetch(&call).await?;
    let shown = doc.typed()?;
    let mut details = vec![
        ("Connections".to_owned(), format!("{} of {} ({} are allowed)", shown.used, shown.total, shown.allowed)),
        ("For one IP".to_owned(), format!("{} on a broker", shown.per_ip)),
    ];
    details.extend(shown.brokers.iter().map(|one| (format!("Broker {}", one.broker_id), one.used.to_string())));
    tell_silent(&shown.silent_brokers);
    ctx.out.value(&doc.value, &shown.used.to_string(), &table::details(&details, ctx.out.color))
}

async fn set_limits(ctx: &Context, scope: &Scope, args: SetLimits) -> Result<()> {
    let chosen = |given: Option<Chosen>| given.map(|Chosen(limit)| limit);
    let change = UpdateConnectionLimits { total: chosen(args.total), per_ip: chosen(args.per_ip) };
    if change.total.is_none() && change.per_ip.is_none() {
        return Err(Error::Usage("nothing to change: give --total or --per-ip".to_owned()));
    }
    let call = Call::patch(path(ctx, scope, &args.instance, &["connection-limits"]).await?).json(&change)?;
    if args.dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        return ctx.out.value(&plan.value, &args.instance, &plan_text(&plan.typed()?));
    }
    let started = ctx.client.fetch(&call.keyed()).await?;
    job::finish(ctx, scope, started, true).await
}

async fn path(ctx: &Context, scope: &Scope, instance: &str, rest: &[&str]) -> Result<Vec<String>> {
    let id = resolve::instance(ctx, scope, instance).await?.typed()?.id.to_string();
    Ok(scope.path(&[&["instances", &id], rest].concat()))
}

/// Brokers that a page names as silent.
fn note(page: &Value, silent: &mut Vec<i32>) {
    let named: Vec<i32> = serde_json::from_value(page["silent_brokers"].clone()).unwrap_or_default();
    silent.extend(named);
    silent.sort_unstable();
    silent.dedup();
}

fn tell_silent(brokers: &[i32]) {
    brokers.iter().for_each(|id| say(format!("Broker {id} does not answer: its connections are left out.")));
}
