//! The catalogue.

use crate::{
    client::call::{Call, path},
    context::Context,
    error::Result,
};
use clap::Subcommand;
use control_plane_api::catalogue::{DiskType, KafkaVersion, Region, Spec, Zone};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bandwidth specs with their limits and prices
    Specs,
    /// Regions and their zones
    Regions,
    /// Zones, and what is sold out there
    Zones,
    /// Versions of Apache Kafka
    Versions,
    /// Types of disks and their prices
    DiskTypes,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let (client, out) = (&ctx.client, &ctx.out);
    match command {
        Command::Specs => out.list(&client.catalogue::<Spec>(&Call::get(path("v1/specs"))).await?),
        Command::Regions => out.list(&client.catalogue::<Region>(&Call::get(path("v1/regions"))).await?),
        Command::Zones => out.list(&client.catalogue::<Zone>(&Call::get(path("v1/zones"))).await?),
        Command::Versions => out.list(&client.catalogue::<KafkaVersion>(&Call::get(path("v1/kafka-versions"))).await?),
        Command::DiskTypes => out.list(&client.catalogue::<DiskType>(&Call::get(path("v1/disk-types"))).await?),
    }
}
