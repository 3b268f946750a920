//! What holds for this call: flag > environment > profile > default.
//!
//! Owns the precedence. Flags and their variables arrive merged from clap (each flag names its variable); the
//! two secret variables, which have no flag, are read here.

use crate::{
    args::Global,
    config::{Config, ConfigDir, Profile},
    credentials::CredentialStore,
    error::{Error, Result},
    render::Format,
};
use reqwest::Url;
use std::{env, path::PathBuf, time::Duration};

/// Where `make up` listens.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// For `Accept-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }
}

#[derive(Debug)]
pub struct Settings {
    pub dir: ConfigDir,
    pub config: Config,
    /// Name of the profile in use.
    pub profile: String,
    pub url: Url,
    /// Name or id.
    pub project: Option<String>,
    pub format: Format,
    pub lang: Lang,
    pub ca_file: Option<PathBuf>,
    pub color: bool,
    pub yes: bool,
    /// `None`: what suits the command.
    pub wait: Option<bool>,
    pub timeout: Option<Duration>,
    pub verbose: bool,
    /// `SLUICE_TOKEN` or `SLUICE_API_KEY`: used as it is, never stored.
    pub bearer: Option<String>,
}

impl Settings {
    pub fn resolve(global: &Global) -> Result<Self> {
        let dir = ConfigDir::from_environment()?;
        let config = Config::load(&dir)?;
        let profile_name = filled(&global.profile).unwrap_or_else(|| config.current_name().to_owned());
        let profile = match config.profiles.get(&profile_name) {
            Some(profile) => profile.clone(),
            // A profile that was asked for by name must exist; `login` and `profile create` make it.
            None if global.profile.is_some() && !global.may_make_profile => {
                return Err(Error::NotFound {
                    message: format!("there is no profile {profile_name:?}; `sluice profile list` shows them"),
                    near: crate::resolve::near(&profile_name, config.profiles.keys()),
                });
            }
            None => Profile::default(),
        };
        let url = filled(&global.url).or(profile.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let format = match (&global.output, &profile.output) {
            (Some(format), _) => format.clone(),
            (None, Some(text)) => text
                .parse()
                .map_err(|reason: String| Error::Usage(format!("output of profile {profile_name:?}: {reason}")))?,
            (None, None) => Format::Table,
        };
        let lang = match (global.lang, profile.lang.as_deref()) {
            (Some(lang), _) => lang,
            (None, Some("zh")) => Lang::Zh,
            _ => Lang::En,
        };
        Ok(Self {
            url: parse_url(&url)?,
            project: filled(&global.project).or(profile.project),
            format,
            lang,
            ca_file: global.ca_file.clone().or(profile.ca_file),
            color: !global.no_color && secret("NO_COLOR").is_none(),
            yes: global.yes,
            wait: if global.wait {
                Some(true)
            } else if global.no_wait {
                Some(false)
            } else {
                None
            },
            timeout: global.timeout,
            verbose: global.verbose,
            bearer: secret("SLUICE_TOKEN").or_else(|| secret("SLUICE_API_KEY")),
            profile: profile_name,
            dir,
            config,
        })
    }

    pub fn credentials(&self) -> CredentialStore {
        CredentialStore::new(self.dir.clone(), self.profile.clone())
    }
}

/// An empty variable counts as not set.
fn filled(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

fn secret(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn parse_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::Usage(format!("{text:?} is not the address of an API: {why}; like {DEFAULT_URL}"));
    let mut url: Url = text.parse().map_err(|_| wrong("it is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it needs http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not hold a user or password"));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}
