//! Topics of an instance: listed, shown, made, grown, deleted.
//!
//! Kafka keeps them, and is asked each time: what was made through Kafka's own tools is there as well. A change goes through one
//! of the instance's gateways, which counts its partitions as it counts those of clients, and is answered when it is done: it
//! takes no job. Topics of Kafka are shown when asked for, and never changed; those of the platform don't exist here.

mod carry_out;
mod change;

pub use change::{create_topic, delete_topic, plan_deletion, plan_topic, plan_update, update_topic};

use crate::{
    app::{App, AppError, Refusal, kafka, page::PageRequest},
    domain::{
        actor::ProjectScope,
        rights::Right,
        topic::{Place, Sort},
    },
};
use control_plane_api::{
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
    topic::{MAX_TOPICS_LISTED, Topic, TopicQuery, TopicSummary},
};

/// By name, unless the query says otherwise.
pub async fn list_topics(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    query: &TopicQuery,
) -> Result<Page<TopicSummary>, AppError> {
    scope.require(Right::TopicRead)?;
    let page = PageQuery { limit: query.limit, cursor: query.cursor.clone(), count: query.count.clone() };
    let request = PageRequest::<Place>::parse_up_to(&page, MAX_TOPICS_LISTED)?;
    let sort = sort(query, request.after.as_ref())?;
    let record = kafka::serving(app, scope, instance).await?;
    let cluster = kafka::cluster(app, record.id).await?;
    let mut found = app.kafka.topics(&cluster).await.map_err(|error| kafka::failed(record.id, error))?;
    let shows_internal = query.internal.unwrap_or(false);
    found.retain(|topic| {
        (shows_internal || !topic.internal) && query.q.as_ref().is_none_or(|part| topic.name.contains(part.as_str()))
    });
    let total = request.count.then_some(found.len() as u64);
    let place = |topic: &TopicSummary| Place::of(topic, sort);
    found.sort_by(|a, b| place(a).order(&place(b)));
    let rest =
        found.into_iter().filter(|topic| request.after.as_ref().is_none_or(|last| place(topic).order(last).is_gt()));
    let rows = rest.take(usize::try_from(request.fetch()).unwrap_or(usize::MAX)).collect();
    Ok(request.page(rows, place, |topic| topic, total))
}

/// All faults of the query together.
fn sort(query: &TopicQuery, after: Option<&Place>) -> Result<Sort, Refusal> {
    let mut faults = Vec::new();
    let sort = match query.sort.as_deref() {
        None => Some(Sort::default()),
        Some(text) => Sort::ALL.into_iter().find(|sort| sort.as_str() == text),
    };
    if sort.is_none() {
        let known = Sort::ALL.map(Sort::as_str).join(", ");
        faults.push(FieldError::new("sort", "unknown-value", format!("accepted: {known}")).with("accepted", known));
    }
    let sort = sort.unwrap_or_default();
    if after.is_some_and(|place| place.sort != sort) {
        faults.push(FieldError::new("cursor", "malformed", "the cursor belongs to a list in another order"));
    }
    if faults.is_empty() {
        Ok(sort)
    } else {
        Err(Refusal { errors: faults, ..Refusal::new(ProblemCode::MalformedRequest) })
    }
}

pub async fn get_topic(app: &App, scope: &ProjectScope, instance: &str, name: &str) -> Result<Topic, AppError> {
    scope.require(Right::TopicRead)?;
    let record = kafka::serving(app, scope, instance).await?;
    let cluster = kafka::cluster(app, record.id).await?;
    let found = app.kafka.topic(&cluster, name).await.map_err(|error| kafka::failed(record.id, error))?;
    found.ok_or_else(AppError::not_found)
}
