//! Accounts of programs.

use super::member::role;
use crate::{
    args::ListArgs,
    client::{Doc, Extent, call::Call},
    context::{Context, Scope},
    error::Result,
    prompt,
    render::say,
    resolve,
};
use clap::Subcommand;
use control_plane_api::{
    auth::{CreateServiceAccount, ServiceAccount},
    tenancy::Role,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Service accounts of the project
    List(ListArgs),
    /// One service account
    Get {
        /// Name or id
        account: String,
    },
    /// Make a service account; `sluice key create` gives it a key
    Create {
        name: String,
        #[arg(long, value_parser = role)]
        role: Role,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a service account and its keys
    Delete {
        /// Name or id
        account: String,
    },
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(list) => {
            let call = Call::get(scope.path(&["service-accounts"]));
            ctx.out.list(&ctx.client.list::<ServiceAccount>(call, list.extent()).await?)
        }
        Command::Get { account } => {
            let account = find(ctx, &scope, &account).await?;
            let call = Call::get(scope.path(&["service-accounts", &account.id.to_string()]));
            ctx.out.one::<ServiceAccount>(&ctx.client.fetch(&call).await?)
        }
        Command::Create { name, role, description } => {
            let body = CreateServiceAccount { name, role, description };
            let call = Call::post(scope.path(&["service-accounts"])).json(&body)?.keyed();
            ctx.out.one::<ServiceAccount>(&ctx.client.fetch(&call).await?)
        }
        Command::Delete { account } => {
            let account = find(ctx, &scope, &account).await?;
            let what = format!("Service account {} and its {} keys will be deleted.", account.name, account.keys.len());
            prompt::confirm_by_name(&ctx.settings, &what, &account.name)?;
            ctx.client.send(&Call::delete(scope.path(&["service-accounts", &account.id.to_string()]))).await?;
            say(format!("Service account {} deleted.", account.name));
            Ok(())
        }
    }
}

pub async fn all(ctx: &Context, scope: &Scope) -> Result<Vec<ServiceAccount>> {
    let call = Call::get(scope.path(&["service-accounts"]));
    let docs: Vec<Doc<ServiceAccount>> = ctx.client.list(call, Extent::All).await?;
    docs.iter().map(Doc::typed).collect()
}

pub async fn find(ctx: &Context, scope: &Scope, wanted: &str) -> Result<ServiceAccount> {
    let accounts = all(ctx, scope).await?;
    resolve::by_name("service account", wanted, &accounts, |a| (&a.name, a.id.to_string())).cloned()
}
