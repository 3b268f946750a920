//! Ways in to an instance: which are open, and to whom.

use super::{client_certificates, endpoint, instance::plan_text, job};
use crate::{
    args::word,
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    render::{enum_text, table},
    resolve,
};
use clap::{Args, Subcommand, ValueEnum};
use control_plane_api::{
    access::{Access, Authorization, KeySet, SaslMechanism, TokenTrust, UpdateAccess, UpdateMtls},
    instance::Plan,
};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which ways in are open, and to which addresses
    Get {
        /// Name or id
        instance: String,
    },
    /// Open and close ways in while traffic flows: no broker restarts
    Set(Set),
    /// Which tokens users may log in with by OAUTHBEARER
    #[command(subcommand)]
    Tokens(Tokens),
    /// Which certificates clients may sign in with instead of SASL (mTLS)
    #[command(subcommand)]
    Certificates(client_certificates::Command),
    /// Clients of other networks, who come by 9011
    #[command(subcommand)]
    Endpoint(endpoint::Command),
}

#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Trust the tokens of an issuer, instead of whatever was trusted
    Trust {
        /// Name or id
        instance: String,
        /// `iss` of its tokens
        #[arg(long)]
        issuer: String,
        /// `aud` that a token must have
        #[arg(long)]
        audience: String,
        /// Claim that names the Kafka user
        #[arg(long, default_value = "sub")]
        user_claim: String,
        /// File with the issuer's public keys (JSON Web Key Set), `-` for standard input
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Trust no tokens
    Clear {
        /// Name or id
        instance: String,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id
    instance: String,
    /// 9092: private network, plaintext
    #[arg(long, value_enum)]
    plaintext: Option<Switch>,
    /// 9093: private network, SASL over TLS
    #[arg(long, value_enum)]
    sasl_ssl: Option<Switch>,
    /// 9094: public network, plaintext
    #[arg(long, value_enum)]
    public_plaintext: Option<Switch>,
    /// 9095: public network, SASL over TLS
    #[arg(long, value_enum)]
    public_sasl_ssl: Option<Switch>,
    /// 9011: from other networks, through endpoints (`sluice access endpoint`)
    #[arg(long, value_enum)]
    cross_network: Option<Switch>,
    /// What users with a password log in by on TLS ports: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN; `all` lifts it, `none` needs
    /// tokens or certificates instead
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    mechanisms: Vec<String>,
    /// Ask clients for a certificate on TLS ports (`sluice access certificates`); who has none goes on by SASL
    #[arg(long, value_enum)]
    mtls: Option<Switch>,
    /// Only these addresses and networks may connect, as 10.1.0.0/16; `any` lifts it
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    allow: Vec<String>,
    /// These addresses and networks may not connect; `none` lifts it
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    deny: Vec<String>,
    /// Make topics that clients ask for and that are missing
    #[arg(long, value_enum)]
    auto_create: Option<Switch>,
    /// Who decides what clients may do: acl lets them do what access rules allow, open everything that none denies
    #[arg(long, value_name = "open|acl", value_parser = word::<Authorization>)]
    authorization: Option<Authorization>,
    /// The same for clients without a login (9092) while authorization is acl
    #[arg(long, value_name = "open|acl", value_parser = word::<Authorization>)]
    anonymous: Option<Authorization>,
    /// Show what would be done, and who would lose what, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::Get { instance } => get(ctx, &scope, &instance).await,
        Command::Set(args) => set(ctx, &scope, args).await,
        Command::Tokens(Tokens::Trust { instance, issuer, audience, user_claim, keys, dry_run }) => {
            let trust = TokenTrust { issuer, audience, user_claim, keys: key_set(&keys)? };
            let change = UpdateAccess { oauthbearer: Some(Some(trust)), ..UpdateAccess::default() };
            apply(ctx, &scope, &instance, &change, dry_run, None).await
        }
        Command::Tokens(Tokens::Clear { instance, dry_run }) => {
            let change = UpdateAccess { oauthbearer: Some(None), ..UpdateAccess::default() };
            apply(ctx, &scope, &instance, &change, dry_run, None).await
        }
        Command::Certificates(command) => client_certificates::run(ctx, &scope, command).await,
        Command::Endpoint(command) => endpoint::run(ctx, &scope, command).await,
    }
}

