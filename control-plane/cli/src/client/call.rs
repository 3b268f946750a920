//! One request, as data: built by a command, sent by [`super::transport`].

use crate::error::{Error, Result};
use reqwest::{Method, Url};
use serde::Serialize;
use serde_json::Value;

/// Whether sending the request again can do harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Repeat {
    /// The method is idempotent (RFC 9110 §9.2.2).
    Safe,
    /// The server does it once for this `Idempotency-Key`, however often it is sent.
    Keyed(String),
    /// Only where it is certain that the server did nothing.
    Once,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Segments, not yet escaped.
    pub path: Vec<String>,
    /// Path and query as a person wrote them, in place of `path`.
    pub raw: Option<String>,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
    pub headers: Vec<(&'static str, String)>,
    pub repeat: Repeat,
    /// Sent without credentials: sign-in, health.
    pub anonymous: bool,
}

impl Call {
    pub fn new(method: Method, path: Vec<String>) -> Self {
        let repeat = if method == Method::POST || method == Method::PATCH { Repeat::Once } else { Repeat::Safe };
        Self { method, path, raw: None, query: Vec::new(), body: None, headers: Vec::new(), repeat, anonymous: false }
    }

    pub fn get(path: Vec<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: Vec<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn patch(path: Vec<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub fn put(path: Vec<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn delete(path: Vec<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn query_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Every member of `values` that is there, as text.
    pub fn queries(mut self, values: &impl Serialize) -> Result<Self> {
        let values = serde_json::to_value(values)
            .map_err(|error| Error::Usage(format!("the request cannot be written as JSON: {error}")))?;
        for (name, value) in values.as_object().into_iter().flatten() {
            self = self.query(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        Ok(self)
    }

    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_value(body)
            .map_err(|error| Error::Usage(format!("the request cannot be written as JSON: {error}")))?;
        self.body = Some(body);
        Ok(self)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a fresh idempotency key, kept over all attempts of this call.
    pub fn keyed(mut self) -> Self {
        self.repeat = Repeat::Keyed(uuid::Uuid::new_v4().to_string());
        self
    }

    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Some(raw) = &self.raw {
            let (path, query) = raw.split_once('?').map_or((raw.as_str(), None), |(path, query)| (path, Some(query)));
            url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
            url.set_query(query);
        // http and https addresses always have a path.
        } else if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    /// `GET /v1/me`, for messages.
    pub fn title(&self) -> String {
        match &self.raw {
            Some(raw) => format!("{} /{raw}", self.method),
            None => format!("{} /{}", self.method, self.path.join("/")),
        }
    }
}

/// `["v1", "projects", …]` from a literal path.
pub fn path(text: &str) -> Vec<String> {
    text.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_escaped_and_a_prefix_of_the_address_is_kept() {
        let mut segments = path("v1/errors");
        segments.push("a/b c".to_owned());
        let call = Call::get(segments).query("q", "x&y");
        let url = call.url(&"https://sluice.example/api/".parse().unwrap());
        assert_eq!(url.as_str(), "https://sluice.example/api/v1/errors/a%2Fb%20c?q=x%26y");
    }
}
