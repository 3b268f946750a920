//! Signing in and out, and who is signed in where.

use crate::{
    client::{
        Doc,
        call::{Call, path},
        session,
    },
    context::Context,
    credentials::{Credentials, Secret},
    error::{Error, Result},
    prompt,
    render::{dash, duration, enum_text, say, table},
};
use chrono::Utc;
use clap::Args;
use control_plane_api::auth::{Me, RevokeRequest, TokenRequest};
use reqwest::Url;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub struct Login {
    /// E-mail address of the account; asked for without it
    #[arg(long, env = "SLUICE_EMAIL")]
    email: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Sign in with an API key of a service account: asked for unseen, or read from standard input
    #[arg(long, conflicts_with_all = ["email", "password_stdin"])]
    api_key: bool,
}

pub async fn login(ctx: &Context, args: Login) -> Result<()> {
    let secret = if args.api_key {
        let from_stdin = !prompt::somebody_is_there();
        Secret::ApiKey { api_key: prompt::secret("API key", from_stdin, "--api-key")? }
    } else {
        let email = match args.email.filter(|email| !email.is_empty()) {
            Some(email) => email,
            None if prompt::somebody_is_there() && !args.password_stdin => prompt::ask("E-mail: ")?,
            None => return Err(Error::Usage("whose password is it? name the account with --email".to_owned())),
        };
        let password = prompt::secret("password", args.password_stdin, "--password-stdin")?;
        session::grant(&ctx.client.transport, TokenRequest::Password { email, password }).await?
    };
    let token = match &secret {
        Secret::Session { access_token, .. } => access_token,
        Secret::ApiKey { api_key } => api_key,
    };
    let call = Call::get(path("v1/me"));
    let answer = ctx.client.transport.exchange(&call, Some(token)).await?;
    let doc: Doc<Me> = Doc::new(crate::client::parse(&call, &answer.body)?);
    let me = doc.typed()?;

    let store = ctx.settings.credentials();
    let lock = store.lock().await?;
    let url = session::origin(&ctx.client.transport);
    let before = store.load()?;
    store.save(&lock, Some(Credentials { url: url.clone(), secret }))?;
    let mut config = ctx.settings.config.clone();
    let profile = config.profiles.entry(ctx.settings.profile.clone()).or_default();
    profile.url = Some(url);
    if ctx.settings.ca_file.is_some() {
        profile.ca_file.clone_from(&ctx.settings.ca_file);
    }
    if ctx.settings.project.is_some() {
        profile.project.clone_from(&ctx.settings.project);
    }
    if config.current.is_none() {
        config.current = Some(ctx.settings.profile.clone());
    }
    config.save(&ctx.settings.dir)?;
    drop(lock);
    if let Some(before) = before {
        // Nobody can use the session before any more; if it cannot be ended now, it ends by its age.
        let _ = end(ctx, before).await;
    }

    let projects: Vec<_> = me.projects.iter().map(|project| project.name.as_str()).collect();
    say(format!(
        "Signed in as {} at {} (profile {}; projects: {}).",
        me.name,
        session::origin(&ctx.client.transport),
        ctx.settings.profile,
        if projects.is_empty() { dash() } else { projects.join(", ") }
    ));
    Ok(())
}

/// Ends the session at the server; an API key is only forgotten, as others may use it.
pub async fn logout(ctx: &Context) -> Result<()> {
    let store = ctx.settings.credentials();
    let lock = store.lock().await?;
    let Some(credentials) = store.load()? else {
        say("You were not signed in.");
        return Ok(());
    };
    let revoked = end(ctx, credentials).await;
    // Forgotten in any case; a server that is away ends the session when the token expires.
    store.save(&lock, None)?;
    match revoked {
        // A session that the server has already ended is what was wanted.
        Err(Error::Problem(problem)) if problem.status == 401 => {}
        other => other?,
    }
    say(format!("Signed out of profile {}.", ctx.settings.profile));
    Ok(())
}

