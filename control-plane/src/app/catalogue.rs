//! The catalogue: what tenants can buy, and what operators offer.

use crate::{
    app::{App, AppError, Refusal, audit::Entry},
    domain::{
        actor::Actor,
        catalogue::{check_kafka_version, check_spec},
        placement::Room,
    },
    store::{Database, SystemTx, audit, capacity, catalogue},
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    catalogue::{DiskType, KafkaVersion, PutKafkaVersion, PutSpec, PutZoneRoom, Region, Spec, Zone, ZoneRoom},
    page::Page,
    problem::ProblemCode,
};

/// A region that this installation serves, as its configuration says.
#[derive(Debug, Clone)]
pub struct RegionSeed {
    pub name: String,
    pub title: String,
    /// Name and room of each zone.
    pub zones: Vec<(String, Room)>,
}

impl RegionSeed {
    /// One machine as a region of three zones. The room is virtual: what brokers really take of the machine is the
    /// driver's sizing. Each zone takes `brokers_per_zone` brokers of `kafka.100`, or fewer larger ones.
    pub fn local(brokers_per_zone: u32) -> Self {
        let brokers = u64::from(brokers_per_zone);
        let room = Room { vcpus: 2 * brokers, memory_gib: 4 * brokers, storage_gb: 90_000 * brokers.max(1) };
        let zones = ["local-1a", "local-1b", "local-1c"].map(|zone| (zone.to_owned(), room));
        Self { name: "local-1".to_owned(), title: "This machine".to_owned(), zones: zones.into() }
    }
}

/// Adds the configured regions and zones that are missing. Run at start by every replica. A zone that is there keeps the
/// room that an operator may have given it since.
pub async fn seed_regions(db: &Database, regions: &[RegionSeed], now: DateTime<Utc>) -> Result<(), AppError> {
    let mut tx = db.system().await?;
    let known = capacity::zones(&mut tx).await?;
    for region in regions {
        catalogue::put_region(&mut tx, &region.name, &region.title).await?;
        for (zone, room) in region.zones.iter().filter(|(name, _)| !known.iter().any(|zone| zone.name == *name)) {
            capacity::put_zone(&mut tx, zone, &region.name, *room, now).await?;
        }
    }
    Ok(tx.commit().await?)
}

pub async fn list_regions(app: &App, actor: &Actor) -> Result<Page<Region>, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    let offered = catalogue::load(&mut tx).await?;
    let regions = catalogue::regions(&mut tx).await?;
    let zones_of = |region: &str| -> Vec<Zone> {
        let zones = offered.zones.iter().filter(|zone| zone.region == region);
        zones.map(|zone| view(zone.name.clone(), zone.region.clone(), offered.sold_out_specs(zone))).collect()
    };
    let view = |(name, title): (String, String)| Region { zones: zones_of(&name), name, title };
    Ok(Page::whole(regions.into_iter().map(view).collect()))
}

pub async fn list_zones(app: &App, actor: &Actor) -> Result<Page<Zone>, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    let offered = catalogue::load(&mut tx).await?;
    let zones = offered.zones.iter();
    Ok(Page::whole(
        zones.map(|zone| view(zone.name.clone(), zone.region.clone(), offered.sold_out_specs(zone))).collect(),
    ))
}

fn view(name: String, region: String, sold_out_specs: Vec<String>) -> Zone {
    Zone { name, region, sold_out_specs }
}

/// Specs on sale.
pub async fn list_specs(app: &App, actor: &Actor) -> Result<Page<Spec>, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    Ok(Page::whole(catalogue::specs(&mut tx).await?.into_iter().filter(|spec| spec.available).collect()))
}

/// Disk types on sale.
pub async fn list_disk_types(app: &App, actor: &Actor) -> Result<Page<DiskType>, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    Ok(Page::whole(catalogue::disk_types(&mut tx).await?.into_iter().filter(|disk| disk.available).collect()))
}

