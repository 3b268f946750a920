//! For operators of the platform: catalogue and room.

use super::api;
use crate::{
    client::call::{Call, path},
    context::Context,
    error::{Error, Result},
};
use clap::{Args, Subcommand};
use control_plane_api::catalogue::{KafkaVersion, PutKafkaVersion, PutSpec, PutZoneRoom, Spec, ZoneRoom};

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
        Command::Room => out.list(&client.catalogue::<ZoneRoom>(&Call::get(path("operator/v1/zones"))).await?),
    }
}
