//! How to connect: addresses, trust, ready code.

use crate::{
    args::word,
    client::{Doc, call::Call},
    commands::access::switch_text,
    context::{Context, Scope},
    error::{Error, Result},
    render::{dash, enum_text, rows, say, table},
    resolve,
};
use clap::{Args, ValueEnum};
use control_plane_api::connection::{Connection, ConnectionPath, Snippet as Code, SnippetFile};
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    Java,
    Python,
    Go,
    Node,
    Rust,
    Kcat,
    /// A properties file for Kafka's own tools
    Properties,
}

#[derive(Debug, Args)]
pub struct Snippet {
    /// Name or id
    instance: String,
    #[arg(value_enum)]
    client: Client,
    /// Way that it connects by; the first that is open of them
    #[arg(long, value_name = "private|public|cross-network", value_parser = word::<ConnectionPath>)]
    path: Option<ConnectionPath>,
    /// Kafka user that it signs in as
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    topic: Option<String>,
    /// Write the files into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub async fn connect(ctx: &Context, scope: &Scope, wanted: &str) -> Result<()> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "connection"]));
    let doc: Doc<Connection> = ctx.client.fetch(&call).await?;
    let connection = doc.typed()?;
    let or_dash = |text: &str| if text.is_empty() { dash() } else { text.to_owned() };
    let bootstrap = &connection.bootstrap;
    let mut details =
        vec![("SASL_SSL", or_dash(&bootstrap.private_sasl_ssl)), ("Plaintext", or_dash(&bootstrap.private_plaintext))];
    details.extend(rows::beyond(bootstrap));
    details.extend([
        ("Protocol", connection.security_protocol.clone()),
        ("Mechanisms", connection.sasl_mechanisms.join(", ")),
        ("mTLS", switch_text(connection.mtls)),
        ("Truststore", format!("sluice cert truststore {} --format pem|p12|jks", instance.name)),
        ("Code", format!("sluice instance snippet {} java|python|go|node|rust|kcat", instance.name)),
    ]);
    let details: Vec<_> = details.into_iter().map(|(label, text)| (label.to_owned(), text)).collect();
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

pub async fn snippet(ctx: &Context, scope: &Scope, args: Snippet) -> Result<()> {
    let instance = resolve::instance(ctx, scope, &args.instance).await?.typed()?;
    let client = args.client.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let call = Call::get(scope.path(&["instances", &instance.id.to_string(), "connection"]))
        .query("client", &client)
        .query_some("path", args.path.map(|path| enum_text(&path)))
        .query_some("user", args.user)
        .query_some("topic", args.topic);
    let doc: Doc<Connection> = ctx.client.fetch(&call).await?;
    let code = doc.typed()?.snippet.ok_or_else(|| Error::Answer {
        what: "the snippet".to_owned(),
        reason: format!("the server has none for {client}"),
    })?;
    match &args.out {
        Some(directory) => {
            for file in &code.files {
                ctx.out.line(&write(directory, file)?.display().to_string())?;
            }
        }
        None => ctx.out.value(&doc.value, &client, &text(&code))?,
    }
    explain(&code);
    Ok(())
}

/// One file as it is; several with a line before each.
fn text(code: &Code) -> String {
    let ended = |content: &str| if content.ends_with('\n') { content.to_owned() } else { format!("{content}\n") };
    match code.files.as_slice() {
        [only] => ended(&only.content),
        several => {
            let parts: Vec<_> =
                several.iter().map(|file| format!("==> {} <==\n{}", file.name, ended(&file.content))).collect();
            parts.join("\n")
        }
    }
}

fn explain(code: &Code) {
    if !code.environment.is_empty() {
        say(format!("It reads: {}", code.environment.join(", ")));
    }
    if !code.run.is_empty() {
        say("Run it:");
        code.run.iter().for_each(|command| say(format!("  {command}")));
    }
}

/// Writes below the directory and nowhere else, whatever the server calls the file.
fn write(directory: &Path, file: &SnippetFile) -> Result<PathBuf> {
    let name = Path::new(&file.name);
    if file.name.is_empty() || !name.components().all(|part| matches!(part, Component::Normal(_))) {
        let reason = format!("a file is called {:?}, which leads out of the directory", file.name);
        return Err(Error::Answer { what: "the snippet".to_owned(), reason });
    }
    let path = directory.join(name);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(Error::file(parent, "cannot be made"))?;
    fs::write(&path, &file.content).map_err(Error::file(&path, "cannot be written"))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_snippet_stay_in_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| SnippetFile { name: name.to_owned(), content: "x".to_owned() };
        assert!(write(directory.path(), &file("src/main.rs")).unwrap().exists());
        for name in ["../out", "/etc/x", "", "a/../../b"] {
            assert!(write(directory.path(), &file(name)).is_err(), "{name}");
        }
    }
}
