//! The factors and the OEE as fractions with bounds: what a profile makes of times and counts.
//!
//! OEE is one fraction, ideal time of good parts over planned busy time; the factors are views of it. No
//! rounded factor is ever multiplied, nothing is clipped, and a figure that cannot be said gives its reason.

use std::fmt;

use crate::file::definition;
use crate::remark::Remark;
use crate::state::Leaf;
use crate::unit::{Bounds, Rational};

/// A fraction that keeps its two parts, so that parts can be added over work units and windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Numerator, for example nanoseconds of ideal time.
    pub num: Rational,
    /// Denominator, above zero.
    pub den: Rational,
}

impl Ratio {
    /// `num / den`; `None` unless `den` is above zero.
    pub fn new(num: Rational, den: Rational) -> Option<Self> {
        (den > Rational::ZERO).then_some(Self { num, den })
    }

    /// Its value in lowest terms.
    pub fn value(self) -> Rational {
        self.num.checked_div(self.den).unwrap_or(Rational::ZERO)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value())
    }
}

/// A ratio as far as the data determine it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figure {
    /// The least that the data allow; `None` if the figure is refused.
    pub low: Option<Ratio>,
    /// The most that the data allow; `None` while `low` stands means that no upper bound is known.
    pub high: Option<Ratio>,
    /// The value under the convention that a state holds from its sample; `None` where that is not defined.
    pub point: Option<Ratio>,
    /// Why the figure is refused, or why its upper bound is open.
    pub reason: Option<Remark>,
}

impl Figure {
    /// A figure that cannot be said.
    pub fn refused(reason: Remark) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }

    /// Whether there is no figure at all.
    pub fn is_refused(&self) -> bool {
        self.low.is_none()
    }
}

/// An OEE profile: which time is the base and which leaves count as production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name.
    pub id: String,
    /// Grows with each change of meaning.
    pub version: u32,
    /// Title in Chinese.
    pub title_zh: String,
    /// Title in English.
    pub title_en: String,
    /// Where it is defined.
    pub source: String,
    /// Leaves that are actual production time.
    pub production: Vec<Leaf>,
    /// Least share of known time that a figure needs to be verifiable.
    pub coverage_minimum: Rational,
}

/// The definition of an indicator: what it is called and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// Name.
    pub id: String,
    /// Grows with each change of meaning.
    pub version: u32,
    /// Title in Chinese.
    pub title_zh: String,
    /// Title in English.
    pub title_en: String,
    /// The formula in symbols.
    pub expression: String,
    /// Where it is defined.
    pub source: String,
}

const PROFILES: [(&str, &str); 1] = [("iso22400", include_str!("../definitions/oee_profiles/iso22400.toml"))];

const INDICATORS: [(&str, &str); 5] = [
    ("availability", include_str!("../definitions/indicators/availability.toml")),
    ("effectiveness", include_str!("../definitions/indicators/effectiveness.toml")),
    ("quality_ratio", include_str!("../definitions/indicators/quality_ratio.toml")),
    ("oee", include_str!("../definitions/indicators/oee.toml")),
    ("energy", include_str!("../definitions/indicators/energy.toml")),
];

/// Names of the profiles that ship with the program.
pub fn profile_names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// The profile of a name; `None` if no such profile ships.
pub fn profile(name: &str) -> Option<Profile> {
    let (name, text) = PROFILES.iter().find(|(known, _)| *known == name)?;
    Some(definition::profile(text, name).expect("the profiles that ship with the program are tested"))
}

/// The definition of an indicator; `None` if no such definition ships.
pub fn indicator(name: &str) -> Option<Indicator> {
    let (name, text) = INDICATORS.iter().find(|(known, _)| *known == name)?;
    Some(definition::indicator(text, name).expect("the indicators that ship with the program are tested"))
}

/// A quantity with bounds: ideal time or pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// The least.
    pub low: Rational,
    /// The most; `None` if no bound is known.
    pub high: Option<Rational>,
    /// Under the convention, where that is defined.
    pub point: Option<Rational>,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { low: Rational::ZERO, high: Some(Rational::ZERO), point: Some(Rational::ZERO) };
}

/// Everything that the factors are made of. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Planned busy time (PBT).
    pub planned_busy: i64,
    /// Actual production time (APT) with its bounds.
    pub production: Bounds<i64>,
    /// APT under the convention.
    pub production_point: i64,
    /// Ideal time of all parts, sum of PRI x PQ; or why there is none.
    pub ideal_all: Result<Amount, Remark>,
    /// Ideal time of scrapped parts, sum of PRI x SQ; or why there is none.
    pub ideal_scrap: Result<Amount, Remark>,
    /// All parts and scrapped parts in the measure in which they may be added: pieces where one ideal cycle
    /// or none is in force, ideal time otherwise; or why there are none.
    pub quality: Result<(Amount, Amount), Remark>,
}

