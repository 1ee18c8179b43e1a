//! Numbers as JSON: the shortest decimal that round-trips an `f64`, beside the exact parts as text.
//!
//! The parts are text because they may be longer than a JavaScript number can hold. Nothing is rounded here.

use serde::{Deserialize, Serialize};
use shopfloor::counter;
use shopfloor::oee::{self, Figure};
use shopfloor::unit::Rational;
use utoipa::ToSchema;

use super::words::Reason;

/// A dimensionless exact ratio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Parts")]
pub struct Ratio {
    /// Nearest `f64`, written as the shortest decimal that reads back to it.
    #[schema(example = 0.8)]
    pub value: f64,
    /// Exact numerator: the part as it was counted where both parts are integers, else in lowest terms.
    #[schema(example = "21600000000000")]
    pub num: String,
    /// Exact denominator, above zero.
    #[schema(example = "27000000000000")]
    pub den: String,
}

impl From<Rational> for Ratio {
    fn from(exact: Rational) -> Self {
        Self { value: exact.to_f64(), num: exact.num().to_string(), den: exact.den().to_string() }
    }
}

impl From<oee::Ratio> for Ratio {
    fn from(ratio: oee::Ratio) -> Self {
        match (ratio.num.to_integer(), ratio.den.to_integer()) {
            (Some(num), Some(den)) => {
                Self { value: ratio.value().to_f64(), num: num.to_string(), den: den.to_string() }
            }
            _ => ratio.value().into(),
        }
    }
}

/// An exact number with its decimal text, as the meter would show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Parts")]
pub struct Number {
    /// Nearest `f64`.
    #[schema(example = 12.34)]
    pub value: f64,
    /// Exact decimal where it ends, otherwise `num/den`.
    #[schema(example = "12.34")]
    pub text: String,
    /// Exact numerator in lowest terms.
    #[schema(example = "617")]
    pub num: String,
    /// Exact denominator in lowest terms, above zero.
    #[schema(example = "50")]
    pub den: String,
}

impl From<Rational> for Number {
    fn from(exact: Rational) -> Self {
        Self {
            value: exact.to_f64(),
            text: exact.to_string(),
            num: exact.num().to_string(),
            den: exact.den().to_string(),
        }
    }
}

/// The exact parts as they were written; the decimal beside them is worked out again, never read back.
#[derive(Deserialize)]
struct Parts {
    num: String,
    den: String,
}

impl Parts {
    fn exact(&self) -> Result<Rational, String> {
        let (num, den) = (self.num.parse().ok(), self.den.parse().ok());
        let exact = num.zip(den).and_then(|(num, den)| Rational::new(num, den));
        exact.ok_or_else(|| format!("{}/{} is not a ratio of integers", self.num, self.den))
    }
}

impl TryFrom<Parts> for Ratio {
    type Error = String;
    fn try_from(parts: Parts) -> Result<Self, String> {
        Ok(Self { value: parts.exact()?.to_f64(), num: parts.num, den: parts.den })
    }
}

impl TryFrom<Parts> for Number {
    type Error = String;
    fn try_from(parts: Parts) -> Result<Self, String> {
        parts.exact().map(Self::from)
    }
}

/// A ratio with the least and the most that the data allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoundedRatio {
    /// The least; null when nothing can be said.
    pub low: Option<Ratio>,
    /// The most; null with `low` present means that it is open.
    pub high: Option<Ratio>,
    /// The value under the convention that a state holds from its sample to the next; null where that is undefined.
    pub point: Option<Ratio>,
    /// Why there is nothing, or why the upper bound is open.
    pub reason: Option<Reason>,
}

impl BoundedRatio {
    /// A ratio of which nothing is known, and why.
    pub fn nothing(reason: Reason) -> Self {
        Self { low: None, high: None, point: None, reason: Some(reason) }
    }
}

impl From<&Figure> for BoundedRatio {
    fn from(figure: &Figure) -> Self {
        Self {
            low: figure.low.map(Ratio::from),
            high: figure.high.map(Ratio::from),
            point: figure.point.map(Ratio::from),
            reason: figure.reason.as_ref().map(Reason::from),
        }
    }
}

