//! Many sites, one figure: parts are added, and a figure is published only if it tells nothing about a single site.
//!
//! Disclosure control: a figure needs at least [`MINIMUM_SITES`] sites; the largest may carry at most half of it, the
//! two largest at most 85 % ([`TOP_ONE_MAX`], [`TOP_TWO_MAX`]); and what is published together must not give away by
//! addition and subtraction what was held back. What is held back says so; it is never shown as zero.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::SiteId;
use crate::oee::{Figure, Ratio};
use crate::remark::Remark;
use crate::unit::Rational;

/// Fewest sites behind a published figure.
pub const MINIMUM_SITES: usize = 5;
/// Largest share of the numerator or the denominator that one site may carry.
pub const TOP_ONE_MAX: (i128, i128) = (1, 2);
/// Largest share that the two largest sites may carry together.
pub const TOP_TWO_MAX: (i128, i128) = (85, 100);
/// Most cells that are checked against each other; further ones are held back.
pub const CELLS_MAX: usize = 9;

/// What one site adds to a ratio: numerators over one denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// The least numerator that the data allow.
    pub low: Rational,
    /// The most; `None` if no upper bound is known.
    pub high: Option<Rational>,
    /// Under the convention; `None` where that is not defined.
    pub point: Option<Rational>,
    /// The denominator, above zero: for example planned busy time in nanoseconds.
    pub base: Rational,
}

impl Contribution {
    /// The parts of a share of `base` (nanoseconds of planned time) whose quotients are known; `None` unless `base` is
    /// above zero and the products fit. Bounds are widened to whole nanoseconds: counters' greatest rates give them
    /// denominators of which no sum over many machines would fit.
    pub fn of_share(low: Rational, high: Option<Rational>, point: Option<Rational>, base: i64) -> Option<Self> {
        let base = Rational::integer(i128::from(base));
        if base <= Rational::ZERO {
            return None;
        }
        let part = |share: Rational| share.checked_mul(base);
        let maybe = |share: Option<Rational>| share.map_or(Some(None), |share| part(share).map(Some));
        let (low, high) = (whole(part(low)?, false), maybe(high)?.map(|high| whole(high, true)));
        Some(Self { low, high, point: maybe(point)?, base })
    }

    /// Both together; `None` if a sum does not fit.
    pub fn plus(self, other: Self) -> Option<Self> {
        let both = |a: Option<Rational>, b: Option<Rational>| match (a, b) {
            (Some(a), Some(b)) => a.checked_add(b).map(Some),
            _ => Some(None),
        };
        Some(Self {
            low: self.low.checked_add(other.low)?,
            high: both(self.high, other.high)?,
            point: both(self.point, other.point)?,
            base: self.base.checked_add(other.base)?,
        })
    }

    /// The ratio with its bounds.
    pub fn figure(self) -> Figure {
        let ratio = |num| Ratio::new(num, self.base);
        let reason = self.high.is_none().then(|| {
            Remark::new("open-bound", "至少一家工厂的上限无法确定", "no upper bound is known of at least one site")
        });
        Figure { low: ratio(self.low), high: self.high.and_then(ratio), point: self.point.and_then(ratio), reason }
    }
}

/// The whole number below, or the one above.
fn whole(number: Rational, up: bool) -> Rational {
    let floor = number.num().div_euclid(number.den());
    Rational::integer(floor + i128::from(up && number.to_integer().is_none()))
}

/// What is answered for a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The figure over so many sites.
    Published {
        /// The figure.
        figure: Box<Figure>,
        /// Sites that contribute.
        sites: usize,
    },
    /// Held back.
    Suppressed {
        /// Why.
        reason: Remark,
        /// Sites that contribute.
        sites: usize,
    },
}

