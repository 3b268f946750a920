//! Questions to a person, asked on standard error; never when nobody is there to answer.

use crate::{
    error::{Error, Result},
    settings::Settings,
};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

pub fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks before money is spent or something changes. `what` says what will be done.
pub fn confirm(settings: &Settings, what: &str) -> Result<()> {
    if settings.yes {
        return Ok(());
    }
    need_somebody(what)?;
    match ask(&format!("{what} [y/N] "))?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::NotConfirmed),
    }
}

/// Asks for the name before data is lost.
pub fn confirm_by_name(settings: &Settings, what: &str, name: &str) -> Result<()> {
    if settings.yes {
        return Ok(());
    }
    need_somebody(what)?;
    if ask(&format!("{what}\nType {name} to confirm: "))? == name { Ok(()) } else { Err(Error::NotConfirmed) }
}

fn need_somebody(what: &str) -> Result<()> {
    if somebody_is_there() {
        return Ok(());
    }
    Err(Error::Usage(format!("there is no terminal to ask on: {what} Give --yes to go ahead without asking.")))
}

pub fn ask(question: &str) -> Result<String> {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{question}");
    let _ = err.flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
    Ok(line.trim().to_owned())
}

/// A secret: the first line of standard input if `from_stdin`, else typed unseen.
pub fn secret(label: &str, from_stdin: bool, flag: &str) -> Result<String> {
    let secret = if from_stdin {
        let mut text = String::new();
        // More than any secret of ours, less than what a wrong file would be.
        io::stdin().lock().take(64 * 1024).read_to_string(&mut text).map_err(unreadable)?;
        text.lines().next().unwrap_or_default().to_owned()
    } else if somebody_is_there() {
        let typed = dialoguer::Password::new().with_prompt(label).allow_empty_password(true).interact();
        typed.map_err(|error| Error::Usage(format!("{label} cannot be read: {error}")))?
    } else {
        return Err(Error::Usage(format!(
            "there is no terminal to ask for the {label}; give it on standard input with {flag}"
        )));
    };
    if secret.is_empty() { Err(Error::Usage(format!("the {label} is empty"))) } else { Ok(secret) }
}

fn unreadable(error: io::Error) -> Error {
    Error::Usage(format!("standard input cannot be read: {error}"))
}
