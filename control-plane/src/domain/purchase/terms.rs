//! The terms that have a price: spec, storage, disk, zones, time. Shared by quotes and orders.

use crate::domain::{
    catalogue::Catalogue,
    placement::{self, PlacedBroker, SoldOut, ZoneCapacity},
    price::{self, PREPAID_MONTHS, Price},
    storage,
};
use control_plane_api::{
    catalogue::{DiskType, Spec},
    instance::{BillingMode, BillingOrder},
    problem::FieldError,
};
use std::collections::BTreeSet;

/// Terms as a request names them.
#[derive(Debug)]
pub struct Terms<'a> {
    pub spec: &'a str,
    pub storage_gb: u32,
    pub disk_type: &'a str,
    pub zones: Option<&'a [String]>,
    pub billing: BillingOrder,
    /// Where the request names the months.
    pub months_pointer: &'a str,
}

/// Terms that break no rule, resolved against the catalogue.
#[derive(Debug, Clone)]
pub struct Sale {
    pub spec: Spec,
    pub storage_gb: u32,
    pub disk: DiskType,
    pub region: String,
    /// In name order.
    pub zones: Vec<String>,
    pub billing: BillingOrder,
}

impl Sale {
    pub fn price(&self) -> Price {
        price::price(&self.spec, &self.disk, self.storage_gb, &self.billing)
    }

    /// Places its brokers in the zones as they are now.
    pub fn place(&self, zones: &[ZoneCapacity]) -> Result<Vec<PlacedBroker>, SoldOut> {
        let zones: Vec<&ZoneCapacity> = zones.iter().filter(|zone| self.zones.contains(&zone.name)).collect();
        placement::place(self.spec.brokers, storage::broker_room(&self.spec, self.storage_gb), &zones)
    }
}

impl Terms<'_> {
    /// Adds every fault to `faults`; `Some` only when these terms added none.
    pub fn check(self, catalogue: &Catalogue, faults: &mut Vec<FieldError>) -> Option<Sale> {
        let spec = self.check_spec(catalogue, faults);
        let storage = spec.is_some_and(|spec| self.check_storage(spec, faults));
        let disk = self.check_disk(spec, catalogue, faults);
        let zones = match self.zones {
            Some(named) => check_zones(named, spec, catalogue, faults),
            None => default_zones(spec, catalogue, faults),
        };
        let months = self.check_months(faults);
        match (spec, storage, disk, zones, months) {
            (Some(spec), true, Some(disk), Some((region, zones)), true) => Some(Sale {
                spec: spec.clone(),
                storage_gb: self.storage_gb,
                disk: disk.clone(),
                region,
                zones,
                billing: self.billing,
            }),
            _ => None,
        }
    }

    fn check_spec<'c>(&self, catalogue: &'c Catalogue, faults: &mut Vec<FieldError>) -> Option<&'c Spec> {
        let spec = catalogue.spec(self.spec);
        if let Some(spec) = spec.filter(|spec| spec.available) {
            return Some(spec);
        }
        let accepted: Vec<&str> = catalogue.specs.iter().filter(|s| s.available).map(|s| s.name.as_str()).collect();
        let (code, what) = match spec {
            Some(spec) => ("retired-spec", format!("{} is no longer sold", spec.name)),
            None => ("unknown-spec", format!("{:?} is no spec", self.spec)),
        };
        let detail = format!("{what}; accepted: {}", accepted.join(", "));
        faults.push(FieldError::new("/spec", code, detail).with("accepted", accepted));
        None
    }

    fn check_storage(&self, spec: &Spec, faults: &mut Vec<FieldError>) -> bool {
        let (min, max) = (spec.storage_gb_min, spec.storage_gb_max);
        let within = (min..=max).contains(&self.storage_gb);
        if !within {
            let detail = format!("{} GB is given; {} takes {min} to {max} GB", self.storage_gb, spec.name);
            faults.push(FieldError::new("/storage_gb", "out-of-range", detail).with("min", min).with("max", max));
        }
        within
    }

    /// Without a known spec the disk type is still held against the catalogue.
    fn check_disk<'c>(
        &self,
        spec: Option<&Spec>,
        catalogue: &'c Catalogue,
        faults: &mut Vec<FieldError>,
    ) -> Option<&'c DiskType> {
        let sold = |disk: &&DiskType| disk.available && spec.is_none_or(|spec| spec.disk_types.contains(&disk.name));
        let known = catalogue.disk_type(self.disk_type);
        if let Some(disk) = known.filter(sold) {
            return Some(disk);
        }
        let accepted: Vec<&str> = catalogue.disk_types.iter().filter(sold).map(|disk| disk.name.as_str()).collect();
        let (code, what) = match (known, spec) {
            (None, _) => ("unknown-disk-type", format!("{:?} is no disk type", self.disk_type)),
            (Some(disk), Some(spec)) if disk.available => {
                ("disk-type-not-of-spec", format!("{} is not sold with {}", disk.name, spec.name))
            }
            (Some(disk), _) => ("retired-disk-type", format!("{} is no longer sold", disk.name)),
        };
        let detail = format!("{what}; accepted: {}", accepted.join(", "));
        faults.push(FieldError::new("/disk_type", code, detail).with("accepted", accepted));
        None
    }

    fn check_months(&self, faults: &mut Vec<FieldError>) -> bool {
        let accepted = "1 to 9, 12, 24 or 36";
        let (code, detail) = match (self.billing.mode, self.billing.months) {
            (BillingMode::Hourly, None) => return true,
            (BillingMode::Prepaid, Some(months)) if PREPAID_MONTHS.contains(&months) => return true,
            (BillingMode::Hourly, Some(_)) => (
                "months-without-prepaid",
                "months go with the mode prepaid; leave them out when paying by the hour".to_owned(),
            ),
            (BillingMode::Prepaid, None) => ("required", format!("prepaid needs months; accepted: {accepted}")),
            (BillingMode::Prepaid, Some(months)) => {
                ("months-not-offered", format!("{months} months are not sold; accepted: {accepted}"))
            }
        };
        faults.push(FieldError::new(self.months_pointer, code, detail).with("accepted", PREPAID_MONTHS.to_vec()));
        false
    }
}

