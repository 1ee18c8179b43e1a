//! How an exact number is written for people: one text everywhere, on the page, in the API, on paper, in a cell.
//!
//! Rounding is exact, half away from zero; a minus is U+2212; groups of three are parted by a thin space. Words
//! stand beside a number only where the two languages differ.

use crate::unit::Rational;

/// Decimals of a percentage and of a difference in points.
pub const PERCENT_DIGITS: u32 = 2;
/// Decimals of an energy per piece in kWh.
pub const ENERGY_DIGITS: u32 = 4;

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Text {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl Text {
    /// A text from its two parts.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// A text that is the same in both languages.
    pub fn both(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { zh: text.clone(), en: text }
    }
}

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A share, shown as a percentage.
    Share,
    /// Kilowatt-hours per produced piece.
    KwhPerPiece,
}

impl Unit {
    /// The word in the API: empty for a share.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Share => "",
            Self::KwhPerPiece => "kWh/piece",
        }
    }

    /// The unit as people read it: `%`, or kWh/件.
    pub fn text(self) -> Text {
        match self {
            Self::Share => Text::both("%"),
            Self::KwhPerPiece => Text::new("kWh/件", "kWh/piece"),
        }
    }

    /// Whether it has no unit, so that a change may be stated in percentage points.
    pub const fn is_dimensionless(self) -> bool {
        matches!(self, Self::Share)
    }
}

/// A value with its unit: `61.53 %`, `0.1250 kWh/件`.
pub fn figure(value: Rational, unit: Unit) -> Text {
    match unit {
        Unit::Share => Text::both(percent(value, PERCENT_DIGITS)),
        Unit::KwhPerPiece => with_unit(&decimal(value, ENERGY_DIGITS), unit),
    }
}

/// A difference of two values with its sign: `+4.20 个百分点`, `−0.0125 kWh/件`.
pub fn difference(value: Rational, unit: Unit) -> Text {
    match unit {
        Unit::Share => points(value, PERCENT_DIGITS),
        Unit::KwhPerPiece => with_unit(&signed(value, ENERGY_DIGITS), unit),
    }
}

/// A relative change with its sign: `+8.11 %`.
pub fn relative(value: Rational) -> Text {
    Text::both(signed_percent(value, PERCENT_DIGITS))
}

/// Percentage points of a difference of shares, with the sign: `+4.20 个百分点`.
pub fn points(difference: Rational, digits: u32) -> Text {
    let number = rounded(difference, 2, digits, true);
    Text::new(format!("{number} 个百分点"), format!("{number} points"))
}

/// A share as a percentage: `61.53 %`.
pub fn percent(share: Rational, digits: u32) -> String {
    format!("{} %", rounded(share, 2, digits, false))
}

/// A relative change as a percentage with its sign: `+8.11 %`; zero has none.
pub fn signed_percent(change: Rational, digits: u32) -> String {
    format!("{} %", rounded(change, 2, digits, true))
}

/// A number with so many decimals: `1 234.50`.
pub fn decimal(value: Rational, digits: u32) -> String {
    rounded(value, 0, digits, false)
}

/// The same with its sign; zero has none.
pub fn signed(value: Rational, digits: u32) -> String {
    rounded(value, 0, digits, true)
}

/// A percentage as people write it in a target, without needless zeros: `65 %`, `0.5 %`.
pub fn plain_percent(share: Rational) -> String {
    let hundred = share.checked_mul(Rational::integer(100));
    hundred.map_or_else(|| percent(share, PERCENT_DIGITS), |number| format!("{} %", minus(&number.to_string())))
}

/// An exact number with the minus of print.
pub fn plain(value: Rational) -> String {
    minus(&value.to_string())
}

fn with_unit(number: &str, unit: Unit) -> Text {
    let unit = unit.text();
    Text::new(format!("{number} {}", unit.zh), format!("{number} {}", unit.en))
}

fn minus(text: &str) -> String {
    text.replacen('-', "\u{2212}", 1)
}

