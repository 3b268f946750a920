//! Who is connected to an instance, asked of all its brokers at once, and the end of a connection.
//!
//! Nothing of it is kept: the brokers know. One that does not answer is named, and the others' answers stand.

use crate::{
    app::{App, AppError, Refusal, Write, audit::Entry, instances, page::PageRequest},
    domain::{actor::ProjectScope, rights::Right, states},
    nodes::{NodeAddress, NodeError},
    provisioned::{ProvisioningError, node_addresses},
};
use broker_api::{
    connections::{
        AskUnkept, CloseConnections as CloseAtNode, ConnectionFilter, ConnectionList, ListConnections, LiveConnection,
        MAX_CLOSED, Unkept,
    },
    spec::ClientCertificates,
};
use chrono::DateTime;
use control_plane_api::{
    access::SaslMechanism,
    client_connections::{
        ClientConnection, ClientConnectionFilter, ClientConnectionPage, CloseConnections, ClosedConnections,
        ConnectionCertificate,
    },
    id::InstanceId,
    instance::InstanceAction,
    page::{MAX_LIMIT, PageQuery},
    problem::{FieldError, ProblemCode},
};
use futures::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;

/// Broker and its connection: what the list is sorted by.
type Key = (i32, u64);

/// What a broker said, or why not.
type Heard<T> = (i32, Result<T, NodeError>);

pub async fn list_connections(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    filter: &ClientConnectionFilter,
    query: &PageQuery,
) -> Result<ClientConnectionPage, AppError> {
    scope.require(Right::InstanceRead)?;
    let request = PageRequest::<Key>::parse(query)?;
    let wanted = node_filter("ip", &filter.ip, &filter.user, &filter.client_id)?;
    let (_, nodes) = find(app, scope, id_or_name).await?;
    let limit = u32::try_from(request.fetch()).unwrap_or(u32::MAX);
    let asked = nodes.into_iter().filter(|(broker, _)| filter.broker_id.is_none_or(|id| id == *broker));
    let answers = asked.map(|(broker, node)| {
        let after = match request.after {
            // Listed on a page before; it is asked for its number only.
            Some((last, _)) if broker < last => u64::MAX,
            Some((last, id)) if broker == last => id,
            _ => 0,
        };
        let asked = ListConnections { filter: wanted.clone(), after, limit };
        async move { (broker, app.nodes.list_connections(&node, &asked).await) }
    });
    Ok(merge(&request, join_all(answers).await))
}

/// Ends connections. The trail has the request before a broker hears of it; a repeat does no harm, so no answer is kept.
pub async fn close_connections(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    request: &CloseConnections,
) -> Result<ClosedConnections, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let orders = orders(request)?;
    let (instance, nodes) = find(app, scope, id_or_name).await?;
    let write = Write::start(app, &scope.actor, scope).await?;
    write.commit(Entry::new("close_connections").on("instance", instance).detail(request), ()).await?;
    let told = nodes.into_iter().filter_map(|(broker, node)| {
        let order = match &orders {
            Orders::Ids(by_broker) => CloseAtNode::Ids(by_broker.get(&broker)?.clone()),
            Orders::Fitting { broker_id, .. } if broker_id.is_some_and(|id| id != broker) => return None,
            Orders::Fitting { filter, .. } => CloseAtNode::Filter(filter.clone()),
        };
        Some(async move { (broker, app.nodes.close_connections(&node, &order).await) })
    });
    let (closed, silent_brokers) = heard(join_all(told).await);
    Ok(ClosedConnections { closed: closed.into_iter().map(|(_, answer)| answer.closed).sum(), silent_brokers })
}

/// Open connections of each user who logged in, and of `ANONYMOUS`; and brokers that did not answer.
pub(crate) async fn count_by_user(
    app: &App,
    instance: InstanceId,
) -> Result<(BTreeMap<String, u64>, Vec<i32>), AppError> {
    count_by(app, instance, |connection| connection.user).await
}

/// Open connections by these mechanisms, as `alice by PLAIN`; and brokers that did not answer.
pub(crate) async fn count_by_login(
    app: &App,
    instance: InstanceId,
    mechanisms: &[SaslMechanism],
) -> Result<(BTreeMap<String, u64>, Vec<i32>), AppError> {
    let meant = |name: &String| mechanisms.iter().any(|mechanism| mechanism.as_str() == name);
    let login = |connection: LiveConnection| {
        let (user, mechanism) = connection.user.zip(connection.mechanism.filter(meant))?;
        Some(format!("{user} by {mechanism}"))
    };
    count_by(app, instance, login).await
}

/// How many open connections each key has; those without one are left out.
async fn count_by(
    app: &App,
    instance: InstanceId,
    key: impl Fn(LiveConnection) -> Option<String> + Sync,
) -> Result<(BTreeMap<String, u64>, Vec<i32>), AppError> {
    let mut tx = app.db.system().await?;
    let nodes = node_addresses(&mut tx, &app.keyring, instance).await?;
    drop(tx);
    let asked = nodes.iter().map(async |(broker, node)| (*broker, keys_at(app, node, &key).await));
    let (lists, silent) = heard(join_all(asked).await);
    let mut counts = BTreeMap::new();
    for key in lists.into_iter().flat_map(|(_, keys)| keys) {
        *counts.entry(key).or_default() += 1;
    }
    Ok((counts, silent))
}