/// Region and zones, in name order.
type Zones = (String, Vec<String>);

fn check_zones(
    named: &[String],
    spec: Option<&Spec>,
    catalogue: &Catalogue,
    faults: &mut Vec<FieldError>,
) -> Option<Zones> {
    let before = faults.len();
    let mut regions = BTreeSet::new();
    let mut zones = BTreeSet::new();
    let mut twice = false;
    for (at, name) in named.iter().enumerate() {
        let pointer = format!("/zones/{at}");
        if !zones.insert(name.clone()) {
            twice = true;
            faults.push(FieldError::new(
                pointer,
                "duplicate-zone",
                format!("{name:?} is named before; name each zone once"),
            ));
        } else if let Some(zone) = catalogue.zone(name) {
            regions.insert(zone.region.clone());
        } else {
            let known: Vec<&str> = catalogue.zones.iter().map(|zone| zone.name.as_str()).collect();
            let detail = format!("{name:?} is no zone; accepted: {}", known.join(", "));
            faults.push(FieldError::new(pointer, "unknown-zone", detail).with("accepted", known));
        }
    }
    if regions.len() > 1 {
        let listed: Vec<&str> = regions.iter().map(String::as_str).collect();
        let detail = format!("they are of the regions {}; an instance stands in one region", listed.join(", "));
        faults.push(FieldError::new("/zones", "zones-of-two-regions", detail).with("regions", listed));
    }
    let brokers = spec.map_or(usize::MAX, |spec| spec.brokers as usize);
    match zones.len() {
        0 => faults.push(FieldError::new("/zones", "required", "name one zone, or three and more, or leave them out")),
        2 if !twice => faults.push(FieldError::new(
            "/zones",
            "two-zones",
            "two zones cannot keep a quorum of three when the one with two of them is lost; accepted: one zone, or three and more",
        )),
        count if count > brokers => faults.push(
            FieldError::new(
                "/zones",
                "more-zones-than-brokers",
                format!("{count} zones are named, the spec has {brokers} brokers; accepted: one zone, or three to {brokers}"),
            )
            .with("limit", brokers),
        ),
        _ => {}
    }
    (faults.len() == before).then(|| (regions.pop_first().unwrap_or_default(), zones.into_iter().collect()))
}

/// All zones of the only region, as far as there are brokers for them; of two zones one, as two keep no quorum.
fn default_zones(spec: Option<&Spec>, catalogue: &Catalogue, faults: &mut Vec<FieldError>) -> Option<Zones> {
    let regions = catalogue.regions();
    let [region] = regions.as_slice() else {
        let detail = format!("there are several regions ({}), so the zones must be named", regions.join(", "));
        faults.push(FieldError::new("/zones", "required", detail));
        return None;
    };
    let mut zones: Vec<String> = catalogue.zones_of(region).into_iter().map(str::to_owned).collect();
    zones.truncate(spec.map_or(usize::MAX, |spec| spec.brokers as usize));
    if zones.len() == 2 {
        zones.truncate(1);
    }
    Some(((*region).to_owned(), zones))
}
