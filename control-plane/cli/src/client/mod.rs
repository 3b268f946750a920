//! The API as commands see it: typed calls, whole lists, event streams.
//!
//! Owns HTTP. Layers: [`call`] is a request as data, [`transport`] sends and repeats it, [`session`] signs it,
//! [`Client`] joins them and reads the answers.

pub mod call;
pub mod events;
pub mod session;
pub mod transport;

use crate::{
    error::{Error, Result},
    settings::Settings,
};
use call::Call;
use control_plane_api::page::MAX_LIMIT;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session::Session;
use std::marker::PhantomData;
use transport::{Answer, Transport};

/// A document of the API: what the server sent, and the type that it should have.
///
/// `-o json` and `-o yaml` print what was sent, members that this build does not know included.
#[derive(Debug, Clone)]
pub struct Doc<T> {
    pub value: Value,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Doc<T> {
    pub fn new(value: Value) -> Self {
        Self { value, kind: PhantomData }
    }

    pub fn typed(&self) -> Result<T> {
        let what = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
        T::deserialize(&self.value)
            .map_err(|error| Error::Answer { what: what.trim_end_matches('>').to_owned(), reason: error.to_string() })
    }
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Extent {
    All,
    AtMost(usize),
}

#[derive(Debug)]
pub struct Client {
    pub transport: Transport,
    session: Session,
}

impl Client {
    pub fn new(settings: &Settings) -> Result<Self> {
        Ok(Self { transport: Transport::new(settings)?, session: Session::new(settings) })
    }

    /// Sends the call, signed in unless it is anonymous; a token that the server no longer takes is renewed once.
    pub async fn send(&self, call: &Call) -> Result<Answer> {
        if call.anonymous {
            return self.transport.exchange(call, None).await;
        }
        let token = self.session.bearer(&self.transport).await?;
        match self.transport.exchange(call, Some(&token)).await {
            Err(Error::Problem(problem)) if problem.status == 401 => {
                match self.session.after_refusal(&self.transport, &token).await? {
                    Some(token) => self.transport.exchange(call, Some(&token)).await,
                    None => Err(Error::Problem(problem)),
                }
            }
            outcome => outcome,
        }
    }

    pub async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<Doc<T>> {
        let answer = self.send(call).await?;
        Ok(Doc::new(parse(call, &answer.body)?))
    }

    /// Reads a list page by page.
    pub async fn list<T: DeserializeOwned>(&self, call: Call, extent: Extent) -> Result<Vec<Doc<T>>> {
        self.list_watching(call, extent, |_| {}).await
    }

    /// As [`Client::list`], for lists whose pages say more than their rows: shows each to `watch`.
    pub async fn list_watching<T: DeserializeOwned>(
        &self,
        call: Call,
        extent: Extent,
        mut watch: impl FnMut(&Value),
    ) -> Result<Vec<Doc<T>>> {
        let most = match extent {
            Extent::All => usize::MAX,
            Extent::AtMost(most) => most,
        };
        let mut docs: Vec<Doc<T>> = Vec::new();
        let mut cursor: Option<String> = None;
        while docs.len() < most {
            let limit = (most - docs.len()).min(MAX_LIMIT as usize);
            let page = call.clone().query("limit", limit).query_some("cursor", cursor.as_deref());
            let page: Value = parse(&page, &self.send(&page).await?.body)?;
            watch(&page);
            let (items, next) = split_page(&call, page)?;
            docs.extend(items.into_iter().map(Doc::new));
            match next {
                Some(next) if cursor.as_deref() != Some(next.as_str()) => cursor = Some(next),
                _ => break,
            }
        }
        docs.truncate(most);
        Ok(docs)
    }

    /// A short list that is not paged: the catalogue.
    pub async fn catalogue<T: DeserializeOwned>(&self, call: &Call) -> Result<Vec<Doc<T>>> {
        let page: Value = parse(call, &self.send(call).await?.body)?;
        Ok(split_page(call, page)?.0.into_iter().map(Doc::new).collect())
    }

    /// Opens a stream of server-sent events.
    pub async fn events(&self, call: &Call) -> Result<events::Events> {
        let token = self.session.bearer(&self.transport).await?;
        let response = self.transport.open(call, Some(&token)).await?;
        Ok(events::Events::new(response))
    }
}

/// A page is `{items, next_cursor}`; a bare array is a list of one page.
fn split_page(call: &Call, page: Value) -> Result<(Vec<Value>, Option<String>)> {
    let wrong = || Error::Answer { what: call.title(), reason: "it is no list".to_owned() };
    match page {
        Value::Array(items) => Ok((items, None)),
        Value::Object(mut page) => {
            let Some(Value::Array(items)) = page.remove("items") else { return Err(wrong()) };
            let next = page.remove("next_cursor").and_then(|next| next.as_str().map(str::to_owned));
            Ok((items, next))
        }
        _ => Err(wrong()),
    }
}

pub fn parse<T: DeserializeOwned>(call: &Call, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Answer { what: call.title(), reason: error.to_string() })
}
