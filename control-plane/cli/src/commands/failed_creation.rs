//! Creations that failed.

use crate::{
    args::ListArgs,
    client::{Doc, Extent, call::Call},
    context::Context,
    error::{Error, Result},
    prompt,
    render::say,
    resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::instance::FailedCreation;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Failed creations and their causes
    List(ListArgs),
    /// Remove the record of one, or of all
    Delete(Delete),
}

#[derive(Debug, Args)]
pub struct Delete {
    /// Name or id
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// All of the project
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    let list = Call::get(scope.path(&["failed-creations"]));
    match command {
        Command::List(args) => ctx.out.list(&ctx.client.list::<FailedCreation>(list, args.extent()).await?),
        Command::Delete(Delete { name: Some(name), .. }) => {
            let docs: Vec<Doc<FailedCreation>> = ctx.client.list(list, Extent::All).await?;
            let failed = docs.iter().map(Doc::typed).collect::<Result<Vec<_>>>()?;
            let one = resolve::by_name("failed creation", &name, &failed, |f| (&f.name, f.id.to_string()))?;
            ctx.client.send(&Call::delete(scope.path(&["failed-creations", &one.id.to_string()]))).await?;
            say(format!("Record of {} removed.", one.name));
            Ok(())
        }
        Command::Delete(Delete { all: true, .. }) => {
            prompt::confirm(&ctx.settings, "Remove the records of all failed creations of the project?")?;
            ctx.client.send(&Call::delete(scope.path(&["failed-creations"]))).await?;
            say("All records of failed creations removed.");
            Ok(())
        }
        Command::Delete(_) => Err(Error::Usage("name one, or give --all".to_owned())),
    }
}
