//! Bandwidth of an instance: what was bought, and what the brokers see of it now.

use super::statuses::ask_brokers;
use crate::{
    app::{App, AppError},
    domain::{actor::ProjectScope, bandwidth, rights::Right},
};
use broker_api::status::DirectionStatus;
use control_plane_api::bandwidth::{Bandwidth, BrokerBandwidth, DirectionBandwidth};

pub async fn get_bandwidth(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Bandwidth, AppError> {
    scope.require(Right::InstanceRead)?;
    let (record, heard) = ask_brokers(app, scope, id_or_name).await?;
    let direction = |status: DirectionStatus| DirectionBandwidth {
        limit_bytes_per_second: status.limit_bytes_per_second,
        bytes_per_second: status.bytes_per_second,
        paused_ms: status.paused_ms,
    };
    let (mut brokers, mut silent_brokers) = (Vec::new(), heard.silent);
    for (broker_id, status) in heard.brokers {
        match status.gateway.bandwidth {
            Some(told) => {
                let (ingress, egress) = (direction(told.ingress), direction(told.egress));
                brokers.push(BrokerBandwidth { broker_id, ingress, egress });
            }
            None => silent_brokers.push(broker_id),
        }
    }
    silent_brokers.sort_unstable();
    Ok(Bandwidth {
        bought_bytes_per_second: bandwidth::bought(&record.spec),
        share_bytes_per_second: bandwidth::share(&record.spec),
        brokers,
        silent_brokers,
    })
}