/// `value` x 10^`shift`, rounded half away from zero to `digits` decimals.
fn rounded(value: Rational, shift: u32, digits: u32, sign: bool) -> String {
    let (whole, decimals) = long_division(value, (shift + digits) as usize);
    // What the shift moves in front of the point.
    let (front, part) = decimals.split_at(shift as usize);
    let whole = format!("{whole}{front}");
    let whole = whole.trim_start_matches('0');
    let whole = grouped(if whole.is_empty() { "0" } else { whole });
    let nothing = whole == "0" && part.bytes().all(|digit| digit == b'0');
    let sign = match (value < Rational::ZERO, sign) {
        _ if nothing => "",
        (true, _) => "\u{2212}",
        (false, true) => "+",
        (false, false) => "",
    };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// The magnitude of a value as whole part and `places` decimals, rounded half away from zero. Nothing overflows:
/// a decimal is found by adding the rest ten times.
fn long_division(value: Rational, places: usize) -> (String, String) {
    let (num, den) = (value.num().unsigned_abs(), value.den().unsigned_abs());
    let (whole, mut rest) = (num / den, num % den);
    let mut digits: Vec<u8> = Vec::with_capacity(places);
    for _ in 0..places {
        let (mut digit, mut sum) = (0, 0);
        for _ in 0..10 {
            if sum >= den - rest {
                sum -= den - rest;
                digit += 1;
            } else {
                sum += rest;
            }
        }
        digits.push(digit);
        rest = sum;
    }
    let mut carry = rest >= den - rest;
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == 9;
        *digit = if carry { 0 } else { *digit + 1 };
    }
    let decimals = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    ((whole + u128::from(carry)).to_string(), decimals)
}

/// Digits in groups of three, parted by a thin space from five digits on.
fn grouped(digits: &str) -> String {
    if digits.len() < 5 {
        return digits.to_owned();
    }
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Rational {
        Rational::parse(text).unwrap()
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(percent(number("0.61535"), 2), "61.54 %");
        assert_eq!(percent(number("0.615349999"), 2), "61.53 %");
        assert_eq!(signed_percent(number("-0.00005"), 2), "\u{2212}0.01 %");
        assert_eq!(decimal(number("0.5"), 0), "1");
        assert_eq!(decimal(number("-2.5"), 0), "\u{2212}3");
        assert_eq!(decimal(number("2/3"), 4), "0.6667");
    }

    #[test]
    fn a_rounded_nine_carries() {
        assert_eq!(percent(number("0.99996"), 2), "100.00 %");
        assert_eq!(decimal(number("999.9996"), 3), "1000.000");
        assert_eq!(percent(number("9.99996"), 2), "1000.00 %");
    }

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        assert_eq!(points(number("0.00004"), 2), Text::new("0.00 个百分点", "0.00 points"));
        assert_eq!(signed(number("-0.00001"), 2), "0.00");
        assert_eq!(signed_percent(Rational::ZERO, 2), "0.00 %");
    }

    #[test]
    fn signs_groups_and_words() {
        assert_eq!(points(number("0.042"), 2), Text::new("+4.20 个百分点", "+4.20 points"));
        assert_eq!(points(number("-0.042"), 2).zh, "\u{2212}4.20 个百分点");
        assert_eq!(decimal(number("1234567.5"), 1), "1\u{2009}234\u{2009}567.5");
        assert_eq!(decimal(number("1234"), 0), "1234");
        assert_eq!(figure(number("0.125"), Unit::KwhPerPiece).zh, "0.1250 kWh/件");
        assert_eq!(difference(number("-0.0125"), Unit::KwhPerPiece).en, "\u{2212}0.0125 kWh/piece");
        assert_eq!(figure(number("0.6"), Unit::Share).en, "60.00 %");
        assert_eq!(plain_percent(number("0.95")), "95 %");
    }

    #[test]
    fn the_largest_parts_do_not_overflow() {
        let near = Rational::new(i128::MAX - 1, i128::MAX).unwrap();
        assert_eq!(percent(near, 2), "100.00 %");
        assert_eq!(decimal(Rational::integer(i128::MIN + 1), 2).chars().last(), Some('0'));
        let third = Rational::new(i128::MAX / 3, i128::MAX).unwrap();
        assert_eq!(percent(third, 2), "33.33 %");
    }
}
