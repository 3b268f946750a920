//! For operators of the platform: catalogue, room, what an instance may have beyond its spec, and how its nodes do.

use super::{api, connection::Chosen, instance::plan_text, metrics};
use crate::{
    client::{
        Doc,
        call::{Call, path},
    },
    context::Context,
    error::{Error, Result},
};
use clap::{Args, Subcommand};
use control_plane_api::{
    catalogue::{KafkaVersion, PutKafkaVersion, PutSpec, PutZoneRoom, Spec, ZoneRoom},
    connection_limits::PutConnectionAllowance,
    instance::Plan,
    job::Job,
};

/// How long the server is asked to hold its answer for a job's end; brokers are told within moments.
const JOB_SECONDS: u64 = 20;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Specs, those no longer sold included
    #[command(subcommand)]
    Spec(SpecCommand),
    /// Versions of Apache Kafka
    #[command(subcommand)]
    Version(VersionCommand),
    /// What each zone has and what is used of it
    Room,
    /// Say how much a zone has room for; what is taken of it stays taken
    SetRoom(SetRoom),
    /// Say how many connections an instance's tenant may allow
    SetConnections(SetConnections),
    /// What the nodes of an instance count, whosever it is
    Metrics {
        /// Id of the instance
        instance: String,
        #[command(flatten)]
        shown: metrics::Shown,
    },
}

#[derive(Debug, Args)]
pub struct SetConnections {
    /// Id of the instance
    instance: String,
    /// To all brokers together, or `default`: as many as the spec says
    #[arg(long, value_name = "N")]
    allow: Chosen,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct SetRoom {
    zone: String,
    #[arg(long, value_name = "N")]
    vcpus: u32,
    #[arg(long, value_name = "GIB")]
    memory: u32,
    #[arg(long, value_name = "GB")]
    storage: u64,
}

#[derive(Debug, Subcommand)]
pub enum SpecCommand {
    /// All specs
    List,
    /// Add, price or retire a spec; instances already sold keep their figures
    Put {
        name: String,
        /// JSON of the spec; @FILE or @- (standard input) reads it
        #[arg(short, long, value_name = "JSON")]
        data: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum VersionCommand {
    /// All versions
    List,
    /// Offer or retire a version
    Put(PutVersion),
}

#[derive(Debug, Args)]
pub struct PutVersion {
    version: String,
    /// Oldest client that it serves, as 2.1
    #[arg(long)]
    oldest_client: String,
    /// Take it when an order names no version
    #[arg(long)]
    default: bool,
    /// No longer sell it
    #[arg(long)]
    retire: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let (client, out) = (&ctx.client, &ctx.out);
    match command {
        Command::Spec(SpecCommand::List) => {
            out.list(&client.catalogue::<Spec>(&Call::get(path("operator/v1/specs"))).await?)
        }
        Command::Spec(SpecCommand::Put { name, data }) => {
            let body: PutSpec = serde_json::from_str(&api::read(&data)?)
                .map_err(|error| Error::Usage(format!("the spec given with -d: {error}")))?;
            let mut one = path("operator/v1/specs");
            one.push(name);
            out.one::<Spec>(&client.fetch(&Call::put(one).json(&body)?).await?)
        }
        Command::Version(VersionCommand::List) => {
            out.list(&client.catalogue::<KafkaVersion>(&Call::get(path("operator/v1/kafka-versions"))).await?)
        }
        Command::Version(VersionCommand::Put(args)) => {
            let mut one = path("operator/v1/kafka-versions");
            one.push(args.version);
            let body =
                PutKafkaVersion { default: args.default, oldest_client: args.oldest_client, available: !args.retire };
            out.one::<KafkaVersion>(&client.fetch(&Call::put(one).json(&body)?).await?)
        }
        Command::SetRoom(args) => {
            let mut one = path("operator/v1/zones");
            one.push(args.zone);
            let body = PutZoneRoom { vcpus: args.vcpus, memory_gib: args.memory, storage_gb: args.storage };
            out.one::<ZoneRoom>(&client.fetch(&Call::put(one).json(&body)?).await?)
        }
        Command::SetConnections(args) => {
            let mut one = path("operator/v1/instances");
            one.extend([args.instance.clone(), "connection-allowance".to_owned()]);
            let call = Call::put(one).json(&PutConnectionAllowance { connections: args.allow.0 })?;
            if args.dry_run {
                let plan: Doc<Plan> = client.fetch(&call.query("dry_run", true)).await?;
                return out.value(&plan.value, &args.instance, &plan_text(&plan.typed()?));
            }
            // The job is the tenant's, who alone can watch it.
            let call = call.header("prefer", format!("wait={JOB_SECONDS}"));
            out.one::<Job>(&client.fetch(&call).await?)
        }
        Command::Metrics { instance, shown } => {
            let mut one = path("operator/v1/instances");
            one.extend([instance, "metrics".to_owned(), "prometheus".to_owned()]);
            metrics::show(ctx, &Call::get(one), &shown).await
        }
        Command::Room => out.list(&client.catalogue::<ZoneRoom>(&Call::get(path("operator/v1/zones"))).await?),
    }
}
