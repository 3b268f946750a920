//! One module a group of commands: its arguments, and what each does.
//!
//! A command resolves names, makes calls, prints. It owns no HTTP and no format.

pub mod access;
pub mod acl;
pub mod api;
pub mod audit;
pub mod auth;
pub mod bandwidth;
pub mod capacity;
pub mod catalog;
pub mod cert;
pub mod client_certificates;
pub mod connection;
pub mod docs;
pub mod endpoint;
pub mod errors;
pub mod failed_creation;
pub mod instance;
pub mod job;
pub mod key;
pub mod member;
pub mod metrics;
pub mod operator;
pub mod profile;
pub mod project;
pub mod quota;
pub mod quote;
pub mod rights;
pub mod service_account;
pub mod topic;
pub mod user;

use crate::{
    args::{Cli, Command},
    context::Context,
    error::Result,
    settings::Settings,
};

pub async fn run(mut cli: Cli) -> Result<()> {
    // These need neither a profile nor a server.
    match &cli.command {
        Command::Completion { shell } => return docs::completion(*shell),
        Command::Docs(args) => return docs::run(args),
        _ => {}
    }
    cli.global.may_make_profile = matches!(cli.command, Command::Login(_) | Command::Profile(_));
    let ctx = Context::new(Settings::resolve(&cli.global)?)?;
    match cli.command {
        Command::Login(args) => auth::login(&ctx, args).await,
        Command::Logout => auth::logout(&ctx).await,
        Command::Whoami => auth::whoami(&ctx).await,
        Command::Status => auth::status(&ctx).await,
        Command::Version => auth::version(&ctx).await,
        Command::Profile(command) => profile::run(&ctx, &cli.global, command),
        Command::Project(command) => project::run(&ctx, command).await,
        Command::Member(command) => member::run(&ctx, command).await,
        Command::ServiceAccount(command) => service_account::run(&ctx, command).await,
        Command::Key(command) => key::run(&ctx, command).await,
        Command::Role(command) => member::run_role(&ctx, command).await,
        Command::Catalog(command) => catalog::run(&ctx, command).await,
        Command::Quote(args) => quote::run(&ctx, args).await,
        Command::Instance(command) => instance::run(&ctx, command).await,
        Command::Access(command) => access::run(&ctx, command).await,
        Command::User(command) => user::run(&ctx, command).await,
        Command::Acl(command) => acl::run(&ctx, command).await,
        Command::Topic(command) => topic::run(&ctx, command).await,
        Command::FailedCreation(command) => failed_creation::run(&ctx, command).await,
        Command::Bandwidth(command) => bandwidth::run(&ctx, command).await,
        Command::Capacity(command) => capacity::run(&ctx, command).await,
        Command::Connection(command) => connection::run(&ctx, command).await,
        Command::Job(command) => job::run(&ctx, command).await,
        Command::Cert(command) => cert::run(&ctx, command).await,
        Command::Quota(command) => quota::run(&ctx, command).await,
        Command::Audit(command) => audit::run(&ctx, command).await,
        Command::Errors(command) => errors::run(&ctx, command).await,
        Command::Api(args) => api::run(&ctx, args).await,
        Command::Operator(command) => operator::run(&ctx, command).await,
        Command::Completion { .. } | Command::Docs(_) => Ok(()),
    }
}
