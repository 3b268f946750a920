//! Any call of the API, signed in.

use crate::{
    client::call::{Call, Repeat},
    context::Context,
    error::{Error, Result},
    render::{Format, say},
};
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use std::{
    fs,
    io::{self, Read as _},
};

#[derive(Debug, Args)]
pub struct Api {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_parser = method)]
    method: Method,
    /// As in the API document; {project} stands for the project's id: /v1/projects/{project}/instances?limit=5
    path: String,
    /// JSON of the body; @FILE or @- (standard input) reads it
    #[arg(short, long, value_name = "JSON")]
    data: Option<String>,
    /// Name of this request: sent again with the same key, it is done once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Version that a change is made from (ETag)
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    /// Tell status and headers of the answer on standard error
    #[arg(short, long)]
    include: bool,
}

pub async fn run(ctx: &Context, args: Api) -> Result<()> {
    let mut target = args.path.clone();
    if target.contains("{project}") {
        target = target.replace("{project}", &ctx.project().await?.id);
    }
    let mut call = Call::new(args.method, Vec::new());
    call.raw = Some(target.trim_start_matches('/').to_owned());
    if let Some(data) = &args.data {
        let text = read(data)?;
        let body: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Usage(format!("the body given with -d is no JSON: {error}")))?;
        call.body = Some(body);
    }
    if let Some(key) = args.idempotency_key {
        call.repeat = Repeat::Keyed(key);
    }
    if let Some(etag) = args.if_match {
        let etag = if etag.starts_with('"') || etag.starts_with("W/") { etag } else { format!("\"{etag}\"") };
        call = call.header("if-match", etag);
    }
    let answer = ctx.client.send(&call).await?;
    if args.include {
        say(answer.status);
        for (name, value) in &answer.headers {
            say(format!("{name}: {}", value.to_str().unwrap_or("(binary)")));
        }
    }
    if answer.body.is_empty() {
        return Ok(());
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) => {
            let text = format!("{value:#}\n");
            match ctx.out.format {
                Format::Yaml | Format::JsonPath(_) => ctx.out.value(&value, "", &text),
                _ => ctx.out.text(&text),
            }
        }
        Err(_) => ctx.out.bytes(&answer.body),
    }
}

/// A literal, or what `@FILE` and `@-` hold.
pub fn read(data: &str) -> Result<String> {
    match data.strip_prefix('@') {
        None => Ok(data.to_owned()),
        Some("-") => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::Usage(format!("standard input cannot be read: {error}")))?;
            Ok(text)
        }
        Some(file) => fs::read_to_string(file).map_err(Error::file(file, "cannot be read")),
    }
}

fn method(text: &str) -> Result<Method, String> {
    match text.to_uppercase().as_str() {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err("one of GET, POST, PUT, PATCH, DELETE".to_owned()),
    }
}
