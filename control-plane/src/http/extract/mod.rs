//! Extractors: a request's parts, checked, or a problem.

mod actor;
mod body;
mod path;

pub use body::{Idempotent, NoBody, ValidJson};
pub use path::{IfMatch, ResourcePath, ValidQuery};
