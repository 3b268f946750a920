//! Problems (RFC 9457) as they arrive, and how they are told to a person.
//!
//! Owns a tolerant reading: a code that this build does not know is shown, not refused (api.md §1).

use crate::{error::exit, settings::Lang};
use control_plane_api::problem::{FieldError, ProblemCode};
use reqwest::StatusCode;
use serde::{Deserialize, de::IntoDeserializer};
use serde_json::{Map, Value};

/// [`control_plane_api::problem::Problem`] with every member optional and the code as text.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProblemReport {
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub code: String,
    pub request_id: String,
    pub retry_after_seconds: Option<u64>,
    pub errors: Vec<FieldError>,
    pub params: Map<String, Value>,
    /// Of the hint; the server's texts are in it already.
    #[serde(skip)]
    lang: Lang,
}

impl ProblemReport {
    /// Reads an error answer; one that is not a problem (a proxy's page, say) becomes one.
    pub fn read(status: StatusCode, request_id: &str, body: &[u8]) -> Self {
        let mut report: Self =
            serde_json::from_slice(body).unwrap_or_else(|_| Self { detail: first_line(body), ..Self::default() });
        report.status = status.as_u16();
        if report.title.is_empty() {
            report.title = format!("HTTP {}", status.as_u16());
            if let Some(reason) = status.canonical_reason() {
                report.title = format!("{} ({reason})", report.title);
            }
        }
        if report.request_id.is_empty() {
            request_id.clone_into(&mut report.request_id);
        }
        report
    }

    pub fn in_language(mut self, lang: Lang) -> Self {
        self.lang = lang;
        self
    }

    /// The code, when this build knows it.
    pub fn known_code(&self) -> Option<ProblemCode> {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            self.code.as_str().into_deserializer();
        ProblemCode::deserialize(text).ok()
    }

    pub fn exit_code(&self) -> u8 {
        match self.known_code() {
            Some(ProblemCode::QuotaExceeded) => return exit::QUOTA,
            Some(ProblemCode::AccountLocked) => return exit::AUTH,
            _ => {}
        }
        match self.status {
            401 | 403 => exit::AUTH,
            404 => exit::NOT_FOUND,
            408 | 504 => exit::TIMEOUT,
            429 => exit::QUOTA,
            502 | 503 => exit::NETWORK,
            400..=499 => exit::REFUSED,
            _ => exit::FAULT,
        }
    }

    /// Title, detail, each fault with its place, the remedy, and what support asks for.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.title)];
        if !self.detail.is_empty() && self.detail != self.title {
            lines.extend(self.detail.lines().map(|line| format!("  {line}")));
        }
        for error in &self.errors {
            let place = if error.pointer.is_empty() { "request" } else { &error.pointer };
            let code = if error.code.is_empty() { String::new() } else { format!(" ({})", error.code) };
            lines.push(format!("  - {place}: {}{code}", error.detail));
            // The sentence usually says it already; what it leaves out is listed.
            for (name, value) in &error.params {
                let text = plain(value);
                if !text.is_empty() && !text.split(", ").all(|part| error.detail.contains(part)) {
                    lines.push(format!("      {name}: {text}"));
                }
            }
        }
        for (name, value) in &self.params {
            lines.push(format!("  {}: {}", name.replace('_', " "), plain(value)));
        }
        if let Some(seconds) = self.retry_after_seconds {
            lines.push(format!("  retry after: {seconds} s"));
        }
        // The faults themselves say what would be accepted.
        if let Some(remedy) = self.known_code().filter(|_| self.errors.is_empty()).map(ProblemCode::remedy) {
            let text = match self.lang {
                Lang::En => remedy.en,
                Lang::Zh => remedy.zh,
            };
            lines.push(format!("  hint: {}", text.replace('`', "")));
        }
        let mut trail = Vec::new();
        if !self.code.is_empty() {
            trail.push(format!("code: {}", self.code));
        }
        if !self.request_id.is_empty() {
            trail.push(format!("request id: {}", self.request_id));
        }
        if !trail.is_empty() {
            lines.push(format!("  {}", trail.join(", ")));
        }
        lines
    }
}

/// A JSON value as a person would write it: lists joined by commas, texts without quotes.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(status: u16, body: &Value) -> ProblemReport {
        ProblemReport::read(StatusCode::from_u16(status).unwrap(), "req-1", body.to_string().as_bytes())
    }

    #[test]
    fn every_fault_is_told_with_its_place_and_what_would_be_accepted() {
        let told = report(
            422,
            &json!({
                "type": "/docs/errors/validation-failed", "title": "The request breaks a rule", "status": 422,
                "detail": "2 fields are not accepted.", "instance": "/v1/x", "code": "validation-failed",
                "request_id": "req-7",
                "errors": [
                    {"pointer": "/zones", "code": "two-zones", "detail": "name one zone, or three and more"},
                    {"pointer": "/spec", "code": "unknown-spec", "detail": "there is no spec 500",
                     "params": {"accepted": ["kafka.100", "kafka.300"]}}
                ]
            }),
        );
        assert_eq!(
            told.lines(),
            [
                "error: The request breaks a rule",
                "  2 fields are not accepted.",
                "  - /zones: name one zone, or three and more (two-zones)",
                "  - /spec: there is no spec 500 (unknown-spec)",
                "      accepted: kafka.100, kafka.300",
                "  code: validation-failed, request id: req-7",
            ]
        );
        assert_eq!(told.exit_code(), exit::REFUSED);
    }

    #[test]
    fn exit_codes_follow_code_and_status() {
        for (status, code, exit_code) in [
            (404, "not-found", exit::NOT_FOUND),
            (409, "name-taken", exit::REFUSED),
            (409, "quota-exceeded", exit::QUOTA),
            (412, "etag-mismatch", exit::REFUSED),
            (401, "unauthenticated", exit::AUTH),
            (403, "forbidden", exit::AUTH),
            (429, "account-locked", exit::AUTH),
            (429, "rate-limited", exit::QUOTA),
            (500, "internal", exit::FAULT),
            (503, "unavailable", exit::NETWORK),
            (504, "timeout", exit::TIMEOUT),
            (422, "a-code-of-tomorrow", exit::REFUSED),
        ] {
            assert_eq!(report(status, &json!({ "code": code })).exit_code(), exit_code, "{code}");
        }
    }

    #[test]
    fn an_answer_that_is_no_problem_is_told_by_its_first_line() {
        let told = ProblemReport::read(StatusCode::BAD_GATEWAY, "", b"<html>\nbad</html>");
        assert_eq!(told.lines(), ["error: HTTP 502 (Bad Gateway)", "  <html>"]);
    }
}
