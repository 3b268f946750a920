//! Extractors: a request's parts, checked, or a problem.

mod actor;
mod body;
mod path;

pub(crate) use actor::Admitted;
pub use body::{Idempotent, MAX_BODY_BYTES, NoBody, ValidJson};
pub(crate) use path::tags;
pub use path::{IfMatch, ResourcePath, ValidQuery};
