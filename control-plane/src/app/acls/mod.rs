//! Kafka's access control lists of an instance: listed, made, deleted.
//!
//! Kafka keeps them, and is asked each time: what was made through Kafka's own tools is there as well. A change is a job
//! that names every binding of it. The platform's own bindings are neither shown nor touched.

mod change;

pub(crate) use change::Change;
pub use change::{Wanted, change_acls, plan_acls};

use crate::{
    app::{App, AppError, Refusal, kafka, page::PageRequest},
    domain::{acl, actor::ProjectScope, rights::Right},
};
use control_plane_api::{
    acl::{AclBinding, AclFilter, CreateAcls, MAX_BINDINGS},
    id::InstanceId,
    page::{Page, PageQuery},
    problem::FieldError,
};

/// By resource, name and principal.
pub async fn list_acls(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    filter: &AclFilter,
    query: &PageQuery,
) -> Result<Page<AclBinding>, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let request = PageRequest::<AclBinding>::parse(query)?;
    let record = kafka::serving(app, scope, instance).await?;
    let mut found = bindings(app, record.id).await?;
    found.retain(|binding| acl::fits(filter, binding));
    let total = request.count.then_some(found.len() as u64);
    let rest = found.into_iter().filter(|binding| request.after.as_ref().is_none_or(|last| binding > last));
    let rows = rest.take(usize::try_from(request.fetch()).unwrap_or(usize::MAX)).collect();
    Ok(request.page(rows, AclBinding::clone, |binding| binding, total))
}

/// Bindings to be made.
pub fn create_acls(scope: &ProjectScope, request: &CreateAcls) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    let mut faults = Vec::new();
    if request.bindings.is_empty() || request.bindings.len() > MAX_BINDINGS {
        let detail = format!("1 to {MAX_BINDINGS} bindings a request");
        let fault = FieldError::new("/bindings", "out-of-range", detail).with("min", 1).with("max", MAX_BINDINGS);
        faults.push(fault);
    } else {
        for (index, binding) in request.bindings.iter().enumerate() {
            acl::check(&format!("/bindings/{index}"), binding, &mut faults);
        }
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    Ok(Wanted { operation: "create_acls", change: Change::Create(request.bindings.iter().cloned().collect()) })
}

/// Bindings to be deleted: all that the filter finds.
pub fn delete_acls(scope: &ProjectScope, filter: &AclFilter) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    if *filter == AclFilter::default() {
        let detail =
            "name at least one of resource_type, resource_name, pattern_type, principal, operation, permission";
        return Err(Refusal::invalid(vec![FieldError::new("principal", "acl-filter-empty", detail)]).into());
    }
    Ok(Wanted { operation: "delete_acls", change: Change::Delete(filter.clone()) })
}

/// What the tenant has bound, sorted.
pub(crate) async fn bindings(app: &App, instance: InstanceId) -> Result<Vec<AclBinding>, AppError> {
    let cluster = kafka::cluster(app, instance).await?;
    app.kafka.acls(&cluster).await.map_err(|error| kafka::failed(instance, error))
}
