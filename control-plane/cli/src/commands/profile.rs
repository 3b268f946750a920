//! Profiles: addresses and defaults by name.

use crate::{
    args::Global,
    config::Profile,
    context::Context,
    error::{Error, Result},
    render::{dash, say, table},
    resolve, settings,
};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Profiles; the one in use has a star
    List,
    /// Use a profile from now on
    Use { name: String },
    /// Make a profile from --url, --project, --output, --lang, --ca-file
    Create {
        name: String,
        /// Use it from now on
        #[arg(long = "use")]
        and_use: bool,
    },
    /// Change a profile by the same flags; --unset clears a value
    Edit(Edit),
    /// Forget a profile; `logout` first to end its session
    Delete { name: String },
}

#[derive(Debug, Args)]
pub struct Edit {
    /// The one in use, if not named
    name: Option<String>,
    /// url, project, output, lang or ca-file; repeatable
    #[arg(long, value_name = "KEY", value_parser = ["url", "project", "output", "lang", "ca-file"])]
    unset: Vec<String>,
}

pub fn run(ctx: &Context, global: &Global, command: Command) -> Result<()> {
    let mut config = ctx.settings.config.clone();
    let known = |name: &str| {
        if config.profiles.contains_key(name) {
            return Ok(());
        }
        let near = resolve::near(name, config.profiles.keys());
        Err(Error::NotFound { message: format!("there is no profile {name:?}"), near })
    };
    match command {
        Command::List => return list(ctx),
        Command::Use { name } => {
            known(&name)?;
            say(format!("Profile {name} is in use."));
            config.current = Some(name);
        }
        Command::Create { name, and_use } => {
            if config.profiles.contains_key(&name) {
                return Err(Error::Usage(format!(
                    "there is a profile {name:?} already; `sluice profile edit` changes it"
                )));
            }
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(Error::Usage("a profile's name has letters, digits, -, _ and .".to_owned()));
            }
            config.profiles.insert(name.clone(), changed(Profile::default(), global)?);
            if and_use || config.current.is_none() {
                config.current = Some(name.clone());
            }
            say(format!("Profile {name} made."));
        }
        Command::Edit(edit) => {
            let name = edit.name.unwrap_or_else(|| ctx.settings.profile.clone());
            known(&name)?;
            let mut profile = changed(config.profiles.remove(&name).unwrap_or_default(), global)?;
            for key in &edit.unset {
                match key.as_str() {
                    "url" => profile.url = None,
                    "project" => profile.project = None,
                    "output" => profile.output = None,
                    "lang" => profile.lang = None,
                    _ => profile.ca_file = None,
                }
            }
            config.profiles.insert(name.clone(), profile);
            say(format!("Profile {name} changed."));
        }
        Command::Delete { name } => {
            known(&name)?;
            config.profiles.remove(&name);
            if config.current.as_deref() == Some(&name) {
                config.current = None;
            }
            say(format!("Profile {name} forgotten."));
        }
    }
    config.save(&ctx.settings.dir)
}

/// The profile with what the flags give.
fn changed(mut profile: Profile, global: &Global) -> Result<Profile> {
    if let Some(url) = &global.url {
        settings::parse_url(url)?;
        profile.url = Some(url.trim_end_matches('/').to_owned());
    }
    if global.project.is_some() {
        profile.project.clone_from(&global.project);
    }
    if let Some(format) = &global.output {
        profile.output = format.keyword().map(str::to_owned);
    }
    if let Some(lang) = global.lang {
        profile.lang = Some(if lang == settings::Lang::Zh { "zh" } else { "en" }.to_owned());
    }
    if let Some(path) = &global.ca_file {
        let absolute = std::path::absolute(path).map_err(Error::file(path, "is no path"))?;
        profile.ca_file = Some(absolute);
    }
    Ok(profile)
}

fn list(ctx: &Context) -> Result<()> {
    let config = &ctx.settings.config;
    let current = &ctx.settings.profile;
    let value: Vec<_> = config
        .profiles
        .iter()
        .map(|(name, profile)| {
            json!({"name": name, "in_use": name == current, "url": profile.url, "project": profile.project,
                "output": profile.output, "lang": profile.lang, "ca_file": profile.ca_file})
        })
        .collect();
    let lines: Vec<Vec<String>> = config
        .profiles
        .iter()
        .map(|(name, profile)| {
            let star = if name == current { "*" } else { "" };
            let text = |value: &Option<String>| value.clone().unwrap_or_else(dash);
            vec![star.to_owned(), name.clone(), text(&profile.url), text(&profile.project), text(&profile.output)]
        })
        .collect();
    if lines.is_empty() && ctx.out.for_people() {
        say("There is no profile yet; `sluice login` makes one.");
        return Ok(());
    }
    let names: Vec<_> = config.profiles.keys().map(String::as_str).collect();
    let text = table::texts(&["", "PROFILE", "ADDRESS", "PROJECT", "OUTPUT"], &lines);
    ctx.out.value(&value.into(), &names.join("\n"), &text)
}
