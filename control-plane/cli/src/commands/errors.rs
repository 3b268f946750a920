//! The catalogue of error codes.

use crate::{
    client::{
        Doc,
        call::{Call, path},
    },
    context::Context,
    error::Result,
};
use clap::Subcommand;
use control_plane_api::problem::ErrorDoc;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// All codes
    List,
    /// One code: its cause and its remedy
    Get { code: String },
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    match command {
        Command::List => {
            let docs: Vec<Doc<ErrorDoc>> = ctx.client.catalogue(&Call::get(path("v1/errors"))).await?;
            ctx.out.list(&docs)
        }
        Command::Get { code } => {
            let mut one = path("v1/errors");
            one.push(code);
            ctx.out.one::<ErrorDoc>(&ctx.client.fetch(&Call::get(one)).await?)
        }
    }
}
