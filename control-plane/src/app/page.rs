//! Keyset pages: a cursor is the sort key of the last row, so that pages stay stable while rows are added.

use crate::app::Refusal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use control_plane_api::{
    page::{DEFAULT_LIMIT, MAX_LIMIT, Page, PageQuery},
    problem::{FieldError, ProblemCode},
};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// A page that was asked for; `K` is the list's sort key, unique in it: `(created_at, id)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    limit: u32,
    /// Rows after this key.
    pub after: Option<K>,
    /// The caller wants the number of all rows.
    pub count: bool,
}

impl<K: Serialize + DeserializeOwned> PageRequest<K> {
    pub fn parse(query: &PageQuery) -> Result<Self, Refusal> {
        Self::parse_up_to(query, MAX_LIMIT)
    }

    /// Of a list whose pages hold `most` rows.
    pub fn parse_up_to(query: &PageQuery, most: u32) -> Result<Self, Refusal> {
        let mut errors = Vec::new();
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=most).contains(&limit) {
            errors.push(
                FieldError::new("limit", "out-of-range", format!("1 to {most} rows a page"))
                    .with("min", 1)
                    .with("max", most),
            );
        }
        let count = query.count.as_deref() == Some("exact");
        if query.count.is_some() && !count {
            errors.push(FieldError::new("count", "unknown-value", "only `exact` is known").with("accepted", "exact"));
        }
        let mut after = None;
        if let Some(text) = &query.cursor {
            after = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
            if after.is_none() {
                errors.push(FieldError::new("cursor", "malformed", "give `next_cursor` of a page of this list"));
            }
        }
        if errors.is_empty() {
            Ok(Self { limit, after, count })
        } else {
            Err(Refusal { errors, ..Refusal::new(ProblemCode::MalformedRequest) })
        }
    }

    /// Rows to read: one more than the page holds, which tells whether there is a next one.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page of `rows` read by [`Self::fetch`].
    pub fn page<R, T: ToSchema>(
        &self,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> K,
        view: impl Fn(R) -> T,
        total: Option<u64>,
    ) -> Page<T> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next_cursor = match rows.last() {
            Some(last) if more => serde_json::to_vec(&key(last)).ok().map(|json| URL_SAFE_NO_PAD.encode(json)),
            _ => None,
        };
        Page { items: rows.into_iter().map(view).collect(), next_cursor, total }
    }
}

/// The order of a list that is asked for, of `all` by their names, and that of the page's cursor must be; faults are added.
pub fn order<S: Copy + Default + PartialEq, const N: usize>(
    asked: Option<&str>,
    all: [S; N],
    name: fn(S) -> &'static str,
    of_cursor: Option<S>,
    faults: &mut Vec<FieldError>,
) -> S {
    let order = match asked {
        None => Some(S::default()),
        Some(text) => all.into_iter().find(|order| name(*order) == text),
    };
    if order.is_none() {
        let known = all.map(name).join(", ");
        faults.push(FieldError::new("sort", "unknown-value", format!("accepted: {known}")).with("accepted", known));
    }
    let order = order.unwrap_or_default();
    if of_cursor.is_some_and(|of_cursor| of_cursor != order) {
        faults.push(FieldError::new("cursor", "malformed", "the cursor belongs to a list in another order"));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_rows_after_the_page() {
        let query = PageQuery { limit: Some(2), ..PageQuery::default() };
        let page =
            PageRequest::<(String, u32)>::parse(&query).unwrap().page(vec![1, 2, 3], |n| ("k".into(), *n), |n| n, None);
        assert_eq!(page.items, [1, 2]);
        let next = PageQuery { cursor: page.next_cursor, ..PageQuery::default() };
        assert_eq!(PageRequest::<(String, u32)>::parse(&next).unwrap().after, Some(("k".into(), 2)));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let query = PageQuery { limit: Some(2), ..PageQuery::default() };
        assert_eq!(PageRequest::<u32>::parse(&query).unwrap().page(vec![1, 2], |n| *n, |n| n, None).next_cursor, None);
    }

    #[test]
    fn all_faults_of_a_query_are_told_together() {
        let query = PageQuery { limit: Some(201), cursor: Some("x".into()), count: Some("about".into()) };
        let refusal = PageRequest::<u32>::parse(&query).unwrap_err();
        let pointers: Vec<_> = refusal.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["limit", "count", "cursor"]);
    }
}
