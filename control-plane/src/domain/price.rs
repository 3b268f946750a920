//! What an order costs: two items, instance and storage (product.md §1), in exact decimals.

use control_plane_api::{
    catalogue::{DiskType, Spec},
    instance::{BillingMode, BillingOrder, OrderLine},
    money::{Amount, Money},
};

/// Months that can be prepaid.
pub const PREPAID_MONTHS: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 24, 36];

/// Percent off for prepaid time: years only (product.md §1, "discount for years"); the steps are our own, as usual
/// among the services that sell by the year.
pub fn discount_percent(months: u32) -> u32 {
    match months {
        0..12 => 0,
        12..24 => 15,
        24..36 => 30,
        _ => 50,
    }
}

/// A price and what it is made of: for an hour, or for the whole prepaid time.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    pub lines: Vec<OrderLine>,
    pub total: Amount,
    /// `hour`, `month` or `N months`.
    pub per: String,
}

/// The price of `spec` with `storage_gb` on `disk`. `billing` has been checked: prepaid names its months.
pub fn price(spec: &Spec, disk: &DiskType, storage_gb: u32, billing: &BillingOrder) -> Price {
    let (months, unit_instance, unit_gb, per) = match (billing.mode, billing.months) {
        (BillingMode::Prepaid, months) => {
            let months = months.unwrap_or(1);
            let per = if months == 1 { "month".to_owned() } else { format!("{months} months") };
            (months, spec.price_per_month, disk.price_per_gb_month, per)
        }
        (BillingMode::Hourly, _) => (1, spec.price_per_hour, disk.price_per_gb_hour, "hour".to_owned()),
    };
    let discount = match billing.mode {
        BillingMode::Prepaid => discount_percent(months),
        BillingMode::Hourly => 0,
    };
    let lines = vec![
        line("instance", spec.name.clone(), 1, unit_instance, months, discount),
        line("storage", format!("{}, GB", disk.title), storage_gb, unit_gb, months, discount),
    ];
    let total = lines.iter().map(|line| line.amount.amount).sum();
    Price { lines, total, per }
}

fn line(item: &str, title: String, quantity: u32, unit: Amount, times: u32, discount_percent: u32) -> OrderLine {
    OrderLine {
        item: item.to_owned(),
        title,
        quantity,
        unit_price: Money::cny(unit),
        discount_percent,
        amount: Money::cny(discounted(unit, u64::from(quantity) * u64::from(times), discount_percent)),
    }
}

/// `unit × count`, less the discount, rounded half up to a ten-thousandth. Prices of the catalogue (twelve digits),
/// storage and months stay far inside an amount; what would pass it is held at the largest one.
fn discounted(unit: Amount, count: u64, discount_percent: u32) -> Amount {
    let hundredfold =
        i128::from(unit.ten_thousandths()) * i128::from(count) * i128::from(100 - discount_percent.min(100));
    Amount::from_ten_thousandths(i64::try_from((hundredfold + 50).div_euclid(100)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::purchase::samples::catalogue;
    use proptest::prelude::*;

    fn of(spec: &str, disk: &str, gb: u32, mode: BillingMode, months: Option<u32>) -> Price {
        let catalogue = catalogue();
        let (spec, disk) = (catalogue.spec(spec).expect("seeded"), catalogue.disk_type(disk).expect("seeded"));
        price(spec, disk, gb, &BillingOrder { mode, months })
    }

    #[test]
    fn an_hour_costs_instance_and_storage() {
        let price = of("100", "high", 600, BillingMode::Hourly, None);
        // 2.71 + 600 × 0.0013 (product.md §1)
        assert_eq!((price.total.to_string().as_str(), price.per.as_str()), ("3.49", "hour"));
    }

    #[test]
    fn a_month_has_no_discount_and_years_have() {
        // 1300 + 600 × 0.60 = 1660 a month
        for (months, total, per) in [
            (1, "1660.00", "month"),
            (9, "14940.00", "9 months"),
            (12, "16932.00", "12 months"),
            (24, "27888.00", "24 months"),
            (36, "29880.00", "36 months"),
        ] {
            let price = of("kafka.100", "high", 600, BillingMode::Prepaid, Some(months));
            assert_eq!((price.total.to_string().as_str(), price.per.as_str()), (total, per));
        }
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_lines(gb in 1u32..90_000, months in proptest::sample::select(&PREPAID_MONTHS[..])) {
            let price = of("300", "ultra", gb, BillingMode::Prepaid, Some(months));
            prop_assert_eq!(price.total, price.lines.iter().map(|line| line.amount.amount).sum());
        }

        #[test]
        fn two_parts_of_storage_cost_what_the_whole_costs(unit in 0i64..1_000_000_000_000, a in 0u64..90_000, b in 0u64..90_000) {
            let unit = Amount::from_ten_thousandths(unit);
            prop_assert_eq!(discounted(unit, a, 0) + discounted(unit, b, 0), discounted(unit, a + b, 0));
        }

        #[test]
        fn a_discount_is_exact_to_half_a_ten_thousandth(unit in 0i64..1_000_000_000_000, count in 0u64..3_240_000, percent in 0u32..=100) {
            let exact_hundredfold = i128::from(unit) * i128::from(count) * i128::from(100 - percent);
            let got = i128::from(discounted(Amount::from_ten_thousandths(unit), count, percent).ten_thousandths()) * 100;
            prop_assert!((got - exact_hundredfold).abs() <= 50);
        }
    }
}