pub fn switch_text(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

async fn get(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "access"]));
    let doc: Doc<Access> = ctx.client.fetch(&call).await?;
    let access = doc.typed()?;
    let list = |ips: &[String], none: &str| if ips.is_empty() { none.to_owned() } else { ips.join(", ") };
    let without_login = if access.is_open_to_anonymous() { "open" } else { "acl" };
    let mut details = vec![
        ("Plaintext (9092)".to_owned(), switch_text(access.private_plaintext)),
        ("SASL_SSL (9093)".to_owned(), switch_text(access.private_sasl_ssl)),
        ("Public plaintext (9094)".to_owned(), switch_text(access.public_plaintext)),
        ("Public SASL_SSL (9095)".to_owned(), switch_text(access.public_sasl_ssl)),
    ];
    details.extend(endpoint::details(&access));
    details.extend([
        ("Allowed".to_owned(), list(&access.allow_ips, "any address")),
        ("Denied".to_owned(), list(&access.deny_ips, "none")),
        ("Mechanisms".to_owned(), mechanisms_text(&access.mechanisms)),
        ("Tokens".to_owned(), tokens(access.oauthbearer.as_ref())),
    ]);
    details.extend(client_certificates::details(&access.mtls));
    details.extend([
        ("Authorization".to_owned(), enum_text(&access.authorization)),
        ("Without a login".to_owned(), without_login.to_owned()),
        ("Auto-create topics".to_owned(), switch_text(access.auto_create_topics)),
    ]);
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

async fn set(ctx: &Context, scope: &Scope, args: Set) -> Result<()> {
    let switch = |switch: Option<Switch>| switch.map(|switch| Some(switch == Switch::On));
    let list = |ips: Vec<String>, lifts: &str| match ips.as_slice() {
        [] => None,
        [word] if word == lifts => Some(None),
        _ => Some(Some(ips)),
    };
    let change = UpdateAccess {
        private_plaintext: switch(args.plaintext),
        private_sasl_ssl: switch(args.sasl_ssl),
        public_plaintext: switch(args.public_plaintext),
        public_sasl_ssl: switch(args.public_sasl_ssl),
        cross_network: switch(args.cross_network),
        mtls: switch(args.mtls).map(|enabled| Some(UpdateMtls { enabled: Some(enabled), ..UpdateMtls::default() })),
        allow_ips: list(args.allow, "any"),
        deny_ips: list(args.deny, "none"),
        mechanisms: mechanisms(&args.mechanisms)?,
        auto_create_topics: switch(args.auto_create),
        authorization: args.authorization.map(Some),
        anonymous: args.anonymous.map(Some),
        ..UpdateAccess::default()
    };
    if change == UpdateAccess::default() {
        let flags = "--plaintext, --sasl-ssl, --public-plaintext, --public-sasl-ssl, --cross-network, --mechanisms, \
                     --mtls, --allow, --deny, --auto-create, --authorization or --anonymous";
        return Err(Error::Usage(format!("nothing to change: give {flags}")));
    }
    apply(ctx, scope, &args.instance, &change, args.dry_run, None).await
}

fn mechanisms_text(mechanisms: &[SaslMechanism]) -> String {
    let names: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What the flag asks for, if it is given.
fn mechanisms(given: &[String]) -> Result<Option<Option<Vec<SaslMechanism>>>> {
    let named = |name: &String| {
        let found = SaslMechanism::ALL.into_iter().find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let known = mechanisms_text(&SaslMechanism::ALL);
            Error::Usage(format!("--mechanisms: {name:?} is not known; accepted: {known}, or `all` or `none` alone"))
        })
    };
    Ok(match given {
        [] => None,
        [word] if word == "all" => Some(None),
        [word] if word == "none" => Some(Some(Vec::new())),
        names => Some(Some(names.iter().map(named).collect::<Result<_>>()?)),
    })
}

fn tokens(trust: Option<&TokenTrust>) -> String {
    match trust {
        Some(trust) => format!("of {} for {}, user in {}", trust.issuer, trust.audience, trust.user_claim),
        None => "none".to_owned(),
    }
}

/// Largest key set that is read; the API takes less.
const MAX_KEY_SET: u64 = 1 << 20;

fn key_set(path: &Path) -> Result<KeySet> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_KEY_SET).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_KEY_SET).read_to_end(&mut text))
    };
    read.map_err(Error::file(path, "cannot be read"))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::Usage(format!("{} is no JSON Web Key Set: {error}", path.display())))
}

/// Makes the change, or shows what it would do; not of another version of the instance than `etag`.
pub async fn apply(
    ctx: &Context,
    scope: &Scope,
    wanted: &str,
    change: &UpdateAccess,
    dry_run: bool,
    etag: Option<&str>,
) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let mut call = Call::patch(scope.path(&["instances", &instance.id.to_string(), "access"])).json(change)?;
    if let Some(etag) = etag {
        call = call.header("if-match", etag);
    }
    if dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        return ctx.out.value(&plan.value, &instance.name, &plan_text(&plan.typed()?));
    }
    let started = ctx.client.fetch(&call.keyed()).await?;
    job::finish(ctx, scope, started, true).await
}
