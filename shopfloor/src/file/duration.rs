//! Durations as people write them: `500ms`, `4.5s`, `2min`, `1h30min`, exact.

use crate::time::{HOUR, MINUTE, SECOND};
use crate::unit::Rational;

/// Nanoseconds of a duration such as `4.5s` or `1h30min`; units are ns, us, ms, s, min, h, d. A leading minus is
/// read, so that a wrong value can be named. `None` for anything else, a bare number included.
pub fn parse(text: &str) -> Option<Rational> {
    let (negative, mut rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    let mut total = Rational::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let nanos = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "min" => MINUTE,
            "h" => HOUR,
            "d" => 24 * HOUR,
            _ => return None,
        };
        let part = Rational::parse(number)?.checked_mul(Rational::integer(i128::from(nanos)))?;
        total = total.checked_add(part)?;
        rest = tail.trim_start();
    }
    if negative { Rational::ZERO.checked_sub(total) } else { Some(total) }
}

/// The same in whole nanoseconds, not negative.
pub fn parse_nanos(text: &str) -> Option<i64> {
    let nanos = parse(text)?.to_integer()?;
    i64::try_from(nanos).ok().filter(|nanos| *nanos >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_exactly() {
        assert_eq!(parse_nanos("500ms"), Some(500_000_000));
        assert_eq!(parse_nanos("4.5s"), Some(4_500_000_000));
        assert_eq!(parse_nanos("1h30min"), Some(90 * MINUTE));
        assert_eq!(parse_nanos("2 min"), Some(2 * MINUTE));
        assert_eq!(parse("-1s"), Some(Rational::integer(-1_000_000_000)));
        for text in ["", "5", "5 parsecs", "s", "1..2s", "-"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse_nanos("-1s"), None);
    }
}