/// The factors and the OEE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factors {
    /// See [`availability`].
    pub availability: Figure,
    /// See [`effectiveness`].
    pub effectiveness: Figure,
    /// See [`quality_ratio`].
    pub quality_ratio: Figure,
    /// See [`oee_index`].
    pub oee: Figure,
    /// Availability x effectiveness = sum of PRI x PQ / PBT.
    pub availability_effectiveness: Figure,
}

/// All figures of the inputs.
pub fn compute(inputs: &Inputs) -> Factors {
    Factors {
        availability: availability(inputs),
        effectiveness: effectiveness(inputs),
        quality_ratio: quality_ratio(inputs),
        oee: oee_index(inputs),
        availability_effectiveness: availability_effectiveness(inputs),
    }
}

/// Share of the planned busy time in which the work unit produced: APT / PBT, dimensionless.
/// Above 1 means production outside the plan; it is reported as it is.
/// Source: ISO 22400-2, availability (restated in OPC 40501-1, Annex C.2.4).
/// Refused with `no-planned-time` when PBT is zero; never NaN.
pub fn availability(inputs: &Inputs) -> Figure {
    let over = |nanos| Ratio::new(whole(nanos), whole(inputs.planned_busy));
    match over(inputs.production_point) {
        None => Figure::refused(no_planned_time()),
        point => Figure { low: over(inputs.production.low), high: over(inputs.production.high), point, reason: None },
    }
}

/// Ideal time of all parts over actual production time: sum of PRI x PQ / APT, dimensionless.
/// Above 1 means that the planned run time looks wrong, or that parts were counted outside production.
/// Source: ISO 22400-2, effectiveness (restated in OPC 40501-1, Annex C.2.4).
/// Refused when no parts are counted, no valid PRI is in force or nothing was produced.
pub fn effectiveness(inputs: &Inputs) -> Figure {
    let all = match &inputs.ideal_all {
        Ok(all) => all,
        Err(reason) => return Figure::refused(reason.clone()),
    };
    let Some(low) = Ratio::new(all.low, whole(inputs.production.high)) else {
        return Figure::refused(Remark::new(
            "no-production-time",
            "窗口内没有生产时间，性能率无法计算",
            "no production time in the window, so effectiveness is not defined",
        ));
    };
    let high = all.high.and_then(|high| Ratio::new(high, whole(inputs.production.low)));
    let point = all.point.and_then(|point| Ratio::new(point, whole(inputs.production_point)));
    bounded(low, high, point)
}

/// Share of good parts: GQ / PQ with GQ = PQ - SQ; over several products each part weighs its ideal time.
/// Source: ISO 22400-2, quality ratio (restated in OPC 40501-1, Annex C.2.4).
/// Refused with `quality-not-measured` without a scrap counter and with `nothing-produced` when PQ is zero.
pub fn quality_ratio(inputs: &Inputs) -> Figure {
    let (all, scrap) = match &inputs.quality {
        Ok(parts) => parts,
        Err(reason) => return Figure::refused(reason.clone()),
    };
    if all.high == Some(Rational::ZERO) {
        return Figure::refused(Remark::new(
            "nothing-produced",
            "窗口内产量为零，合格品率无法计算",
            "nothing was produced in the window, so the quality ratio is not defined",
        ));
    }
    let good = |all: Rational, scrap: Rational| {
        all.checked_sub(scrap).and_then(|good| Ratio::new(good.max(Rational::ZERO), all))
    };
    let zero = Ratio { num: Rational::ZERO, den: Rational::ONE };
    let low = scrap.high.and_then(|scrap| good(all.low, scrap)).unwrap_or(zero);
    // With an open or empty total the best case is that everything was good.
    let high = match all.high {
        Some(high) => good(high, scrap.low),
        None => Some(Ratio { num: Rational::ONE, den: Rational::ONE }),
    };
    let point = match (all.point, scrap.point) {
        (Some(all), Some(scrap)) => all.checked_sub(scrap).and_then(|good| Ratio::new(good, all)),
        _ => None,
    };
    bounded(low, high, point)
}

/// Ideal time of good parts over planned busy time: sum of PRI x GQ / PBT, dimensionless.
/// It equals availability x effectiveness x quality ratio, but is computed as one fraction.
/// Source: ISO 22400-2, OEE index (restated in OPC 40501-1, Annex C.2.4).
pub fn oee_index(inputs: &Inputs) -> Figure {
    let (all, scrap) = match (&inputs.ideal_all, &inputs.ideal_scrap) {
        (Ok(all), Ok(scrap)) => (all, scrap),
        (Err(reason), _) | (_, Err(reason)) => return Figure::refused(reason.clone()),
    };
    let base = whole(inputs.planned_busy);
    if base <= Rational::ZERO {
        return Figure::refused(no_planned_time());
    }
    let good = |all: Rational, scrap: Rational| all.checked_sub(scrap);
    let at_least = |value: Rational| Ratio { num: value.max(Rational::ZERO), den: base };
    let low =
        scrap.high.and_then(|scrap| good(all.low, scrap)).map_or(Ratio { num: Rational::ZERO, den: base }, at_least);
    let high = all.high.and_then(|all| good(all, scrap.low)).map(at_least);
    let point = match (all.point, scrap.point) {
        (Some(all), Some(scrap)) => good(all, scrap).and_then(|good| Ratio::new(good, base)),
        _ => None,
    };
    bounded(low, high, point)
}

