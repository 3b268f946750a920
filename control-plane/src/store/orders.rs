//! Accepted orders: what was bought for which price. Kept when the instance is gone.

use crate::{
    domain::price::Price,
    store::{StoreError, TenantTx},
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{InstanceId, OrderId, QuoteId},
    instance::{Billing, BillingMode, BillingOrder},
    money::{Amount, Money},
};
use sqlx::{FromRow, types::Json};
use std::collections::HashMap;
use uuid::Uuid;

/// An order about to be written.
#[derive(Debug)]
pub struct NewOrder<'a> {
    pub id: OrderId,
    pub instance: InstanceId,
    pub quote: Option<QuoteId>,
    pub billing: &'a BillingOrder,
    pub price: &'a Price,
}

pub async fn insert(tx: &mut TenantTx, order: &NewOrder<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query(
        "insert into orders (id, org_id, project_id, instance_id, quote_id, billing_mode, months, lines, total, per, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9::bigint / 10000.0, $10, $11)",
    )
    .bind(order.id.uuid())
    .bind(org)
    .bind(project)
    .bind(order.instance.uuid())
    .bind(order.quote.map(QuoteId::uuid))
    .bind(match order.billing.mode {
        BillingMode::Hourly => "hourly",
        BillingMode::Prepaid => "prepaid",
    })
    .bind(order.billing.months.map(|months| i32::try_from(months).unwrap_or(i32::MAX)))
    .bind(Json(&order.price.lines))
    .bind(order.price.total.ten_thousandths())
    .bind(&order.price.per)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct OrderRow {
    instance_id: Uuid,
    id: Uuid,
    billing_mode: String,
    months: Option<i32>,
    total: i64,
    per: String,
}

/// How each of these instances is paid: by its newest order.
pub async fn billing(tx: &mut TenantTx, instances: &[InstanceId]) -> Result<HashMap<InstanceId, Billing>, StoreError> {
    let org = tx.org();
    let ids: Vec<Uuid> = instances.iter().map(|id| id.uuid()).collect();
    let rows: Vec<OrderRow> = sqlx::query_as(
        "select distinct on (instance_id) instance_id, id, billing_mode, months, (total * 10000)::bigint as total, per
         from orders where org_id = $1 and instance_id = any ($2) order by instance_id, created_at desc, id desc",
    )
    .bind(org)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    let view = |row: OrderRow| {
        let billing = Billing {
            mode: if row.billing_mode == "prepaid" { BillingMode::Prepaid } else { BillingMode::Hourly },
            months: row.months.map(i32::unsigned_abs),
            price: Money::cny(Amount::from_ten_thousandths(row.total)),
            per: row.per,
            order_id: OrderId::from_uuid(row.id),
        };
        (InstanceId::from_uuid(row.instance_id), billing)
    };
    Ok(rows.into_iter().map(view).collect())
}
