//! How full an instance is, and what happens when it is.

use super::{instance::plan_text, job};
use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    render::{bytes, duration, enum_text, say, table, time},
    resolve,
};
use clap::{Args, Subcommand, ValueEnum};
use control_plane_api::{
    capacity::{BrokerCapacity, Capacity, CapacityNotice, CapacityState, UpdateCapacity},
    instance::{CapacityPolicy, Plan},
};

/// All are in `-o json`.
const NOTICES_SHOWN: usize = 5;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The policy, and how full each broker is
    Get {
        /// Name or id of the instance
        instance: String,
    },
    /// Change what happens when the disk is full, while traffic flows
    Set(Set),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenFull {
    /// The oldest tenth is dropped, and producing goes on
    AutoDelete,
    /// Producers are refused, and reading goes on
    ProduceLimited,
}

impl From<WhenFull> for CapacityPolicy {
    fn from(policy: WhenFull) -> Self {
        match policy {
            WhenFull::AutoDelete => Self::AutoDelete,
            WhenFull::ProduceLimited => Self::ProduceLimited,
        }
    }
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the instance
    instance: String,
    /// What happens at the threshold
    #[arg(long, value_enum)]
    policy: Option<WhenFull>,
    /// Percent of the disk that was bought, 1 to 98
    #[arg(long, value_name = "PERCENT")]
    threshold: Option<u8>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::Get { instance } => get(ctx, &scope, &instance).await,
        Command::Set(args) => set(ctx, &scope, args).await,
    }
}

async fn get(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "capacity"]));
    let doc: Doc<Capacity> = ctx.client.fetch(&call).await?;
    let shown = doc.typed()?;
    let mut details =
        vec![("When full".to_owned(), format!("{} at {} %", enum_text(&shown.policy), shown.threshold_percent))];
    if let Some(percent) = shown.used_percent {
        details.push(("Fullest".to_owned(), format!("{percent} %")));
    }
    if let Some(seconds) = shown.full_in_seconds {
        details.push(("Full in".to_owned(), duration(seconds)));
    }
    details.extend(shown.brokers.iter().map(|one| (format!("Broker {}", one.broker_id), broker(one))));
    details.extend(shown.notices.iter().take(NOTICES_SHOWN).map(|one| ("Notice".to_owned(), notice(one))));
    shown.silent_brokers.iter().for_each(|id| say(format!("Broker {id} does not answer.")));
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

fn notice(one: &CapacityNotice) -> String {
    let soon = one.full_in_seconds.map(|seconds| format!(", full in {}", duration(seconds))).unwrap_or_default();
    let CapacityNotice { level, broker_id, used_percent, .. } = one;
    format!("{}: {}, broker {broker_id} at {used_percent} %{soon}", time(&one.at), enum_text(level))
}

fn broker(one: &BrokerCapacity) -> String {
    let room = format!("{} of {}", bytes(one.used_bytes), bytes(one.disk_bytes));
    match one.state {
        CapacityState::Normal => room,
        state => format!("{room}, {} since {}: {}", enum_text(&state), time(&one.since), one.reason),
    }
}

async fn set(ctx: &Context, scope: &Scope, args: Set) -> Result<()> {
    let change = UpdateCapacity { policy: args.policy.map(Into::into), threshold_percent: args.threshold.map(Some) };
    if change.policy.is_none() && change.threshold_percent.is_none() {
        return Err(Error::Usage("nothing to change: give --policy or --threshold".to_owned()));
    }
    let instance = resolve::instance(ctx, scope, &args.instance).await?.typed()?;
    let call = Call::patch(scope.path(&["instances", &instance.id.to_string(), "capacity"])).json(&change)?;
    if args.dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        return ctx.out.value(&plan.value, &instance.name, &plan_text(&plan.typed()?));
    }
    let started = ctx.client.fetch(&call.keyed()).await?;
    job::finish(ctx, scope, started, true).await
}
