//! Differences of two figures with bounds: the least and the most that both bounds allow together.

use crate::oee::{Figure, Ratio};
use crate::unit::Rational;

/// A number as far as the data determine it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The least; `None` if it is open.
    pub low: Option<Rational>,
    /// The most; `None` if it is open.
    pub high: Option<Rational>,
    /// Under the convention, where it is defined.
    pub point: Option<Rational>,
}

impl Range {
    /// The values of a figure themselves.
    pub fn of(figure: &Figure) -> Self {
        let value = |ratio: Option<Ratio>| ratio.map(Ratio::value);
        Self { low: value(figure.low), high: value(figure.high), point: value(figure.point) }
    }

    /// After less before: the least after less the most before, and so on.
    pub fn difference(before: &Figure, after: &Figure) -> Self {
        let (before, after) = (Self::of(before), Self::of(after));
        let less = |a: Option<Rational>, b: Option<Rational>| a?.checked_sub(b?);
        Self {
            low: less(after.low, before.high),
            high: less(after.high, before.low),
            point: less(after.point, before.point),
        }
    }

    /// After over before, less one; an end whose divisor is zero or unknown is open. Both figures are not negative.
    pub fn relative(before: &Figure, after: &Figure) -> Self {
        let (before, after) = (Self::of(before), Self::of(after));
        let change = |a: Option<Rational>, b: Option<Rational>| a?.checked_div(b?)?.checked_sub(Rational::ONE);
        let low = match before.high {
            // However much there was before: no more than all of it can have gone.
            None => after.low.map(|_| Rational::integer(-1)),
            high => change(after.low, high),
        };
        Self { low, high: change(after.high, before.low), point: change(after.point, before.point) }
    }

    /// The same with its sign turned, so that less becomes better.
    #[must_use]
    pub fn turned(self) -> Self {
        let turn = |value: Option<Rational>| value.and_then(|value| Rational::ZERO.checked_sub(value));
        Self { low: turn(self.high), high: turn(self.low), point: turn(self.point) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(low: &str, high: Option<&str>, point: &str) -> Figure {
        let ratio = |text: &str| Ratio::new(Rational::parse(text).unwrap(), Rational::ONE);
        Figure { low: ratio(low), high: high.and_then(ratio), point: ratio(point), reason: None }
    }

    fn text(range: Range) -> [String; 3] {
        [range.low, range.high, range.point]
            .map(|value| value.map_or_else(|| "?".to_owned(), |value| value.to_string()))
    }

    #[test]
    fn the_ends_of_a_difference_take_the_opposite_ends_of_its_parts() {
        let (before, after) = (figure("0.5", Some("0.6"), "0.55"), figure("0.6", Some("0.75"), "0.66"));
        // 0.6 - 0.6, 0.75 - 0.5, 0.66 - 0.55
        assert_eq!(text(Range::difference(&before, &after)), ["0", "0.25", "0.11"]);
        // 0.6 / 0.6 - 1, 0.75 / 0.5 - 1, 0.66 / 0.55 - 1
        assert_eq!(text(Range::relative(&before, &after)), ["0", "0.5", "0.2"]);
        assert_eq!(text(Range::difference(&before, &after).turned()), ["-0.25", "0", "-0.11"]);
    }

    #[test]
    fn an_end_that_divides_by_nothing_is_open() {
        let (before, after) = (figure("0", Some("0.5"), "0"), figure("0.6", None, "0.6"));
        assert_eq!(text(Range::relative(&before, &after)), ["0.2", "?", "?"]);
        assert_eq!(text(Range::relative(&figure("0.5", None, "0.5"), &after)), ["-1", "?", "0.2"]);
        assert_eq!(text(Range::difference(&before, &after)), ["0.1", "?", "0.6"]);
    }
}
