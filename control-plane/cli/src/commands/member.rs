//! People of a project, and the roles that they can have.

use crate::{
    args::ListArgs,
    client::{Doc, Extent, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::{say, table},
    resolve,
};
use clap::Subcommand;
use control_plane_api::tenancy::{Member, PutMember, Role, UpdateMember};
use serde::{Deserialize as _, de::IntoDeserializer as _};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Members and their roles
    List(ListArgs),
    /// Add a person; the account is made if there is none
    Add {
        email: String,
        #[arg(long, value_parser = role)]
        role: Role,
        #[arg(long, default_value = "")]
        display_name: String,
        /// Read the first password of a new account from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give a member another role
    Update {
        /// E-mail address or id
        member: String,
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// Take a person out of the project
    Remove {
        /// E-mail address or id
        member: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Roles and what they may do
    List,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(list) => {
            let docs: Vec<Doc<Member>> = ctx.client.list(Call::get(scope.path(&["members"])), list.extent()).await?;
            ctx.out.list(&docs)
        }
        Command::Add { email, role, display_name, password_stdin } => {
            let password = match password_stdin {
                true => Some(prompt::secret("password", true, "--password-stdin")?),
                false => None,
            };
            let body = PutMember { email, role, display_name, password };
            let call = Call::post(scope.path(&["members"])).json(&body)?.keyed();
            ctx.out.one::<Member>(&ctx.client.fetch(&call).await?)
        }
        Command::Update { member, role } => {
            let member = find(ctx, &scope, &member).await?;
            let call = Call::patch(scope.path(&["members", &member.user_id.to_string()]));
            ctx.out.one::<Member>(&ctx.client.fetch(&call.json(&UpdateMember { role })?).await?)
        }
        Command::Remove { member } => {
            let member = find(ctx, &scope, &member).await?;
            prompt::confirm(&ctx.settings, &format!("Take {} out of the project?", member.email))?;
            ctx.client.send(&Call::delete(scope.path(&["members", &member.user_id.to_string()]))).await?;
            say(format!("{} is no longer a member.", member.email));
            Ok(())
        }
    }
}

async fn find(ctx: &Context, scope: &Scope, wanted: &str) -> Result<Member> {
    let docs: Vec<Doc<Member>> = ctx.client.list(Call::get(scope.path(&["members"])), Extent::All).await?;
    let members = docs.iter().map(Doc::typed).collect::<Result<Vec<_>>>()?;
    resolve::by_name("member", wanted, &members, |m| (&m.email, m.user_id.to_string())).cloned()
}

/// The roles are known to the server; what it tells of each is shown as it comes.
pub async fn run_role(ctx: &Context, command: RoleCommand) -> Result<()> {
    let RoleCommand::List = command;
    let scope = ctx.project().await?;
    let roles: Vec<Doc<Value>> = ctx.client.catalogue(&Call::get(scope.path(&["roles"]))).await?;
    let text = |role: &Value, member: &str| match &role[member] {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    };
    let lines: Vec<Vec<String>> =
        roles.iter().map(|role| vec![text(&role.value, "role"), text(&role.value, "rights")]).collect();
    let names: Vec<String> = roles.iter().map(|role| text(&role.value, "role")).collect();
    let value = Value::Array(roles.into_iter().map(|role| role.value).collect());
    ctx.out.value(&value, &names.join("\n"), &table::texts(&["ROLE", "RIGHTS"], &lines))
}

/// `owner`, `admin`, … as the API writes them.
pub fn role(text: &str) -> Result<Role, String> {
    let value: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    Role::deserialize(value)
        .map_err(|_| "one of owner, admin, operator, developer, viewer, auditor, billing".to_owned())
}

/// For commands that need a member of the list in an error.
pub fn no_such(what: &str, wanted: &str) -> Error {
    Error::NotFound { message: format!("there is no {what} {wanted:?} in the project"), near: Vec::new() }
}
