//! Exact numbers into figures: the value for programs and the one text for people.

use shopfloor::acceptance;
use shopfloor::display::{self, Text, Unit};
use shopfloor::oee;
use shopfloor::remark::Remark;
use shopfloor::unit::Rational;

use super::shape::{Bounded, Figure, Range, Term};
use crate::evaluate::words::{Reason, Words};

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        Self { zh: text.zh, en: text.en }
    }
}

/// A word of the programme with its code.
pub fn term(code: &str, text: Text) -> Term {
    Term::new(code, text.zh, text.en)
}

/// A value of an indicator.
pub fn value(exact: Rational, unit: Unit) -> Figure {
    figure(exact, display::figure(exact, unit))
}

/// A share, such as a coverage.
pub fn share(ratio: oee::Ratio) -> Figure {
    of_ratio(ratio, Unit::Share)
}

/// A ratio with its parts as they were counted where both are integers.
fn of_ratio(ratio: oee::Ratio, unit: Unit) -> Figure {
    let mut figure = value(ratio.value(), unit);
    if let (Some(num), Some(den)) = (ratio.num.to_integer(), ratio.den.to_integer()) {
        (figure.num, figure.den) = (num.to_string(), den.to_string());
    }
    figure
}

/// A measured figure with its bounds.
pub fn bounded(found: &oee::Figure, unit: Unit) -> Bounded {
    let end = |ratio: Option<oee::Ratio>| ratio.map(|ratio| of_ratio(ratio, unit));
    Bounded {
        low: end(found.low),
        high: end(found.high),
        point: end(found.point),
        reason: found.reason.as_ref().map(Reason::from),
    }
}

/// Nothing, and why.
pub fn nothing(reason: &Remark) -> Bounded {
    Bounded { low: None, high: None, point: None, reason: Some(Reason::from(reason)) }
}

/// A difference: in points for a share, in its unit otherwise.
pub fn difference(found: acceptance::Range, unit: Unit) -> Range {
    range(found, |exact| figure(exact, display::difference(exact, unit)))
}

/// A difference as a share of the value before.
pub fn relative(found: acceptance::Range) -> Range {
    range(found, |exact| figure(exact, display::relative(exact)))
}

fn range(found: acceptance::Range, shown: impl Fn(Rational) -> Figure) -> Range {
    Range { low: found.low.map(&shown), high: found.high.map(&shown), point: found.point.map(&shown) }
}

fn figure(exact: Rational, text: Text) -> Figure {
    Figure { value: exact.to_f64(), num: exact.num().to_string(), den: exact.den().to_string(), text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_keeps_its_parts_and_is_rounded_once_in_its_text() {
        let ratio = oee::Ratio::new(Rational::integer(20), Rational::integer(30)).unwrap();
        let found = share(ratio);
        assert_eq!((found.num.as_str(), found.den.as_str(), found.text.zh.as_str()), ("20", "30", "66.67 %"));
        assert_eq!(found.value.to_string(), "0.6666666666666666");
        let points = acceptance::Range { low: None, high: None, point: Rational::parse("-0.042") };
        let points = difference(points, Unit::Share).point.unwrap();
        assert_eq!((points.text.zh.as_str(), points.value.to_string().as_str()), ("\u{2212}4.20 个百分点", "-0.042"));
    }
}
