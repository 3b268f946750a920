//! API keys of service accounts.

use super::service_account;
use crate::{
    args::deadline,
    client::{Doc, call::Call},
    context::Context,
    error::Result,
    prompt,
    render::say,
};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use control_plane_api::auth::{ApiKey, CreateApiKey, CreatedApiKey};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keys of a service account
    List {
        /// Name or id of the service account
        account: String,
    },
    /// Make a key; it is shown this once
    Create(Create),
    /// End a key at once
    Revoke {
        /// Id of the key
        key: String,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Name or id of the service account
    account: String,
    #[arg(long, default_value = "")]
    description: String,
    /// Right that the key keeps of the account's role; repeatable; all without it
    #[arg(long = "scope", value_name = "RIGHT")]
    scopes: Vec<String>,
    /// When it ends: a time, or a length like 90d
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    expires: Option<DateTime<Utc>>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List { account } => {
            let account = service_account::find(ctx, &scope, &account).await?;
            let keys = account.keys.iter().filter_map(|key| serde_json::to_value(key).ok());
            ctx.out.list::<ApiKey>(&keys.map(Doc::new).collect::<Vec<_>>())
        }
        Command::Create(args) => {
            let account = service_account::find(ctx, &scope, &args.account).await?;
            let body = CreateApiKey { description: args.description, scopes: args.scopes, expires_at: args.expires };
            let call = Call::post(scope.path(&["service-accounts", &account.id.to_string(), "keys"]));
            let call = call.json(&body)?.keyed();
            let doc: Doc<CreatedApiKey> = ctx.client.fetch(&call).await?;
            let created = doc.typed()?;
            ctx.out.value(&doc.value, &created.secret, &format!("{}\n", created.secret))?;
            say(format!("Key {} of {}: it is not shown again.", created.key.id, account.name));
            say("Use it with SLUICE_API_KEY, or `sluice login --api-key`.");
            Ok(())
        }
        Command::Revoke { key } => {
            let accounts = service_account::all(ctx, &scope).await?;
            let owner = accounts.iter().find(|account| account.keys.iter().any(|own| own.id.to_string() == key));
            let owner = owner.ok_or_else(|| super::member::no_such("key", &key))?;
            prompt::confirm(
                &ctx.settings,
                &format!("Revoke key {key} of {}? Its users are refused at once.", owner.name),
            )?;
            ctx.client
                .send(&Call::delete(scope.path(&["service-accounts", &owner.id.to_string(), "keys", &key])))
                .await?;
            say(format!("Key {key} revoked."));
            Ok(())
        }
    }
}
