//! Quotes: a price before it is charged.

use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry},
    domain::{
        actor::ProjectScope,
        purchase::{self, Sale},
        rights::Right,
        storage,
    },
    store::{TenantTx, catalogue, quotes},
};
use chrono::Duration;
use control_plane_api::{
    id::QuoteId,
    money::Money,
    problem::FieldError,
    quote::{CreateQuote, Quote},
};

/// How long an order can refer to a quote.
const VALID_FOR: Duration = Duration::minutes(15);

pub async fn create_quote(
    app: &App,
    scope: &ProjectScope,
    key: Option<IdempotencyKey>,
    request: &CreateQuote,
) -> Result<Answer<Quote>, AppError> {
    scope.require(Right::QuoteCreate)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let offered = catalogue::load(&mut write.tx).await?;
    let sale = purchase::check_quote(request, &offered).map_err(Refusal::invalid)?;
    let price = sale.price();
    let sold_out_zones = sale.place(&offered.zones).err().map(|sold_out| sold_out.zones).unwrap_or_default();
    let now = app.clock.now();
    let quote = Quote {
        id: QuoteId::generate(),
        usable_storage_gb: storage::usable_gb(sale.storage_gb, sale.spec.brokers),
        spec: sale.spec.name,
        storage_gb: sale.storage_gb,
        disk_type: sale.disk.name,
        zones: sale.zones,
        billing: sale.billing.mode,
        months: sale.billing.months,
        lines: price.lines,
        total: Money::cny(price.total),
        per: price.per,
        in_stock: sold_out_zones.is_empty(),
        sold_out_zones,
        valid_until: now + VALID_FOR,
        created_at: now,
    };
    quotes::insert(&mut write.tx, request, &quote).await?;
    write.commit(Entry::new("create_quote").on("quote", quote.id).detail(request), quote).await
}

pub async fn get_quote(app: &App, scope: &ProjectScope, id: QuoteId) -> Result<Quote, AppError> {
    scope.require(Right::QuoteCreate)?;
    let mut tx = app.db.tenant(scope).await?;
    quotes::find(&mut tx, id).await?.map(|quote| quote.answer).ok_or_else(AppError::not_found)
}

/// What became of a quote that an order refers to.
#[derive(Debug)]
pub enum Standing {
    /// It holds.
    Good,
    /// There is none of this id in the project.
    Unknown(FieldError),
    /// It has expired, is for other terms, or the price has moved.
    Moved(FieldError),
}

/// Holds the quote against the terms that are ordered and the price of now.
pub async fn check(app: &App, tx: &mut TenantTx, id: QuoteId, sale: Option<&Sale>) -> Result<Standing, AppError> {
    let Some(quote) = quotes::find(tx, id).await? else {
        let detail = "the project has no quote of this id; ask for one with POST …/quotes";
        return Ok(Standing::Unknown(FieldError::new("/quote_id", "unknown-quote", detail)));
    };
    let moved = |code: &str, detail: String| FieldError::new("/quote_id", code, detail);
    if quote.valid_until <= app.clock.now() {
        let detail = format!("the quote was valid until {}", quote.valid_until.to_rfc3339());
        return Ok(Standing::Moved(moved("quote-expired", detail)));
    }
    let (quoted, Some(sale)) = (quote.answer, sale) else { return Ok(Standing::Good) };
    let same_terms = quoted.spec == sale.spec.name
        && quoted.storage_gb == sale.storage_gb
        && quoted.disk_type == sale.disk.name
        && quoted.zones == sale.zones
        && (quoted.billing, quoted.months) == (sale.billing.mode, sale.billing.months);
    if !same_terms {
        let detail = format!(
            "the quote is for {} with {} GB {} in {}, which is not what is ordered",
            quoted.spec,
            quoted.storage_gb,
            quoted.disk_type,
            quoted.zones.join(", ")
        );
        return Ok(Standing::Moved(moved("quote-of-other-terms", detail)));
    }
    let price = sale.price();
    if price.total != quoted.total.amount || price.per != quoted.per {
        let detail = format!(
            "quoted were {} CNY / {}, the price is {} CNY / {} now",
            quoted.total.amount, quoted.per, price.total, price.per
        );
        let fault = moved("price-moved", detail)
            .with("quoted", quoted.total.amount.to_string())
            .with("now", price.total.to_string());
        return Ok(Standing::Moved(fault));
    }
    Ok(Standing::Good)
}
