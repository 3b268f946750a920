//! Projects and their quotas.

use crate::{
    args::ListArgs,
    client::{
        Doc,
        call::{Call, path},
    },
    context::Context,
    error::{Error, Result},
    prompt,
    render::say,
    resolve,
};
use clap::Subcommand;
use control_plane_api::tenancy::{CreateProject, Project, UpdateProject};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Projects that you may see
    List(ListArgs),
    /// One project
    Get {
        /// Name or id
        #[arg(value_name = "PROJECT")]
        wanted: String,
    },
    /// Make a project
    Create {
        name: String,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Change a project
    Update {
        /// Name or id
        #[arg(value_name = "PROJECT")]
        wanted: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a project that holds no instance
    Delete {
        /// Name or id
        #[arg(value_name = "PROJECT")]
        wanted: String,
    },
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let one = |id: &str| vec!["v1".to_owned(), "projects".to_owned(), id.to_owned()];
    match command {
        Command::List(list) => {
            let docs: Vec<Doc<Project>> = ctx.client.list(Call::get(path("v1/projects")), list.extent()).await?;
            ctx.out.list(&docs)
        }
        Command::Get { wanted } => {
            let project = find(ctx, &wanted).await?;
            ctx.out.one::<Project>(&ctx.client.fetch(&Call::get(one(&project.id.to_string()))).await?)
        }
        Command::Create { name, description } => {
            let call = Call::post(path("v1/projects")).json(&CreateProject { name, description })?.keyed();
            ctx.out.one::<Project>(&ctx.client.fetch(&call).await?)
        }
        Command::Update { wanted, name, description } => {
            if name.is_none() && description.is_none() {
                return Err(Error::Usage("nothing to change: give --name or --description".to_owned()));
            }
            let project = find(ctx, &wanted).await?;
            let call = Call::patch(one(&project.id.to_string())).json(&UpdateProject { name, description })?;
            ctx.out.one::<Project>(&ctx.client.fetch(&call).await?)
        }
        Command::Delete { wanted } => {
            let project = find(ctx, &wanted).await?;
            prompt::confirm_by_name(
                &ctx.settings,
                &format!("Project {} will be deleted.", project.name),
                &project.name,
            )?;
            ctx.client.send(&Call::delete(one(&project.id.to_string()))).await?;
            say(format!("Project {} deleted.", project.name));
            Ok(())
        }
    }
}

async fn find(ctx: &Context, wanted: &str) -> Result<Project> {
    let projects = ctx.projects().await?;
    resolve::by_name("project", wanted, &projects, |p| (&p.name, p.id.to_string())).cloned()
}
