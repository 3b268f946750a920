//! Sends calls: attempts, waits between them, error answers.
//!
//! Owns the rule of when a request may be sent again. Knows nothing of sign-in.

use super::call::{Call, Repeat};
use crate::{
    error::{Error, Result},
    problem::ProblemReport,
    settings::{Lang, Settings},
};
use control_plane_api::problem::ProblemCode;
use reqwest::{Method, Response, StatusCode, Url, header};
use std::{
    fs,
    time::{Duration, Instant},
};

const ATTEMPTS: u32 = 6;
/// Where nothing listens: long enough for a restart in a hurry, short enough for a wrong address.
const CONNECT_ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A server that asks for a longer pause than this is told of, not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Transport {
    http: reqwest::Client,
    pub base: Url,
    lang: Lang,
    verbose: bool,
}

/// A whole answer of the 2xx or 304 kind.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub body: Vec<u8>,
}

/// What came of one attempt that did not succeed.
enum Failure {
    Transport(reqwest::Error),
    Problem { report: ProblemReport, retry_after: Option<Duration> },
}

impl Transport {
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy();
        if let Some(path) = &settings.ca_file {
            let pem = fs::read(path).map_err(Error::file(path, "cannot be read"))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
            let certificates = certificates.ok_or_else(|| Error::Config {
                path: path.clone(),
                reason: "holds no certificate in PEM form".to_owned(),
            })?;
            builder = builder.tls_certs_only(certificates);
        } else if settings.url.scheme() == "http" {
            // Plain HTTP must not fail on a machine without certificate authorities.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|source| Error::Network { url: settings.url.to_string(), source })?;
        Ok(Self { http, base: settings.url.clone(), lang: settings.lang, verbose: settings.verbose })
    }