/// Versions on offer, the newest first.
pub async fn list_kafka_versions(app: &App, actor: &Actor) -> Result<Page<KafkaVersion>, AppError> {
    let mut tx = app.db.tenant(actor).await?;
    Ok(Page::whole(catalogue::kafka_versions(&mut tx).await?.into_iter().filter(|version| version.available).collect()))
}

/// Whoever may use the operator API; to others it does not exist.
fn operator(actor: &Actor) -> Result<(), AppError> {
    if actor.operator { Ok(()) } else { Err(Refusal::new(ProblemCode::NotFound).into()) }
}

/// All specs, retired ones too.
pub async fn list_all_specs(app: &App, actor: &Actor) -> Result<Page<Spec>, AppError> {
    operator(actor)?;
    Ok(Page::whole(catalogue::specs(&mut *app.db.system().await?).await?))
}

/// All versions, retired ones too.
pub async fn list_all_kafka_versions(app: &App, actor: &Actor) -> Result<Page<KafkaVersion>, AppError> {
    operator(actor)?;
    Ok(Page::whole(catalogue::kafka_versions(&mut *app.db.system().await?).await?))
}

pub async fn list_zone_rooms(app: &App, actor: &Actor) -> Result<Page<ZoneRoom>, AppError> {
    operator(actor)?;
    Ok(Page::whole(capacity::rooms(&mut *app.db.system().await?).await?))
}

/// Adds, prices or retires a spec. Instances keep the figures they were sold with.
pub async fn put_spec(app: &App, actor: &Actor, name: &str, request: &PutSpec) -> Result<Spec, AppError> {
    operator(actor)?;
    let mut tx = app.db.system().await?;
    let faults = check_spec(name, request, &catalogue::disk_types(&mut tx).await?);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    catalogue::put_spec(&mut tx, name, request).await?;
    let spec = catalogue::specs(&mut tx).await?.into_iter().find(|spec| spec.name == name);
    commit(app, actor, tx, Entry::new("put_spec").on("spec", name).detail(request)).await?;
    spec.ok_or_else(|| AppError::Internal(format!("spec {name} was written and is not there")))
}

/// Adds or retires a Kafka version, or makes it the default.
pub async fn put_kafka_version(
    app: &App,
    actor: &Actor,
    version: &str,
    request: &PutKafkaVersion,
) -> Result<KafkaVersion, AppError> {
    operator(actor)?;
    let faults = check_kafka_version(version, request);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    let mut tx = app.db.system().await?;
    catalogue::put_kafka_version(&mut tx, version, request).await?;
    commit(app, actor, tx, Entry::new("put_kafka_version").on("kafka-version", version).detail(request)).await?;
    Ok(KafkaVersion {
        version: version.to_owned(),
        default: request.default,
        oldest_client: request.oldest_client.clone(),
        available: request.available,
    })
}

/// Gives a zone other room.
pub async fn put_zone_room(app: &App, actor: &Actor, name: &str, request: &PutZoneRoom) -> Result<ZoneRoom, AppError> {
    operator(actor)?;
    let mut tx = app.db.system().await?;
    let zones = capacity::zones(&mut tx).await?;
    let zone = zones.iter().find(|zone| zone.name == name).ok_or_else(AppError::not_found)?;
    let room = Room {
        vcpus: u64::from(request.vcpus),
        memory_gib: u64::from(request.memory_gib),
        storage_gb: request.storage_gb,
    };
    capacity::put_zone(&mut tx, name, &zone.region, room, app.clock.now()).await?;
    let room = capacity::rooms(&mut tx).await?.into_iter().find(|room| room.zone == name);
    commit(app, actor, tx, Entry::new("put_zone_room").on("zone", name).detail(request)).await?;
    room.ok_or_else(AppError::not_found)
}

/// Ends an operator's change with its line in the audit trail of the operator's own organisation.
async fn commit(app: &App, actor: &Actor, mut tx: SystemTx, entry: Entry) -> Result<(), AppError> {
    audit::append(&mut tx, &entry.accepted(actor, None, app.clock.now())).await?;
    Ok(tx.commit().await?)
}