/// What may be published of `cells`, each a set of sites, when every site adds `parts`. Earlier cells take precedence:
/// a later one is held back if it would give away something together with them.
pub fn publish(cells: &[BTreeSet<SiteId>], parts: &BTreeMap<SiteId, Contribution>) -> Vec<Answer> {
    let mut published: Vec<BTreeSet<&SiteId>> = Vec::new();
    let answer = |cell: &BTreeSet<SiteId>| {
        let members: BTreeSet<&SiteId> = parts.keys().filter(|site| cell.contains(*site)).collect();
        let sites = members.len();
        let reason = match own_reason(&members, parts) {
            Some(reason) => Some(reason),
            None if published.contains(&members) => None,
            None => {
                published.push(members.clone());
                let unsafe_together = published.len() > CELLS_MAX || gives_away(&published, parts);
                if unsafe_together {
                    published.pop();
                }
                unsafe_together.then(complementary)
            }
        };
        let sum = members.iter().filter_map(|site| parts.get(*site)).copied().map(Some).reduce(|a, b| a?.plus(b?));
        match (reason, sum.flatten()) {
            (None, Some(sum)) => Answer::Published { figure: Box::new(sum.figure()), sites },
            (None, None) => Answer::Suppressed { reason: too_large(), sites },
            (Some(reason), _) => Answer::Suppressed { reason, sites },
        }
    };
    cells.iter().map(answer).collect()
}

/// Why a cell may not be published whatever else is.
fn own_reason(members: &BTreeSet<&SiteId>, parts: &BTreeMap<SiteId, Contribution>) -> Option<Remark> {
    let n = members.len();
    if n < MINIMUM_SITES {
        return Some(Remark::new(
            "too-few-sites",
            format!("样本不足，不公开：只有 {n} 家工厂有结果，少于 {MINIMUM_SITES} 家"),
            format!("too few, not published: {n} sites have results, fewer than {MINIMUM_SITES}"),
        ));
    }
    let all = members.iter().map(|site| (*site, 1)).collect();
    is_concentrated(&all, parts).then(|| {
        Remark::new(
            "dominance",
            "一两家工厂占比过大，不公开：一家超过一半，或两家合计超过 85 %",
            "one or two sites carry too much of it, not published: one more than half, or two more than 85 %",
        )
    })
}

fn complementary() -> Remark {
    Remark::new(
        "complementary",
        "与其他已公开的数相减可推出少数工厂，不公开",
        "not published: together with other published figures it would give away a few sites",
    )
}

fn too_large() -> Remark {
    Remark::new("sum-too-large", "精确之和超出范围，不公开", "the exact sum does not fit, so it is not published")
}

/// Whether one or two sites carry too much of a combination of cells, each site taken `weight` times.
fn is_concentrated(weights: &BTreeMap<&SiteId, i128>, parts: &BTreeMap<SiteId, Contribution>) -> bool {
    let of = |part: fn(&Contribution) -> Rational| {
        let shares = weights.iter().map(|(site, weight)| {
            parts.get(*site).and_then(|found| part(found).checked_mul(Rational::integer(weight.abs())))
        });
        // What cannot be worked out is not published.
        shares.collect::<Option<Vec<_>>>().is_none_or(is_lopsided)
    };
    of(|part| part.base) || of(|part| part.point.unwrap_or(part.low))
}

fn is_lopsided(mut shares: Vec<Rational>) -> bool {
    shares.sort_unstable_by(|a, b| b.cmp(a));
    let sum = |shares: &[Rational]| shares.iter().try_fold(Rational::ZERO, |sum, share| sum.checked_add(*share));
    let Some(total) = sum(&shares) else { return true };
    if total == Rational::ZERO {
        return false;
    }
    let above = |top: usize, (num, den): (i128, i128)| {
        let top = sum(&shares[..top.min(shares.len())]).and_then(|top| top.checked_div(total));
        top.zip(Rational::new(num, den)).is_none_or(|(share, most)| share > most)
    };
    above(1, TOP_ONE_MAX) || above(2, TOP_TWO_MAX)
}

/// Whether published sums can be combined into one that only few sites are in, or that few sites carry.
fn gives_away(cells: &[BTreeSet<&SiteId>], parts: &BTreeMap<SiteId, Contribution>) -> bool {
    let atoms = atoms(cells);
    isolates_few(cells.len(), &atoms) || concentrates(cells, parts)
}

/// Sites that stand in the same cells, by those cells: no combination tells them apart.
fn atoms(cells: &[BTreeSet<&SiteId>]) -> Vec<(Vec<bool>, usize)> {
    let mut found: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    for site in cells.iter().flatten().collect::<BTreeSet<_>>() {
        *found.entry(cells.iter().map(|cell| cell.contains(*site)).collect()).or_default() += 1;
    }
    found.into_iter().collect()
}