    /// The whole answer.
    pub async fn exchange(&self, call: &Call, bearer: Option<&str>) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let outcome = match self.attempt(call, bearer, Some(ANSWER_TIMEOUT)).await {
                Ok(response) => {
                    let (status, headers) = (response.status(), response.headers().clone());
                    match response.bytes().await {
                        Ok(body) => return Ok(Answer { status, headers, body: body.into() }),
                        Err(error) => Failure::Transport(error),
                    }
                }
                Err(failure) => failure,
            };
            self.wait_or_fail(call, outcome, attempt).await?;
            attempt += 1;
        }
    }

    /// The answer as it arrives, without an end in time.
    pub async fn open(&self, call: &Call, bearer: Option<&str>) -> Result<Response> {
        let mut attempt = 1;
        loop {
            match self.attempt(call, bearer, None).await {
                Ok(response) => return Ok(response),
                Err(failure) => self.wait_or_fail(call, failure, attempt).await?,
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call, bearer: Option<&str>, timeout: Option<Duration>) -> Result<Response, Failure> {
        let url = call.url(&self.base);
        let mut request = self.http.request(call.method.clone(), url).header(header::ACCEPT_LANGUAGE, self.lang.tag());
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Repeat::Keyed(key) = &call.repeat {
            request = request.header("idempotency-key", key);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            if call.method == Method::PATCH {
                request = request.header(header::CONTENT_TYPE, "application/merge-patch+json");
            }
            request = request.json(body);
        }
        let begun = Instant::now();
        let response = request.send().await;
        self.log(call, begun.elapsed(), &response);
        let response = response.map_err(Failure::Transport)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let request_id = text("x-request-id").unwrap_or_default();
        let retry_after = text("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let body = response.bytes().await.map_err(Failure::Transport)?;
        let report = ProblemReport::read(status, &request_id, &body).in_language(self.lang);
        Err(Failure::Problem { report, retry_after })
    }

    /// Waits when the call may be sent again; else gives the failure back as an error.
    async fn wait_or_fail(&self, call: &Call, failure: Failure, attempt: u32) -> Result<()> {
        match pause(call, &failure, attempt) {
            Some(pause) => {
                self.talk(format_args!("  again in {} ms", pause.as_millis()));
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(match failure {
                Failure::Transport(source) => {
                    Error::Network { url: self.base.to_string(), source: source.without_url() }
                }
                Failure::Problem { report, .. } => Error::Problem(Box::new(report)),
            }),
        }
    }

    fn log(&self, call: &Call, took: Duration, response: &Result<Response, reqwest::Error>) {
        let (outcome, request_id) = match response {
            Ok(response) => {
                let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
                (response.status().as_u16().to_string(), id.unwrap_or("-"))
            }
            Err(error) if error.is_connect() => ("no connection".to_owned(), "-"),
            Err(error) if error.is_timeout() => ("no answer in time".to_owned(), "-"),
            Err(_) => ("broken off".to_owned(), "-"),
        };
        self.talk(format_args!("> {}: {outcome} in {} ms, request id {request_id}", call.title(), took.as_millis()));
    }

    fn talk(&self, line: std::fmt::Arguments<'_>) {
        if self.verbose {
            crate::render::say(line);
        }
    }
}

/// How long to wait before the call is sent again, or `None` when it must not be.
fn pause(call: &Call, failure: &Failure, attempt: u32) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let repeatable = call.repeat != Repeat::Once;
    let (again, asked) = match failure {
        Failure::Transport(error) if distrusted(error) => return None,
        // Without a connection nothing was sent.
        Failure::Transport(error) if error.is_connect() => (attempt < CONNECT_ATTEMPTS, None),
        Failure::Transport(_) => (repeatable, None),
        Failure::Problem { report, retry_after } => {
            let again = match (report.status, report.known_code()) {
                (_, Some(ProblemCode::AccountLocked)) => false,
                (_, Some(ProblemCode::IdempotencyInFlight)) => repeatable,
                // Refused before anything was done.
                (429, _) => true,
                (502..=504, _) => repeatable,
                _ => false,
            };
            (again, retry_after.or(report.retry_after_seconds.map(Duration::from_secs)))
        }
    };
    if !again || asked.is_some_and(|asked| asked > LONGEST_RETRY_AFTER) {
        return None;
    }
    let back_off = FIRST_WAIT.saturating_mul(1 << (attempt - 1)).min(LONGEST_WAIT);
    // Up to a half more, so that callers refused together do not come back together.
    let jitter = back_off.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 510.0);
    Some(asked.unwrap_or(back_off + jitter))
}

/// Whether the certificates do not match: that stays so.
fn distrusted(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::call::path;

    fn refused(status: u16, code: &str, retry_after: Option<u64>) -> Failure {
        let body = serde_json::json!({ "code": code }).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        let report = ProblemReport::read(status, "", body.as_bytes());
        Failure::Problem { report, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn only_calls_that_can_do_no_harm_twice_are_sent_again() {
        let get = Call::get(path("v1/me"));
        let keyed = Call::post(path("v1/x")).keyed();
        let once = Call::post(path("v1/x"));
        let unavailable = refused(503, "unavailable", None);
        assert!(pause(&get, &unavailable, 1).is_some());
        assert!(pause(&keyed, &unavailable, 1).is_some());
        assert!(pause(&once, &unavailable, 1).is_none());
        assert!(pause(&once, &refused(429, "rate-limited", Some(0)), 1).is_some());
        assert!(pause(&keyed, &refused(409, "idempotency-in-flight", None), 1).is_some());
        assert!(pause(&keyed, &refused(409, "name-taken", None), 1).is_none());
        assert!(pause(&get, &refused(500, "internal", None), 1).is_none());
        assert!(pause(&get, &unavailable, ATTEMPTS).is_none());
    }

    #[test]
    fn the_server_says_how_long_to_wait_and_long_waits_are_not_waited_for() {
        let get = Call::get(path("v1/me"));
        assert_eq!(pause(&get, &refused(503, "unavailable", Some(2)), 1), Some(Duration::from_secs(2)));
        assert_eq!(pause(&get, &refused(429, "rate-limited", Some(3600)), 1), None);
        assert_eq!(pause(&get, &refused(429, "account-locked", Some(1)), 1), None);
    }
}