/// A number of pieces with the least and the most that the data allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// The least; null when it is not counted.
    pub low: Option<i64>,
    /// The most; null with `low` present means that it is open.
    pub high: Option<i64>,
    /// The value under the convention; null where it is undefined.
    pub point: Option<i64>,
    /// Whether both bounds agree.
    pub exact: bool,
    /// Why nothing is known.
    pub reason: Option<Reason>,
}

impl Count {
    /// A count of which nothing is known, and why.
    pub fn nothing(reason: Reason) -> Self {
        Self { low: None, high: None, point: None, exact: false, reason: Some(reason) }
    }
}

impl From<&counter::Count> for Count {
    /// Whole pieces: a fraction of a piece widens the bounds to the next whole one.
    fn from(count: &counter::Count) -> Self {
        Self {
            low: whole(count.low, false),
            high: count.high.and_then(|high| whole(high, true)),
            point: count.point.and_then(|point| whole(point, false)),
            exact: count.high == Some(count.low),
            reason: None,
        }
    }
}

fn whole(number: Rational, up: bool) -> Option<i64> {
    let floor = number.num().div_euclid(number.den());
    let more = up && number.to_integer().is_none();
    i64::try_from(floor + i128::from(more)).ok()
}

/// Electrical energy with the least and the most that the data allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Energy {
    /// The least; null when it is not measured.
    pub low: Option<Number>,
    /// The most; null with `low` present means that it is open.
    pub high: Option<Number>,
    /// The value under the convention; null where it is undefined.
    pub point: Option<Number>,
    /// Whether both bounds agree.
    pub exact: bool,
    /// Always `kWh`.
    #[schema(example = "kWh")]
    pub unit: String,
    /// Why nothing is known.
    pub reason: Option<Reason>,
}

impl Energy {
    /// Energy of which nothing is known, and why.
    pub fn nothing(reason: Reason) -> Self {
        Self { low: None, high: None, point: None, exact: false, unit: "kWh".to_owned(), reason: Some(reason) }
    }
}

impl From<&counter::Count> for Energy {
    fn from(count: &counter::Count) -> Self {
        Self {
            low: Some(count.low.into()),
            high: count.high.map(Number::from),
            point: count.point.map(Number::from),
            exact: count.high == Some(count.low),
            unit: "kWh".to_owned(),
            reason: None,
        }
    }
}

/// A duration: milliseconds for display, nanoseconds as exact text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// Whole milliseconds, rounded down.
    pub ms: i64,
    /// Exact nanoseconds.
    pub ns: String,
}

impl From<i64> for Span {
    fn from(nanoseconds: i64) -> Self {
        Self { ms: nanoseconds.div_euclid(1_000_000), ns: nanoseconds.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_parts_stand_beside_the_shortest_decimal() {
        let ratio = Ratio::from(Rational::new(2, 3).unwrap());
        assert_eq!(serde_json::to_string(&ratio).unwrap(), r#"{"value":0.6666666666666666,"num":"2","den":"3"}"#);
        let number = Number::from(Rational::new(1234, 100).unwrap());
        assert_eq!(number.text, "12.34");
        assert_eq!(serde_json::to_string(&number.value).unwrap(), "12.34");
        let back: Ratio = serde_json::from_str(&serde_json::to_string(&ratio).unwrap()).unwrap();
        assert_eq!(back, ratio);
    }

    #[test]
    fn the_parts_of_a_ratio_are_kept_and_read_back_as_they_were_written() {
        let parts = oee::Ratio::new(Rational::integer(20), Rational::integer(40)).unwrap();
        let ratio = Ratio::from(parts);
        assert_eq!((ratio.num.as_str(), ratio.den.as_str()), ("20", "40"));
        let back: Ratio = serde_json::from_str(&serde_json::to_string(&ratio).unwrap()).unwrap();
        assert_eq!(back, ratio);
    }

    #[test]
    fn a_part_of_a_piece_widens_the_bounds() {
        let half = Rational::new(5, 2).unwrap();
        let found =
            counter::Count { low: half, high: Some(half), point: None, steps: std::collections::BTreeMap::new() };
        let count = Count::from(&found);
        assert_eq!((count.low, count.high), (Some(2), Some(3)));
    }
}
