//! Topics of an instance: listed, shown, made, grown, deleted.
//!
//! Kafka keeps them, and is asked each time: what was made through Kafka's own tools is there as well. A change goes through one
//! of the instance's gateways, which counts its partitions as it counts those of clients, and is answered when it is done: it
//! takes no job. Topics of Kafka are shown when asked for, and never changed; those of the platform don't exist here.

mod carry_out;
mod change;

pub use change::{create_topic, delete_topic, plan_deletion, plan_topic, plan_update, update_topic};

use crate::{
    app::{
        App, AppError, Refusal, kafka,
        page::{self, PageRequest},
    },
    domain::{
        actor::ProjectScope,
        rights::Right,
        topic::{Place, Sort},
    },
};
use control_plane_api::{
    page::{Page, PageQuery},
    problem::ProblemCode,
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
    let asked = PageQuery { limit: query.limit, cursor: query.cursor.clone(), count: query.count.clone() };
    let request = PageRequest::<Place>::parse_up_to(&asked, MAX_TOPICS_LISTED)?;
    let mut faults = Vec::new();
    let of_cursor = request.after.as_ref().map(|place| place.sort);
    let sort = page::order(query.sort.as_deref(), Sort::ALL, Sort::as_str, of_cursor, &mut faults);
    if !faults.is_empty() {
        return Err(Refusal { errors: faults, ..Refusal::new(ProblemCode::MalformedRequest) }.into());
    }
    let record = kafka::serving(app, scope, instance).await?;
    let cluster = kafka::cluster(app, record.id).await?;
    let mut found = app.kafka.topics(&cluster).await.map_err(|error| kafka::failed(record.id, error))?;
    let shows_internal = query.internal.unwrap_or(false);
    found.retain(|topic| {
        (shows_internal || !topic.internal) && query.q.as_ref().is_none_or(|part| topic.name.contains(part.as_str()))
    });
    let total = request.count.then_some(found.len() as u64);
    let mut placed: Vec<_> = found.into_iter().map(|topic| (Place::of(&topic, sort), topic)).collect();
    placed.retain(|(place, _)| request.after.as_ref().is_none_or(|last| place.order(last).is_gt()));
    placed.sort_by(|(a, _), (b, _)| a.order(b));
    placed.truncate(usize::try_from(request.fetch()).unwrap_or(usize::MAX));
    Ok(request.page(placed, |(place, _)| place.clone(), |(_, topic)| topic, total))
}

pub async fn get_topic(app: &App, scope: &ProjectScope, instance: &str, name: &str) -> Result<Topic, AppError> {
    scope.require(Right::TopicRead)?;
    let record = kafka::serving(app, scope, instance).await?;
    let cluster = kafka::cluster(app, record.id).await?;
    let found = app.kafka.topic(&cluster, name).await.map_err(|error| kafka::failed(record.id, error))?;
    found.ok_or_else(AppError::not_found)
}
