//! The audit trail.

use super::job::stamp;
use crate::{
    args::{ListArgs, moment},
    client::call::Call,
    context::Context,
    error::Result,
};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use control_plane_api::audit::AuditEvent;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who did what, newest first
    List(List),
}

#[derive(Debug, Args)]
pub struct List {
    /// user:alice@example.com, service-account:ci, platform
    #[arg(long)]
    actor: Option<String>,
    /// Operation, as create_instance
    #[arg(long)]
    action: Option<String>,
    /// Id of what it was done to
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// accepted, refused or failed
    #[arg(long)]
    result: Option<String>,
    /// At or after: a time, or how long ago, as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<DateTime<Utc>>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    list: ListArgs,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let Command::List(args) = command;
    let scope = ctx.project().await?;
    let call = Call::get(scope.path(&["audit-events"]))
        .query_some("actor", args.actor)
        .query_some("action", args.action)
        .query_some("resource_id", args.resource)
        .query_some("result", args.result)
        .query_some("from", args.from.map(stamp))
        .query_some("to", args.to.map(stamp));
    ctx.out.list(&ctx.client.list::<AuditEvent>(call, args.list.extent()).await?)
}
