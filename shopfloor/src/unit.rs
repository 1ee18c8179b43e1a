//! Exact numbers: rationals, ratios that keep their two parts, and bounds.

use std::cmp::Ordering;
use std::fmt;

/// An exact rational number, `num / den`, reduced, `den > 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rational {
    num: i128,
    den: i128,
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Rational {
    /// Zero.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// One.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num / den` in lowest terms; `None` if `den` is zero or the parts do not fit.
    pub fn new(num: i128, den: i128) -> Option<Self> {
        if den == 0 {
            return None;
        }
        let divisor = i128::try_from(gcd(num.unsigned_abs(), den.unsigned_abs())).ok()?;
        let (num, den) = (num / divisor, den / divisor);
        if den < 0 { Some(Self { num: num.checked_neg()?, den: den.checked_neg()? }) } else { Some(Self { num, den }) }
    }

    /// The integer `value`.
    pub const fn integer(value: i128) -> Self {
        Self { num: value, den: 1 }
    }

    /// Reads a decimal such as `0.01`, `-3`, or a fraction such as `1/3`; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((num, den)) = text.split_once('/') {
            return Self::new(num.trim().parse().ok()?, den.trim().parse().ok()?);
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || part.len() > 18 || !all_digits(whole) || !all_digits(part) || digits.ends_with('.') {
            return None;
        }
        let num: i128 = format!("{whole}{part}").parse().ok()?;
        let den = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        Self::new(if negative { -num } else { num }, den)
    }

    /// Numerator in lowest terms.
    pub const fn num(self) -> i128 {
        self.num
    }

    /// Denominator in lowest terms; positive.
    pub const fn den(self) -> i128 {
        self.den
    }

    /// Sum; `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.den == other.den {
            return Self::new(self.num.checked_add(other.num)?, self.den);
        }
        let left = self.num.checked_mul(other.den)?;
        let right = other.num.checked_mul(self.den)?;
        Self::new(left.checked_add(right)?, self.den.checked_mul(other.den)?)
    }

    /// Difference; `None` on overflow.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { num: other.num.checked_neg()?, den: other.den })
    }

    /// Product; `None` on overflow.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        // Reducing crosswise first keeps intermediate products small.
        let a = Self::new(self.num, other.den)?;
        let b = Self::new(other.num, self.den)?;
        Self::new(a.num.checked_mul(b.num)?, a.den.checked_mul(b.den)?)
    }

    /// Quotient; `None` on overflow or division by zero.
    pub fn checked_div(self, other: Self) -> Option<Self> {
        if other.num == 0 {
            return None;
        }
        self.checked_mul(Self::new(other.den, other.num)?)
    }

    /// The integer, if it is one.
    pub const fn to_integer(self) -> Option<i128> {
        if self.den == 1 { Some(self.num) } else { None }
    }

    /// The nearest f64, for display only.
    #[allow(clippy::cast_precision_loss)] // display only; the exact parts stand beside it
    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    /// Compares exactly, by continued fractions, so that no product can overflow.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = ((self.num, self.den), (other.num, other.den));
        let mut turned = false;
        loop {
            let (qa, qb) = (a.0.div_euclid(a.1), b.0.div_euclid(b.1));
            let (ra, rb) = (a.0.rem_euclid(a.1), b.0.rem_euclid(b.1));
            let order = match qa.cmp(&qb) {
                Ordering::Equal => match (ra, rb) {
                    (0, 0) => return Ordering::Equal,
                    (0, _) => Ordering::Less,
                    (_, 0) => Ordering::Greater,
                    _ => {
                        (a, b) = ((a.1, ra), (b.1, rb));
                        turned = !turned;
                        continue;
                    }
                },
                different => different,
            };
            return if turned { order.reverse() } else { order };
        }
    }
}

impl fmt::Display for Rational {
    /// A plain decimal where it ends, otherwise `num/den`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.den;
        let (mut twos, mut fives) = (0_u32, 0_u32);
        while rest % 2 == 0 {
            rest /= 2;
            twos += 1;
        }
        while rest % 5 == 0 {
            rest /= 5;
            fives += 1;
        }
        let digits = twos.max(fives);
        if rest != 1 || digits > 18 {
            return write!(f, "{}/{}", self.num, self.den);
        }
        let scaled = 10_i128.checked_pow(digits).and_then(|p| self.num.checked_mul(p / self.den));
        let Some(scaled) = scaled else { return write!(f, "{}/{}", self.num, self.den) };
        if digits == 0 {
            return write!(f, "{scaled}");
        }
        let unit = 10_u128.pow(digits);
        let (whole, part) = (scaled.unsigned_abs() / unit, scaled.unsigned_abs() % unit);
        let sign = if scaled < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{part:0width$}", width = digits as usize)
    }
}

/// A low and a high bound, both inside what is possible; `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The least that the data allow.
    pub low: T,
    /// The most that the data allow.
    pub high: T,
}

impl<T: Copy + PartialEq> Bounds<T> {
    /// Both bounds the same: the value is known.
    pub const fn exact(value: T) -> Self {
        Self { low: value, high: value }
    }

    /// Whether the value is known exactly.
    pub fn is_exact(&self) -> bool {
        self.low == self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_print_exactly() {
        for text in ["0.01", "-3", "12.5", "0", "-0.125", "1/3"] {
            assert_eq!(Rational::parse(text).unwrap().to_string(), text);
        }
        for text in ["", ".5", "1.", "1e3", "--1", "1/0", "0x1"] {
            assert_eq!(Rational::parse(text), None, "{text}");
        }
    }

    #[test]
    fn comparison_is_exact_where_products_would_overflow() {
        let near = Rational::new(i128::MAX - 1, i128::MAX).unwrap();
        assert!(near < Rational::ONE);
        assert!(Rational::new(-1, 3).unwrap() < Rational::new(-1, 4).unwrap());
        assert_eq!(Rational::new(2, 4).unwrap().cmp(&Rational::new(1, 2).unwrap()), Ordering::Equal);
    }
}
