//! The command line: flags that hold everywhere, and the tree of commands.
//!
//! Owns parsing of single values. Each group of commands declares its own arguments, in [`crate::commands`].

use crate::{
    commands::{
        access, acl, api, audit, auth, bandwidth, capacity, catalog, cert, connection, docs, errors, failed_creation,
        instance, job, key, member, operator, profile, project, quota, quote, service_account, topic, user,
    },
    render::Format,
    settings::Lang,
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Parser, Subcommand, builder::Styles, builder::styling::AnsiColor};
use clap_complete::Shell;
use serde::de::DeserializeOwned;
use std::{path::PathBuf, time::Duration};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

const AFTER: &str = "\
Exit codes: 0 done, 1 fault, 2 usage, 3 not found, 4 refused, 5 sign-in or right missing, 6 quota or rate limit, \
7 job failed, 8 time limit passed, 10 service not reached, 130 interrupted.";

/// Command line of Sluice, a managed Apache Kafka cloud.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, styles = STYLES, after_help = AFTER, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// table, wide, json, yaml, csv, name or jsonpath=EXPRESSION
    #[arg(short, long, global = true, env = "SLUICE_OUTPUT", value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Project, by name or id
    #[arg(short, long, global = true, env = "SLUICE_PROJECT", value_name = "PROJECT")]
    pub project: Option<String>,
    /// Profile: an address with its sign-in and defaults
    #[arg(long, global = true, env = "SLUICE_PROFILE", value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Address of the API
    #[arg(long, global = true, env = "SLUICE_URL", value_name = "URL")]
    pub url: Option<String>,
    /// PEM file of the authority that signs the API's certificate, if it is a private one
    #[arg(long, global = true, env = "SLUICE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Language of the server's texts
    #[arg(long, global = true, env = "SLUICE_LANG", value_name = "LANG")]
    pub lang: Option<Lang>,
    /// Do not ask before something changes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Watch the job that the command starts until it ends
    #[arg(long, global = true, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Print the job that the command starts, and return
    #[arg(long, global = true)]
    pub no_wait: bool,
    /// Stop waiting after this long: 90s, 15m, 1h (the job goes on)
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// No colours (NO_COLOR does the same)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Tell each request on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Set for commands that make the profile that they name.
    #[arg(skip)]
    pub may_make_profile: bool,
}

/// How much of a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// At most so many rows
    #[arg(long, value_name = "ROWS", default_value_t = 200)]
    limit: usize,
    /// Every row, page by page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl ListArgs {
    pub fn extent(&self) -> crate::client::Extent {
        if self.all { crate::client::Extent::All } else { crate::client::Extent::AtMost(self.limit) }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in with a password or an API key
    Login(auth::Login),
    /// Sign out: end the session and forget it
    Logout,
    /// Who is signed in, and in which projects
    Whoami,
    /// Address, sign-in and health at a glance
    Status,
    /// Versions of this program and of the server
    Version,
    /// Completion script of a shell: source <(sluice completion bash)
    Completion { shell: Shell },
    /// Addresses and defaults by name
    #[command(subcommand)]
    Profile(profile::Command),
    /// Projects
    #[command(subcommand)]
    Project(project::Command),
    /// People of a project
    #[command(subcommand)]
    Member(member::Command),
    /// Accounts of programs
    #[command(subcommand)]
    ServiceAccount(service_account::Command),
    /// API keys of service accounts
    #[command(subcommand)]
    Key(key::Command),
    /// Roles and what they may do
    #[command(subcommand)]
    Role(member::RoleCommand),
    /// What can be bought, where, at which price
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Price of an instance
    Quote(quote::Quote),
    /// Kafka instances
    #[command(subcommand)]
    Instance(instance::Command),
    /// Ways in to an instance, opened and closed while traffic flows
    #[command(subcommand)]
    Access(access::Command),
    /// Kafka users of an instance
    #[command(subcommand)]
    User(user::Command),
    /// Access rules of an instance: Kafka's ACLs
    #[command(subcommand)]
    Acl(acl::Command),
    /// Topics of an instance
    #[command(subcommand)]
    Topic(topic::Command),
    /// Creations that failed; they hold nothing but their record
    #[command(subcommand)]
    FailedCreation(failed_creation::Command),
    /// What of its bandwidth an instance uses
    #[command(subcommand)]
    Bandwidth(bandwidth::Command),
    /// How full an instance is, and what happens when it is
    #[command(subcommand)]
    Capacity(capacity::Command),
    /// Connections of Kafka clients
    #[command(subcommand)]
    Connection(connection::Command),
    /// Background jobs
    #[command(subcommand)]
    Job(job::Command),
    /// Certificates
    #[command(subcommand)]
    Cert(cert::Command),
    /// Quotas of the project, and of an instance's clients
    #[command(subcommand)]
    Quota(quota::Command),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Error codes, their causes and remedies
    #[command(subcommand)]
    Errors(errors::Command),
    /// Any call of the API
    Api(api::Api),
    /// For operators of the platform
    #[command(subcommand)]
    Operator(operator::Command),
    /// Write the reference page of this command line
    #[command(hide = true)]
    Docs(docs::Docs),
}

/// One of the words of the API.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

/// Bytes a second, in powers of ten.
pub fn rate(text: &str) -> Result<u64, String> {
    let wrong = || "a number of bytes with B, kB, MB or GB: 500kB, 2MB".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit.trim().trim_end_matches("/s").to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        _ => return Err(wrong()),
    };
    Ok((number * factor).round() as u64)
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a number with s, m or h: 90s, 15m, 1h".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong)
}

/// A moment: RFC 3339, or how long ago.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    shifted(text, |length| Utc::now() - length)
}

/// A moment to come: RFC 3339, or how long from now.
pub fn deadline(text: &str) -> Result<DateTime<Utc>, String> {
    shifted(text, |length| Utc::now() + length)
}

fn shifted(text: &str, shift: impl Fn(TimeDelta) -> DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let wrong = "a time like 2026-11-21T07:00:00Z, or a length like 30m, 24h, 90d";
    let length = duration(text).map_err(|_| wrong.to_owned())?;
    TimeDelta::from_std(length).ok().filter(|length| length.num_days() < 36_500).map(shift).ok_or(wrong.to_owned())
}

/// `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is key=value")?;
    if key.is_empty() { Err("the key is empty".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    /// clap would silently keep a global flag from a command that has an argument of the same id.
    #[test]
    fn flags_that_hold_everywhere_hold_in_every_command() {
        fn walk(command: &clap::Command, globals: &[String]) {
            for child in command.get_subcommands() {
                for arg in child.get_arguments().filter(|arg| !arg.is_global_set()) {
                    assert!(!globals.contains(&arg.get_id().to_string()), "{} {}", child.get_name(), arg.get_id());
                }
                walk(child, globals);
            }
        }
        let root = Cli::command();
        let globals: Vec<_> =
            root.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().to_string()).collect();
        assert!(globals.len() > 10);
        walk(&root, &globals);
    }

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        for text in ["", "m", "1x", "-1s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