/// Connections that would end if these were the certificates that clients may sign in with, by user; those of clients that are
/// not named; and brokers that did not answer.
pub(crate) async fn unkept(
    app: &App,
    instance: InstanceId,
    client_certificates: Option<ClientCertificates>,
) -> Result<(Unkept, Vec<i32>), AppError> {
    let mut tx = app.db.system().await?;
    let nodes = node_addresses(&mut tx, &app.keyring, instance).await?;
    drop(tx);
    let ask = AskUnkept { client_certificates };
    let asked = nodes.iter().map(async |(broker, node)| (*broker, app.nodes.unkept_connections(node, &ask).await));
    let (answers, silent) = heard(join_all(asked).await);
    let mut sum = Unkept::default();
    for (_, answer) in answers {
        sum.others += answer.others;
        for (user, count) in answer.by_user {
            *sum.by_user.entry(user).or_default() += count;
        }
    }
    Ok((sum, silent))
}

/// The key of each connection of a broker that has one.
async fn keys_at(
    app: &App,
    node: &NodeAddress,
    key: &(impl Fn(LiveConnection) -> Option<String> + Sync),
) -> Result<Vec<String>, NodeError> {
    let mut keys = Vec::new();
    let mut after = 0;
    loop {
        let asked = ListConnections { filter: ConnectionFilter::default(), after, limit: MAX_LIMIT };
        let page = app.nodes.list_connections(node, &asked).await?.connections;
        let Some(last) = page.last() else { return Ok(keys) };
        after = last.id;
        keys.extend(page.into_iter().filter_map(key));
    }
}

impl From<ProvisioningError> for AppError {
    fn from(error: ProvisioningError) -> Self {
        match error {
            ProvisioningError::Secret(error) => error.into(),
            ProvisioningError::Store(error) => error.into(),
            error @ ProvisioningError::NoAddress(_) => Self::Internal(error.to_string()),
        }
    }
}

/// The instance, and where its brokers' control APIs are.
pub(super) async fn find(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
) -> Result<(InstanceId, Vec<(i32, NodeAddress)>), AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, id_or_name).await?;
    states::check(record.state, InstanceAction::Use).map_err(|refused| {
        Refusal::new(ProblemCode::ActionNotAllowed)
            .detail(refused.to_string(), refused.chinese())
            .with("state", states::state_name(refused.state))
            .with("allowed_actions", json!(refused.allowed))
    })?;
    drop(tx);
    let mut tx = app.db.system().await?;
    let nodes = node_addresses(&mut tx, &app.keyring, record.id).await?;
    Ok((record.id, nodes))
}

/// One page out of every broker's answer.
fn merge(request: &PageRequest<Key>, answers: Vec<Heard<ConnectionList>>) -> ClientConnectionPage {
    let (lists, silent_brokers) = heard(answers);
    let total = request.count.then(|| lists.iter().map(|(_, list)| list.total).sum());
    let mut rows: Vec<(i32, LiveConnection)> = lists
        .into_iter()
        .flat_map(|(broker, list)| list.connections.into_iter().map(move |connection| (broker, connection)))
        .collect();
    rows.sort_by_key(|(broker, connection)| (*broker, connection.id));
    let page = request.page(rows, |(broker, connection)| (*broker, connection.id), view, total);
    ClientConnectionPage { items: page.items, next_cursor: page.next_cursor, total: page.total, silent_brokers }
}

/// Answers, and brokers that gave none.
fn heard<T>(answers: Vec<Heard<T>>) -> (Vec<(i32, T)>, Vec<i32>) {
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for (broker, answer) in answers {
        match answer {
            Ok(answer) => told.push((broker, answer)),
            Err(error) => {
                tracing::warn!(node = broker, %error, "a broker does not tell of its connections");
                silent.push(broker);
            }
        }
    }
    (told, silent)
}

/// What is to be closed, sorted out.
#[derive(Debug, PartialEq, Eq)]
enum Orders {
    Ids(BTreeMap<i32, Vec<u64>>),
    Fitting { broker_id: Option<i32>, filter: ConnectionFilter },
}