/// Ends a session of this address.
async fn end(ctx: &Context, credentials: Credentials) -> Result<()> {
    match credentials.secret {
        Secret::Session { refresh_token, .. } if credentials.url == session::origin(&ctx.client.transport) => {
            let call = Call::post(path("v1/auth/revoke")).anonymous().json(&RevokeRequest { token: refresh_token })?;
            ctx.client.send(&call).await.map(|_| ())
        }
        _ => Ok(()),
    }
}

pub async fn whoami(ctx: &Context) -> Result<()> {
    let doc: Doc<Me> = ctx.client.fetch(&Call::get(path("v1/me"))).await?;
    let me = doc.typed()?;
    let projects: Vec<_> =
        me.projects.iter().map(|project| format!("{} ({})", project.name, enum_text(&project.role))).collect();
    let mut details = vec![
        ("Name", me.name.clone()),
        ("Kind", me.kind.clone()),
        ("Organisation", me.organisation.clone()),
        ("Role", me.role.as_ref().map_or_else(dash, enum_text)),
        ("Projects", if projects.is_empty() { dash() } else { projects.join("\n") }),
    ];
    if me.operator {
        details.push(("Operator", "yes".to_owned()));
    }
    ctx.out.value(&doc.value, &me.name, &text(ctx, details))
}

pub async fn status(ctx: &Context) -> Result<()> {
    let settings = &ctx.settings;
    let ready = ctx.client.send(&Call::get(path("readyz")).anonymous()).await;
    let health = match &ready {
        Ok(_) => "ready".to_owned(),
        Err(Error::Problem(problem)) => format!("not ready: HTTP {}", problem.status),
        Err(error) => error.to_string(),
    };
    let stored = settings.credentials().load()?;
    let (kind, left) = match stored.as_ref().map(|credentials| &credentials.secret) {
        _ if settings.bearer.is_some() => ("token of the environment", None),
        None => ("none", None),
        Some(Secret::ApiKey { .. }) => ("API key", None),
        Some(Secret::Session { expires_at, .. }) => ("session", Some((*expires_at - Utc::now()).num_seconds().max(0))),
    };
    let me: Result<Doc<Me>> = match &ready {
        Ok(_) => ctx.client.fetch(&Call::get(path("v1/me"))).await,
        Err(_) => Err(Error::SignedOut(health.clone())),
    };
    let who = me.as_ref().ok().and_then(|doc| doc.value.get("name")).cloned().unwrap_or(Value::Null);
    let value = json!({
        "profile": settings.profile, "url": settings.url.as_str(), "health": health, "signed_in_as": who,
        "credentials": kind, "project": settings.project,
    });
    let credentials = match left {
        Some(left) => format!("{kind}, renewed in {}", duration(u64::try_from(left).unwrap_or(0))),
        None => kind.to_owned(),
    };
    let details = vec![
        ("Profile", settings.profile.clone()),
        ("Address", settings.url.to_string()),
        ("Health", value["health"].as_str().unwrap_or_default().to_owned()),
        ("Signed in as", who.as_str().map_or_else(dash, str::to_owned)),
        ("Credentials", credentials),
        ("Project", settings.project.clone().unwrap_or_else(|| "the only one".to_owned())),
    ];
    ctx.out.value(&value, &settings.profile, &text(ctx, details))?;
    ready?;
    me.map(|_| ())
}

pub async fn version(ctx: &Context) -> Result<()> {
    let server = ctx.client.fetch::<Value>(&Call::get(path("version")).anonymous()).await;
    let server_version = match &server {
        Ok(doc) => doc.value.get("version").cloned().unwrap_or_else(|| doc.value.clone()),
        Err(_) => Value::Null,
    };
    let value =
        json!({ "sluice": env!("CARGO_PKG_VERSION"), "server": server_version, "url": ctx.settings.url.as_str() });
    let told = server_version.as_str().map_or_else(|| "not reached".to_owned(), str::to_owned);
    let details =
        vec![("sluice", env!("CARGO_PKG_VERSION").to_owned()), ("server", told), ("address", host(&ctx.settings.url))];
    ctx.out.value(&value, env!("CARGO_PKG_VERSION"), &text(ctx, details))
}

fn host(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn text(ctx: &Context, details: Vec<(&str, String)>) -> String {
    let details: Vec<_> = details.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
    table::details(&details, ctx.out.color)
}
