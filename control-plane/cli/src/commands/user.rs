//! Kafka users of an instance.

use super::{instance::plan_text, job, rights};
use crate::{
    args::ListArgs,
    client::{Doc, Extent, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    problem::plain,
    prompt,
    render::{say, table},
    resolve, watch,
};
use clap::{Args, Subcommand};
use control_plane_api::{
    instance::{Instance, Plan},
    job::Job,
    kafka_user::{CreateKafkaUser, KafkaUser, ResetKafkaUserPassword, UpdateKafkaUser},
};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Kafka users of an instance
    List {
        /// Name or id of the instance
        instance: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// One Kafka user
    Get(Named),
    /// Make a user; a password that is not given is made, and shown once
    Create {
        #[command(flatten)]
        change: Change,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Refuse a user and close its connections; it keeps its password
    Disable(Change),
    /// Let a disabled user in again
    Enable(Change),
    /// Give a user another password and close its connections
    ResetPassword {
        #[command(flatten)]
        change: Change,
        /// Read the password from standard input; without it one is made, and shown once
        #[arg(long)]
        password_stdin: bool,
    },
    /// Delete a user and close its connections
    Delete(Change),
    /// What a user may do
    Rights(Named),
    /// Let a user do more: with topics, groups, transactional ids
    Grant {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        what: rights::What,
    },
    /// Let a user do less
    Revoke {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        what: rights::What,
        /// Everything that the user has
        #[arg(long, conflicts_with_all = ["topic", "group", "transactional_id"])]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the instance
    instance: String,
    /// Name of the Kafka user
    user: String,
}

#[derive(Debug, Args)]
pub struct Change {
    #[command(flatten)]
    of: Named,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List { instance, list } => {
            let users = of_instance(&resolve::instance(ctx, &scope, &instance).await?.typed()?, &scope);
            ctx.out.list(&ctx.client.list::<KafkaUser>(Call::get(users), list.extent()).await?)
        }
        Command::Get(Named { instance, user }) => {
            let users = of_instance(&resolve::instance(ctx, &scope, &instance).await?.typed()?, &scope);
            ctx.out.one(&find(ctx, users, &user).await?)
        }
        Command::Create { change, password_stdin } => {
            let users = of_instance(&resolve::instance(ctx, &scope, &change.of.instance).await?.typed()?, &scope);
            let body = CreateKafkaUser { name: change.of.user.clone(), password: password(password_stdin)? };
            carry_out(ctx, &scope, &change, Call::post(users).json(&body)?, "").await
        }
        Command::Disable(change) => {
            let what = format!("User {} will be refused and its connections closed.", change.of.user);
            let path = user_path(ctx, &scope, &change.of).await?;
            carry_out(ctx, &scope, &change, Call::patch(path).json(&UpdateKafkaUser { disabled: true })?, &what).await
        }
        Command::Enable(change) => {
            let path = user_path(ctx, &scope, &change.of).await?;
            carry_out(ctx, &scope, &change, Call::patch(path).json(&UpdateKafkaUser { disabled: false })?, "").await
        }
        Command::ResetPassword { change, password_stdin } => {
            let what = format!("The password of {} will be refused and its connections closed.", change.of.user);
            let mut path = user_path(ctx, &scope, &change.of).await?;
            path.push("reset-password".to_owned());
            let body = ResetKafkaUserPassword { password: password(password_stdin)? };
            carry_out(ctx, &scope, &change, Call::post(path).json(&body)?, &what).await
        }
        Command::Delete(change) => {
            let what = format!("User {} will be deleted and its connections closed.", change.of.user);
            let path = user_path(ctx, &scope, &change.of).await?;
            carry_out(ctx, &scope, &change, Call::delete(path), &what).await
        }
        Command::Rights(of) => rights::show(ctx, rights_path(ctx, &scope, &of).await?).await,
        Command::Grant { of, what } => {
            let path = rights_path(ctx, &scope, &of).await?;
            rights::grant(ctx, &scope, &of.user, path, what).await
        }
        Command::Revoke { of, what, all } => {
            let path = rights_path(ctx, &scope, &of).await?;
            rights::revoke(ctx, &scope, &of.user, path, what, all).await
        }
    }
}

fn of_instance(instance: &Instance, scope: &Scope) -> Vec<String> {
    scope.path(&["instances", &instance.id.to_string(), "users"])
}

async fn user_path(ctx: &Context, scope: &Scope, of: &Named) -> Result<Vec<String>> {
    let mut users = of_instance(&resolve::instance(ctx, scope, &of.instance).await?.typed()?, scope);
    find(ctx, users.clone(), &of.user).await?;
    users.push(of.user.clone());
    Ok(users)
}

async fn rights_path(ctx: &Context, scope: &Scope, of: &Named) -> Result<Vec<String>> {
    let mut path = user_path(ctx, scope, of).await?;
    path.push("rights".to_owned());
    Ok(path)
}

/// The user; one that is not there is answered with what looks like it.
async fn find(ctx: &Context, users: Vec<String>, wanted: &str) -> Result<Doc<KafkaUser>> {
    let mut path = users.clone();
    path.push(wanted.to_owned());
    match ctx.client.fetch(&Call::get(path)).await {
        Err(Error::Problem(problem)) if problem.status == 404 => {
            let all: Vec<Doc<KafkaUser>> = ctx.client.list(Call::get(users), Extent::All).await?;
            let all = all.iter().map(Doc::typed).collect::<Result<Vec<_>>>()?;
            match resolve::by_name("Kafka user", wanted, &all, |user| (&user.name, user.name.clone())) {
                Err(error) => Err(error),
                Ok(_) => Err(Error::Problem(problem)),
            }
        }
        other => other,
    }
}

fn password(from_stdin: bool) -> Result<Option<String>> {
    from_stdin.then(|| prompt::secret("Kafka user's password", true, "--password-stdin")).transpose()
}

/// Plans or starts the change, and shows a password that was made. `loss`: what is asked about before.
async fn carry_out(ctx: &Context, scope: &Scope, change: &Change, call: Call, loss: &str) -> Result<()> {
    let user = &change.of.user;
    if change.dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        return ctx.out.value(&plan.value, user, &plan_text(&plan.typed()?));
    }
    if !loss.is_empty() {
        prompt::confirm(&ctx.settings, loss)?;
    }
    let started: Doc<Job> = ctx.client.fetch(&call.keyed()).await?;
    let id = started.typed()?.id;
    if !ctx.waits(true) {
        ctx.out.one(&started)?;
        say(format!("Follow it: sluice job watch {id}"));
        return Ok(());
    }
    let done = watch::job(ctx, scope, &id.to_string()).await?;
    let secrets = match job::reveal(ctx, scope, &done).await {
        Ok(secrets) => secrets,
        // The change stands; the password can still be had.
        Err(error) => {
            error.lines().iter().for_each(say);
            say(format!("The password was not shown: sluice job reveal {id}"));
            None
        }
    };
    let Some(secrets) = secrets else { return ctx.out.one(&done) };
    let mut details = vec![("Kafka user".to_owned(), user.clone())];
    for (name, secret) in &secrets {
        let label = if name == "password" { "Password" } else { name };
        details.push((label.to_owned(), plain(secret)));
    }
    let value = json!({ "user": user, "job": done.value, "secrets": secrets });
    ctx.out.value(&value, user, &table::details(&details, ctx.out.color))?;
    say("\nThe password is shown this once.");
    Ok(())
}