/// Availability x effectiveness as one fraction, sum of PRI x PQ / PBT: what can be said without a scrap counter.
pub fn availability_effectiveness(inputs: &Inputs) -> Figure {
    let all = match &inputs.ideal_all {
        Ok(all) => all,
        Err(reason) => return Figure::refused(reason.clone()),
    };
    let over = |ideal| Ratio::new(ideal, whole(inputs.planned_busy));
    match over(all.low) {
        None => Figure::refused(no_planned_time()),
        Some(low) => bounded(low, all.high.and_then(over), all.point.and_then(over)),
    }
}

/// A figure whose bounds include its point, and whose open upper bound says so.
fn bounded(low: Ratio, high: Option<Ratio>, point: Option<Ratio>) -> Figure {
    let wider = |a: Ratio, b: Option<Ratio>, least: bool| match b {
        Some(b) if (b.value() < a.value()) == least => b,
        _ => a,
    };
    let reason = high.is_none().then(|| {
        Remark::new(
            "open-bound",
            "数据有缺口，上限无法确定;在 plant.toml 中声明计数器的最大速率可得到上限",
            "no upper bound is known over unread time; declare the counter's maximum_rate in plant.toml to have one",
        )
    });
    Figure { low: Some(wider(low, point, true)), high: high.map(|high| wider(high, point, false)), point, reason }
}

fn no_planned_time() -> Remark {
    Remark::new(
        "no-planned-time",
        "窗口内没有计划生产时间，无法计算",
        "no planned busy time in the window, so the figure is not defined",
    )
}

fn whole(nanos: i64) -> Rational {
    Rational::integer(i128::from(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(value: i128) -> Amount {
        let value = Rational::integer(value);
        Amount { low: value, high: Some(value), point: Some(value) }
    }

    fn inputs() -> Inputs {
        Inputs {
            planned_busy: 420,
            production: Bounds { low: 373, high: 373 },
            production_point: 373,
            ideal_all: Ok(amount(322)),
            ideal_scrap: Ok(amount(7)),
            quality: Ok((amount(322), amount(7))),
        }
    }

    fn text(figure: &Figure) -> String {
        figure.point.map(|ratio| ratio.value().to_string()).unwrap_or_default()
    }

    #[test]
    fn the_oee_is_one_fraction_and_the_product_of_its_factors() {
        let factors = compute(&inputs());
        assert_eq!(text(&factors.availability), "373/420");
        assert_eq!(text(&factors.effectiveness), "322/373");
        assert_eq!(text(&factors.quality_ratio), "45/46");
        assert_eq!(text(&factors.oee), "0.75"); // (322 - 7) / 420
        let value = |figure: &Figure| figure.point.unwrap().value();
        let product = value(&factors.availability)
            .checked_mul(value(&factors.effectiveness))
            .and_then(|product| product.checked_mul(value(&factors.quality_ratio)));
        assert_eq!(product, Some(value(&factors.oee)));
    }

    #[test]
    fn no_planned_time_refuses_what_divides_by_it_and_nothing_else() {
        let factors = compute(&Inputs { planned_busy: 0, ..inputs() });
        let code = |figure: &Figure| figure.reason.clone().map(|reason| reason.code).unwrap_or_default();
        assert_eq!(code(&factors.availability), "no-planned-time");
        assert_eq!(code(&factors.oee), "no-planned-time");
        assert_eq!(text(&factors.effectiveness), "322/373");
        assert_eq!(text(&factors.quality_ratio), "45/46");
    }

    #[test]
    fn nothing_is_clipped() {
        let factors =
            compute(&Inputs { production: Bounds { low: 100, high: 100 }, production_point: 100, ..inputs() });
        assert_eq!(text(&factors.effectiveness), "3.22");
    }

    #[test]
    fn an_open_total_leaves_the_upper_bound_open_and_says_so() {
        let open = Amount { high: None, point: None, ..amount(100) };
        let factors = compute(&Inputs { ideal_all: Ok(open), ..inputs() });
        assert_eq!(factors.oee.high, None);
        assert_eq!(factors.oee.low.unwrap().num, Rational::integer(93));
        assert_eq!(factors.oee.reason.unwrap().code, "open-bound");
    }

    #[test]
    fn every_shipped_definition_reads_and_carries_its_own_name() {
        for (name, _) in INDICATORS {
            assert_eq!(indicator(name).unwrap().id, name);
        }
        for name in profile_names() {
            assert_eq!(profile(name).unwrap().id, name);
        }
    }
}