/// Whether some linear combination of the cells is about fewer than [`MINIMUM_SITES`] sites. One exists within a set
/// of atoms exactly when the other atoms' columns have a lower rank than all columns together.
fn isolates_few(cells: usize, atoms: &[(Vec<bool>, usize)]) -> bool {
    let columns = |skipped: &BTreeSet<usize>| {
        let kept = atoms.iter().enumerate().filter(|(index, _)| !skipped.contains(index));
        kept.map(|(_, (column, _))| column.as_slice()).collect::<Vec<_>>()
    };
    let whole = rank(cells, &columns(&BTreeSet::new()));
    let small: Vec<usize> = (0..atoms.len()).filter(|index| atoms[*index].1 < MINIMUM_SITES).collect();
    let mut pending = vec![(BTreeSet::new(), 0, 0)];
    while let Some((chosen, next, sites)) = pending.pop() {
        if !chosen.is_empty() && rank(cells, &columns(&chosen)) < whole {
            return true;
        }
        for (position, atom) in small.iter().enumerate().skip(next) {
            let sites = sites + atoms[*atom].1;
            if sites < MINIMUM_SITES {
                let mut more = chosen.clone();
                more.insert(*atom);
                pending.push((more, position + 1, sites));
            }
        }
    }
    false
}

/// The rank of a matrix of zeros and ones, given by its columns. Exact: by elimination over the rationals; a product
/// that does not fit counts as dependent, which holds back more, never less.
fn rank(rows: usize, columns: &[&[bool]]) -> usize {
    let number = |bit: bool| if bit { Rational::ONE } else { Rational::ZERO };
    let mut left: Vec<Vec<Rational>> =
        (0..rows).map(|row| columns.iter().map(|column| number(column[row])).collect()).collect();
    let mut rank = 0;
    for column in 0..columns.len() {
        let Some(pivot) = left.iter().position(|row| row[column] != Rational::ZERO) else { continue };
        let pivot = left.swap_remove(pivot);
        rank += 1;
        for row in &mut left {
            let Some(factor) = row[column].checked_div(pivot[column]) else { continue };
            for (value, base) in row.iter_mut().zip(&pivot) {
                *value = base.checked_mul(factor).and_then(|part| value.checked_sub(part)).unwrap_or(Rational::ZERO);
            }
        }
    }
    rank
}

