//! Lists: keyset pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most rows that a page of a list holds (api.md §1).
pub const MAX_LIMIT: u32 = 200;
/// Rows of a page when the caller names no number.
pub const DEFAULT_LIMIT: u32 = 50;

/// A page of a list. It stays stable while rows are added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T: ToSchema> {
    pub items: Vec<T>,
    /// Give it back as `cursor` to read on; null on the last page.
    pub next_cursor: Option<String>,
    /// Rows over all pages; only with `count=exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T: ToSchema> Page<T> {
    /// A list that is always short: one page holds all.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None, total: None }
    }
}

/// Query of every list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows a page, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// `exact` to have `total` in the answer.
    pub count: Option<String>,
}
