//! Who is connected to an instance, and the end of a connection.

use crate::{
    args::ListArgs,
    client::call::Call,
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::say,
    resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::client_connections::{ClientConnection, CloseConnections, CloseFilter, ClosedConnections};
use serde_json::Value;

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
    }
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