fn orders(request: &CloseConnections) -> Result<Orders, Refusal> {
    match (&request.ids, &request.filter) {
        (Some(ids), None) if ids.len() > MAX_CLOSED => {
            let detail = format!("1 to {MAX_CLOSED} ids");
            Err(invalid(FieldError::new("/ids", "out-of-range", detail).with("min", 1).with("max", MAX_CLOSED)))
        }
        (Some(ids), None) => {
            let mut by_broker: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
            for (place, id) in ids.iter().enumerate() {
                let parts = id.split_once('-').and_then(|(broker, id)| Some((broker.parse().ok()?, id.parse().ok()?)));
                let Some((broker, id)) = parts else {
                    let fault = FieldError::new(format!("/ids/{place}"), "malformed", "an `id` of the list");
                    return Err(invalid(fault));
                };
                by_broker.entry(broker).or_default().push(id);
            }
            Ok(Orders::Ids(by_broker))
        }
        (None, Some(wanted)) => {
            let filter = node_filter("/filter/ip", &wanted.ip, &wanted.user, &wanted.client_id)?;
            if filter.is_empty() {
                let detail = "at least one of ip, user and client_id";
                return Err(invalid(FieldError::new("/filter", "required", detail)));
            }
            Ok(Orders::Fitting { broker_id: wanted.broker_id, filter })
        }
        _ => Err(invalid(FieldError::new("/ids", "required", "either ids or a filter"))),
    }
}

fn node_filter(
    ip_at: &str,
    ip: &Option<String>,
    user: &Option<String>,
    client_id: &Option<String>,
) -> Result<ConnectionFilter, Refusal> {
    let ip = match ip {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let detail = "an IPv4 or IPv6 address";
            invalid(FieldError::new(ip_at, "malformed", detail))
        })?),
    };
    Ok(ConnectionFilter { ip, user: user.clone(), client_id: client_id.clone() })
}

fn invalid(fault: FieldError) -> Refusal {
    Refusal::invalid(vec![fault])
}

fn view((broker_id, connection): (i32, LiveConnection)) -> ClientConnection {
    let time = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
    ClientConnection {
        id: format!("{broker_id}-{}", connection.id),
        broker_id,
        path: connection.path.as_str().to_owned(),
        ip: connection.ip.to_string(),
        port: connection.port,
        user: connection.user,
        mechanism: connection.mechanism,
        certificate: connection.certificate.map(|shown| ConnectionCertificate {
            subject: shown.subject,
            issuer: shown.issuer,
            serial: shown.serial,
            valid_until: DateTime::from_timestamp(shown.valid_until, 0).unwrap_or_default(),
        }),
        client_id: connection.client_id,
        software_name: connection.software_name,
        software_version: connection.software_version,
        connected_at: time(connection.since_ms),
        active_at: time(connection.active_ms),
        bytes_in: connection.bytes_in,
        bytes_out: connection.bytes_out,
        requests: connection.requests,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_api::spec::AccessPath;
    use control_plane_api::client_connections::CloseFilter;

    fn list(ids: impl IntoIterator<Item = u64>, total: u64) -> ConnectionList {
        let connections = ids.into_iter().map(|id| LiveConnection {
            id,
            path: AccessPath::PrivatePlaintext,
            ip: "192.0.2.1".parse().unwrap(),
            port: 1,
            user: None,
            mechanism: None,
            certificate: None,
            client_id: None,
            software_name: None,
            software_version: None,
            since_ms: 0,
            active_ms: 0,
            bytes_in: 0,
            bytes_out: 0,
            requests: 0,
        });
        ConnectionList { connections: connections.collect(), total }
    }

    #[test]
    fn a_page_goes_over_brokers_and_names_those_that_are_silent() {
        let query = PageQuery { limit: Some(3), count: Some("exact".into()), ..PageQuery::default() };
        let request = PageRequest::parse(&query).unwrap();
        let silent = NodeError::Unreachable { address: "127.0.0.1:1".parse().unwrap(), reason: "gone".into() };
        let page = merge(&request, vec![(1, Ok(list([7, 9], 2))), (2, Err(silent)), (3, Ok(list([4, 5], 2)))]);
        assert_eq!(page.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["1-7", "1-9", "3-4"]);
        assert_eq!((page.total, page.silent_brokers), (Some(4), vec![2]));
        let next = PageQuery { cursor: page.next_cursor, ..PageQuery::default() };
        assert_eq!(PageRequest::<Key>::parse(&next).unwrap().after, Some((3, 4)));
    }

    #[test]
    fn what_is_to_end_is_named_by_ids_or_by_a_filter_that_says_something() {
        let ids = |ids: &[&str]| CloseConnections {
            ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            filter: None,
        };
        let wanted = BTreeMap::from([(1, vec![7, 9]), (3, vec![4])]);
        assert_eq!(orders(&ids(&["1-7", "3-4", "1-9"])).unwrap(), Orders::Ids(wanted));
        let only = |filter| CloseConnections { ids: None, filter: Some(filter) };
        let broker = CloseFilter { broker_id: Some(1), ..Default::default() };
        let ip = CloseFilter { ip: Some("somewhere".into()), ..Default::default() };
        let both = CloseConnections { filter: Some(broker.clone()), ..ids(&["1-7"]) };
        for (request, pointer) in [
            (CloseConnections::default(), "/ids"),
            (both, "/ids"),
            (ids(&["1-7", "x"]), "/ids/1"),
            (ids(&["1-7"; 501]), "/ids"),
            (only(broker), "/filter"),
            (only(ip), "/filter/ip"),
        ] {
            assert_eq!(orders(&request).unwrap_err().errors[0].pointer, pointer, "{request:?}");
        }
    }
}
