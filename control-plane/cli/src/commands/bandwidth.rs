//! What of its bandwidth an instance uses.

use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::Result,
    render::{bytes, say, table},
    resolve,
};
use clap::Subcommand;
use control_plane_api::bandwidth::{Bandwidth, DirectionBandwidth};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What was bought, and what each broker takes of its share now
    Get {
        /// Name or id of the instance
        instance: String,
    },
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::Get { instance } => get(ctx, &scope, &instance).await,
    }
}

async fn get(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "bandwidth"]));
    let doc: Doc<Bandwidth> = ctx.client.fetch(&call).await?;
    let shown = doc.typed()?;
    let mut details = vec![
        ("Bought".to_owned(), format!("{}/s in each direction", bytes(shown.bought_bytes_per_second))),
        ("A broker".to_owned(), format!("{}/s in each direction", bytes(shown.share_bytes_per_second))),
    ];
    details.extend(shown.brokers.iter().map(|broker| {
        let now = format!("in {}, out {}", direction(&broker.ingress), direction(&broker.egress));
        (format!("Broker {}", broker.broker_id), now)
    }));
    shown.silent_brokers.iter().for_each(|id| say(format!("Broker {id} does not answer.")));
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

fn direction(now: &DirectionBandwidth) -> String {
    let of = match now.limit_bytes_per_second {
        Some(limit) => format!(" of {}/s", bytes(limit)),
        None => ", unlimited".to_owned(),
    };
    format!("{}/s{of}", bytes(now.bytes_per_second))
}
