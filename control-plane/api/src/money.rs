//! Money: an exact decimal as text with its currency.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, iter::Sum, ops::Add, str::FromStr};
use utoipa::{PartialSchema, ToSchema};

/// An amount of CNY in units of 1/10 000, as prices by the hour have four places (product.md §1).
/// In JSON a decimal string: `"2.71"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Amount(i64);

impl Amount {
    pub const ZERO: Self = Self(0);

    pub const fn from_ten_thousandths(units: i64) -> Self {
        Self(units)
    }

    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// `self × times`; `None` when it passes what an amount can hold.
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, units) = if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        let (whole, part) = (units / 10_000, units % 10_000);
        if part % 100 == 0 {
            write!(f, "{sign}{whole}.{:02}", part / 100)
        } else {
            write!(f, "{sign}{whole}.{part:04}")
        }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount: digits, and after a point at most four more")]
pub struct ParseAmountError;

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || part.len() > 4 || !all_digits(whole) || !all_digits(part) {
            return Err(ParseAmountError);
        }
        let whole: i64 = whole.parse().map_err(|_| ParseAmountError)?;
        let part: i64 = format!("{part:0<4}").parse().map_err(|_| ParseAmountError)?;
        let units = whole.checked_mul(10_000).and_then(|w| w.checked_add(part)).ok_or(ParseAmountError)?;
        Ok(Self(if negative { -units } else { units }))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Amount {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some(r"^-?\d+(\.\d{1,4})?$"))
            .examples([serde_json::json!("2.71")])
            .into()
    }
}

impl ToSchema for Amount {}

/// An amount and its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    pub amount: Amount,
    pub currency: Currency,
}

impl Money {
    pub fn cny(amount: Amount) -> Self {
        Self { amount, currency: Currency::Cny }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Currency {
    #[serde(rename = "CNY")]
    Cny,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_with_two_places_or_four() {
        for (text, units) in [("2.71", 27_100), ("0.0013", 13), ("1300.00", 13_000_000), ("-0.50", -5_000)] {
            assert_eq!(text.parse(), Ok(Amount::from_ten_thousandths(units)));
            assert_eq!(Amount::from_ten_thousandths(units).to_string(), text);
        }
        assert_eq!("7".parse::<Amount>().map(|a| a.to_string()), Ok("7.00".to_owned()));
    }

    #[test]
    fn what_is_not_a_decimal_of_four_places_is_refused() {
        for text in ["", ".", "1e3", "0.00001", "1,5", "--1", "999999999999999999999"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
