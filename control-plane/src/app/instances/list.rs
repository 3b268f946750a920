//! The list of instances: what may be asked for.

use crate::{
    app::{
        App, AppError, Refusal,
        page::{self, PageRequest},
    },
    domain::{actor::ProjectScope, catalogue::full_spec_name, rights::Right, states},
    store::instance_list::{self, Filter, Place, Sort},
};
use control_plane_api::{
    id::InstanceId,
    instance::{Instance, InstanceFilter},
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
};
use uuid::Uuid;

pub async fn list_instances(
    app: &App,
    scope: &ProjectScope,
    filter: &InstanceFilter,
    query: &PageQuery,
) -> Result<Page<Instance>, AppError> {
    scope.require(Right::InstanceRead)?;
    let request = PageRequest::<Place>::parse(query)?;
    let (filter, sort) = parse(filter, request.after.as_ref())?;
    let mut tx = app.db.tenant(scope).await?;
    let rows = instance_list::list(&mut tx, &filter, sort, request.after.as_ref(), request.fetch()).await?;
    let total = if request.count { Some(instance_list::count(&mut tx, &filter).await?) } else { None };
    let shown = super::show_all(&mut tx, rows.clone()).await?;
    let rows: Vec<_> = rows.into_iter().zip(shown).collect();
    Ok(request.page(rows, |(record, _)| Place::of(record, sort), |(_, instance)| instance, total))
}

/// All faults of the query together.
fn parse(query: &InstanceFilter, after: Option<&Place>) -> Result<(Filter, Sort), Refusal> {
    let mut faults = Vec::new();
    let states: Vec<String> = split(query.state.as_deref());
    for state in states.iter().filter(|state| states::parse_state(state).is_none()) {
        let known = states::STATES.map(states::state_name).join(", ");
        let detail = format!("{state:?} is no state; accepted: {known}");
        faults.push(FieldError::new("state", "unknown-value", detail).with("accepted", known));
    }
    let label = query.label.as_deref().map(|text| text.split_once(':').map(|(k, v)| (k.to_owned(), v.to_owned())));
    if label == Some(None) {
        faults.push(FieldError::new("label", "malformed", "a label is given as key:value"));
    }
    let of_cursor = after.map(|place| place.sort);
    let sort = page::order(query.sort.as_deref(), Sort::ALL, Sort::as_str, of_cursor, &mut faults);
    if !faults.is_empty() {
        return Err(Refusal { errors: faults, ..Refusal::new(ProblemCode::MalformedRequest) });
    }
    // What is no id is the id of nothing.
    let nothing = InstanceId::from_uuid(Uuid::nil());
    let filter = Filter {
        states,
        name: query.name.clone(),
        id: query.id.as_deref().map(|text| text.parse().unwrap_or(nothing)),
        address: query.address.clone(),
        spec: query.spec.as_deref().map(|spec| full_spec_name(spec).into_owned()),
        zone: query.zone.clone(),
        label: label.flatten(),
        q: query.q.clone(),
        created_after: query.created_after,
        created_before: query.created_before,
    };
    Ok((filter, sort))
}

/// Values separated by commas.
pub(crate) fn split(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
}
