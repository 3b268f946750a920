//! How a use case fails: a refusal that the caller is told, or a fault that is logged.

use crate::{
    auth::{password::PasswordError, random::NoRandom, token::TokenError},
    domain::actor::Forbidden,
    secrets::SecretError,
    store::StoreError,
};
use control_plane_api::problem::{FieldError, ProblemCode};
use serde_json::{Map, Value};

/// A "no" that the caller is told: outside text only. Rendered as a problem (RFC 9457) in the caller's language.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub code: ProblemCode,
    /// English and Chinese; the code's own words when there is nothing to add.
    pub detail: Option<(String, String)>,
    pub errors: Vec<FieldError>,
    pub params: Map<String, Value>,
    pub retry_after_seconds: Option<u64>,
}

impl Refusal {
    pub fn new(code: ProblemCode) -> Self {
        Self { code, detail: None, errors: Vec::new(), params: Map::new(), retry_after_seconds: None }
    }

    /// All faults of a request together.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(ProblemCode::ValidationFailed) }
    }

    pub fn detail(mut self, en: impl Into<String>, zh: impl Into<String>) -> Self {
        self.detail = Some((en.into(), zh.into()));
        self
    }

    pub fn field(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("refused: {}", .0.code.as_str())]
    Refused(Box<Refusal>),
    #[error(transparent)]
    Store(StoreError),
    #[error("secrets")]
    Secrets(#[from] SecretError),
    #[error("passwords")]
    Passwords(#[from] PasswordError),
    #[error("tokens")]
    Tokens(#[from] TokenError),
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// A fault of ours that has no type of its own.
    #[error("{0}")]
    Internal(String),
}

impl AppError {
    pub fn not_found() -> Self {
        Refusal::new(ProblemCode::NotFound).into()
    }

    /// What the caller is told. Faults say nothing of their cause.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => (**refusal).clone(),
            Self::Store(StoreError::Unavailable(_)) => Refusal::new(ProblemCode::Unavailable).retry_after(1),
            _ => Refusal::new(ProblemCode::Internal),
        }
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<Forbidden> for AppError {
    fn from(Forbidden { right }: Forbidden) -> Self {
        Refusal::new(ProblemCode::Forbidden)
            .detail(format!("Your role does not include the right {right}."), format!("您的角色不包含 {right} 权限。"))
            .with("right", right.as_str())
            .into()
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken { pointer, what } => Refusal::new(ProblemCode::NameTaken)
                .field(FieldError::new(pointer, "taken", format!("{what} is in use; choose another")))
                .into(),
            StoreError::JobActive => Refusal::new(ProblemCode::JobActive).into(),
            StoreError::Unstorable(_) => Refusal::new(ProblemCode::MalformedRequest)
                .detail(
                    "A text holds the character U+0000, or a time lies before 4713 BC; neither is accepted.",
                    "文本包含字符 U+0000，或时间早于公元前 4713 年，均不被接受。",
                )
                .into(),
            other => Self::Store(other),
        }
    }
}