/// Whether some sum or difference of cells, each taken once at most, is carried by one or two sites.
fn concentrates(cells: &[BTreeSet<&SiteId>], parts: &BTreeMap<SiteId, Contribution>) -> bool {
    let combinations = 3_usize.pow(u32::try_from(cells.len().min(CELLS_MAX)).unwrap_or(0));
    (1..combinations).any(|code| {
        let mut weights: BTreeMap<&SiteId, i128> = BTreeMap::new();
        let mut rest = code;
        for cell in cells {
            let sign = [0, 1, -1][rest % 3];
            rest /= 3;
            for site in cell {
                *weights.entry(*site).or_default() += sign;
            }
        }
        weights.retain(|_, weight| *weight != 0);
        !weights.is_empty() && is_concentrated(&weights, parts)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site(n: usize) -> SiteId {
        format!("s{n}").parse().unwrap()
    }

    fn part(num: i128, base: i128) -> Contribution {
        let num = Rational::integer(num);
        Contribution { low: num, high: Some(num), point: Some(num), base: Rational::integer(base) }
    }

    fn cell(members: impl IntoIterator<Item = usize>) -> BTreeSet<SiteId> {
        members.into_iter().map(site).collect()
    }

    fn equal(sites: usize) -> BTreeMap<SiteId, Contribution> {
        (0..sites).map(|n| (site(n), part(6, 10))).collect()
    }

    fn code(answer: &Answer) -> &str {
        match answer {
            Answer::Published { .. } => "published",
            Answer::Suppressed { reason, .. } => &reason.code,
        }
    }

    fn codes(cells: &[BTreeSet<SiteId>], parts: &BTreeMap<SiteId, Contribution>) -> Vec<String> {
        publish(cells, parts).iter().map(|answer| code(answer).to_owned()).collect()
    }

    #[test]
    fn parts_are_added_and_divided_once() {
        let mut parts = equal(6);
        parts.insert(site(0), part(9, 10));
        parts.insert(site(1), part(1, 20));
        let answers = publish(&[cell(0..6)], &parts);
        let Answer::Published { figure, sites } = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(*sites, 6);
        let point = figure.point.unwrap();
        assert_eq!((point.num, point.den), (Rational::integer(34), Rational::integer(70)));
        assert_eq!(figure.low, figure.high);
    }

    #[test]
    fn a_share_gives_back_its_parts() {
        let two_thirds = Rational::new(2, 3).unwrap();
        let part = Contribution::of_share(two_thirds, None, Some(two_thirds), 27_000).unwrap();
        assert_eq!(part.low, Rational::integer(18_000));
        assert_eq!(part.figure().reason.unwrap().code, "open-bound");
        assert_eq!(Contribution::of_share(two_thirds, None, None, 0), None);
        let odd = Contribution::of_share(two_thirds, Some(two_thirds), Some(two_thirds), 10).unwrap();
        let exact = Rational::new(20, 3);
        assert_eq!((odd.low, odd.high, odd.point), (Rational::integer(6), Some(Rational::integer(7)), exact));
    }

    #[test]
    fn fewer_than_five_sites_are_held_back() {
        assert_eq!(codes(&[cell(0..4)], &equal(9)), ["too-few-sites"]);
        assert_eq!(codes(&[cell(0..5)], &equal(9)), ["published"]);
        // Sites of the cell that have no result do not count.
        assert_eq!(codes(&[cell(0..9)], &equal(4)), ["too-few-sites"]);
    }

    #[test]
    fn a_giant_and_a_pair_of_giants_are_held_back() {
        let mut parts = equal(8);
        parts.insert(site(0), part(50, 71));
        assert_eq!(codes(&[cell(0..8)], &parts), ["dominance"]);
        parts.insert(site(0), part(50, 70));
        assert_eq!(codes(&[cell(0..8)], &parts), ["dominance"], "its numerator is more than half");
        parts.insert(site(0), part(42, 70));
        assert_eq!(codes(&[cell(0..8)], &parts), ["published"]);
        let mut pair = equal(6);
        pair.insert(site(0), part(72, 120));
        pair.insert(site(1), part(72, 120));
        assert_eq!(codes(&[cell(0..6)], &pair), ["dominance"], "240 of 280 are more than 85 %");
        pair.insert(site(1), part(60, 100));
        assert_eq!(codes(&[cell(0..6)], &pair), ["published"], "220 of 260 are not");
    }

    #[test]
    fn what_could_be_had_by_subtraction_is_held_back() {
        // Two clusters of 6 and 4, and all 10: all without the first would be the second.
        assert_eq!(
            codes(&[cell(0..6), cell(6..10), cell(0..10)], &equal(10)),
            ["published", "too-few-sites", "complementary"]
        );
        // Two whole clusters and their sum tell nothing more.
        assert_eq!(codes(&[cell(0..6), cell(6..12), cell(0..12)], &equal(12)), ["published"; 3]);
        // Two that overlap but for one site each.
        assert_eq!(codes(&[cell(0..6), cell(1..7)], &equal(7)), ["published", "complementary"]);
        // The same sites twice tell nothing new.
        assert_eq!(codes(&[cell(0..6), cell(0..6)], &equal(6)), ["published"; 2]);
    }

    #[test]
    fn a_remainder_that_one_site_carries_is_held_back() {
        let mut parts = equal(12);
        parts.insert(site(6), part(54, 90));
        let answers = codes(&[cell(0..6), cell(6..12), cell(0..12)], &parts);
        assert_eq!(answers, ["published", "dominance", "complementary"]);
    }

    proptest! {
        /// Whatever an outsider adds and subtracts, weighted or not, is about five sites or more, or about none.
        #[test]
        fn nothing_published_isolates_a_few_sites(
            cells in prop::collection::vec(prop::collection::btree_set(0_usize..11, 0..11), 1..5),
            bases in prop::collection::vec(1_i128..40, 11),
            factors in prop::collection::vec(-3_i128..=3, 5),
        ) {
            let parts: BTreeMap<_, _> = bases.iter().enumerate().map(|(n, base)| (site(n), part(*base, 2 * base))).collect();
            let sets: Vec<_> = cells.iter().map(|members| cell(members.iter().copied())).collect();
            let answers = publish(&sets, &parts);
            let mut weights = [0_i128; 11];
            for ((members, answer), factor) in cells.iter().zip(&answers).zip(&factors) {
                if code(answer) == "published" {
                    for n in members {
                        weights[*n] += factor;
                    }
                }
            }
            let touched = weights.iter().filter(|weight| **weight != 0).count();
            prop_assert!(touched == 0 || touched >= MINIMUM_SITES, "{touched} sites: {weights:?} {cells:?}");
        }
    }
}
