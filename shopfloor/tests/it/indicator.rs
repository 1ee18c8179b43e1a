//! Figures over several work units: parts added and never averaged, bounds that hold the truth, refusals by name.

use proptest::prelude::*;
use shopfloor::counter::Count;
use shopfloor::evaluate::WorkUnitResult;
use shopfloor::indicator::{self, Formula, Indicator, Measured, catalog, measure};
use shopfloor::oee::{Amount, Figure, Inputs};
use shopfloor::plant::Role;
use shopfloor::time::HOUR;
use shopfloor::unit::{Bounds, Rational};

use crate::properties::{answer, factory, spoiled, story, window};

fn indicator(id: &str) -> Indicator {
    catalog(id, 1).unwrap()
}

fn amount(low: i128, point: i128, high: i128) -> Amount {
    Amount { low: Rational::integer(low), high: Some(Rational::integer(high)), point: Some(Rational::integer(point)) }
}

fn exact(value: i128) -> Amount {
    amount(value, value, value)
}

fn count(amount: Amount) -> Count {
    Count { low: amount.low, high: amount.high, point: amount.point, ..Count::ZERO }
}

/// A work unit of so much planned and productive time, pieces and scrap, one unit of ideal time each.
fn unit(id: &str, planned: i64, production: (i64, i64, i64), pieces: Amount, scrap: Amount) -> WorkUnitResult {
    let plant = factory("Asia/Shanghai");
    let mut result = answer(&plant, &std::collections::BTreeMap::new(), window(400, 100), window(400, 200).end);
    let (low, point, high) = production;
    result.work_unit = id.parse().unwrap();
    result.times.planned_busy = planned;
    result.times.axes.clear();
    result.parts = Inputs {
        planned_busy: planned,
        production: Bounds { low, high },
        production_point: point,
        ideal_all: Ok(pieces),
        ideal_scrap: Ok(scrap),
        quality: Ok((pieces, scrap)),
    };
    result.quality_in_pieces = true;
    result.produced = Some(count(pieces));
    result.scrap = Some(count(scrap));
    result
}

fn shown(figure: &Figure) -> String {
    let text = |ratio: Option<shopfloor::oee::Ratio>| ratio.map_or_else(|| "?".to_owned(), |ratio| ratio.to_string());
    format!("{} [{}..{}]", text(figure.point), text(figure.low), text(figure.high))
}

fn measured(id: &str, results: &[&WorkUnitResult]) -> Measured {
    measure(&indicator(id), results)
}

#[test]
fn parts_are_added_and_never_averaged() {
    // 90 of 100 h and 150 of 300 h: 240 / 400 = 60 %, where the average of the shares would be 70 %.
    let a = unit("a", 100, (90, 90, 90), exact(80), exact(0));
    let b = unit("b", 300, (150, 150, 150), exact(100), exact(20));
    assert_eq!(shown(&measured("availability", &[&a, &b]).figure), "0.6 [0.6..0.6]");
    // (80 + 100 - 20) / 400
    assert_eq!(shown(&measured("oee", &[&a, &b]).figure), "0.4 [0.4..0.4]");
    // 180 / 240
    assert_eq!(shown(&measured("effectiveness", &[&a, &b]).figure), "0.75 [0.75..0.75]");
    // 160 / 180
    assert_eq!(shown(&measured("quality_ratio", &[&a, &b]).figure), "8/9 [8/9..8/9]");
}

#[test]
fn bounds_of_a_sum_are_the_sums_of_the_bounds() {
    let a = unit("a", 100, (60, 70, 90), amount(50, 60, 70), amount(0, 2, 5));
    let b = unit("b", 300, (200, 200, 200), exact(180), exact(0));
    // (60 + 200) / 400, (90 + 200) / 400, (70 + 200) / 400
    assert_eq!(shown(&measured("availability", &[&a, &b]).figure), "0.675 [0.65..0.725]");
    // least: (50 + 180) / (90 + 200), most: (70 + 180) / (60 + 200), point: 240 / 270
    assert_eq!(shown(&measured("effectiveness", &[&a, &b]).figure), "8/9 [23/29..25/26]");
    // least: (50 + 180 - 5) / 400, most: (70 + 180 - 0) / 400, point: (60 + 180 - 2) / 400
    assert_eq!(shown(&measured("oee", &[&a, &b]).figure), "0.595 [0.5625..0.625]");
}

#[test]
fn a_bound_that_was_clipped_in_one_work_unit_is_not_added_clipped() {
    // a: 10 to 20 pieces of which up to 15 may be scrap. Alone its quality is at least 0, since 10 - 15 is held at 0.
    let a = unit("a", 100, (50, 50, 50), amount(10, 15, 20), amount(0, 0, 15));
    let b = unit("b", 100, (50, 50, 50), exact(100), exact(0));
    // Least of the sum: 1 - 15 / 110 = 19/22. The truth may be 15 pieces, all scrap: 100 / 115 = 0.8696, which is
    // above 19/22 = 0.8636 but below (0 + 100) / (10 + 100) = 0.909, what adding clipped parts would claim.
    let figure = measured("quality_ratio", &[&a, &b]).figure;
    assert_eq!(shown(&figure), "1 [19/22..1]");
    assert!(figure.low.unwrap().value() < Rational::new(100, 115).unwrap());
}

#[test]
fn one_work_unit_alone_has_the_figure_that_its_own_page_shows() {
    let plant = factory("Asia/Shanghai");
    let told = fixed_story();
    let holes = [(500, 40, true), (700, 90, false)];
    let samples = spoiled(&told, &holes);
    let result = answer(&plant, &samples, window(400, 900), window(0, 9000).end);
    assert!(result.times.unknown > 0);
    for (id, own) in [
        ("availability", &result.availability),
        ("effectiveness", &result.effectiveness),
        ("quality_ratio", &result.quality_ratio),
        ("oee", &result.oee),
    ] {
        let found = measured(id, &[&result]);
        assert_eq!(found.figure, *own, "{id}");
        assert_eq!(found.parts[0].figure, *own, "{id}");
        assert_eq!(found.coverage, result.coverage);
    }
    let found = measured("unit_energy", &[&result]);
    assert_eq!(found.figure, found.parts[0].figure);
    assert_eq!(found.darkest().and_then(|part| part.state_tag.clone()), Some("m/state".parse().unwrap()));
}

/// Two hours of stops and runs, one scan every ten seconds.
fn fixed_story() -> std::collections::BTreeMap<shopfloor::id::TagName, Vec<shopfloor::sample::Sample>> {
    crate::properties::Story::of(&[(1, 450), (3, 60), (1, 200), (0, 40), (1, 600), (2, 100)]).tell().samples
}

#[test]
fn energy_per_piece_pairs_the_least_with_the_most() {
    let mut a = unit("a", 100, (50, 50, 50), amount(90, 100, 110), exact(0));
    let mut b = unit("b", 100, (50, 50, 50), exact(100), exact(0));
    a.energy_kwh = Some(count(amount(10, 12, 15)));
    b.energy_kwh = Some(count(exact(8)));
    // least: (10 + 8) / (110 + 100) = 3/35, most: (15 + 8) / (90 + 100) = 23/190, point: 20 / 200
    let figure = measured("unit_energy", &[&a, &b]).figure;
    assert_eq!(shown(&figure), "0.1 [3/35..23/190]");
    assert_eq!(figure.point.unwrap().num, Rational::integer(20));

    // No piece is certain: there is no most.
    let mut open = unit("open", 100, (50, 50, 50), Amount { point: None, ..amount(0, 0, 10) }, exact(0));
    open.energy_kwh = Some(count(exact(5)));
    let figure = measured("unit_energy", &[&open]).figure;
    assert_eq!(shown(&figure), "? [0.5..?]");
    assert_eq!(figure.reason.unwrap().code, "open-bound");

    // Nothing at all was made: refused, not divided.
    let mut idle = unit("idle", 100, (0, 0, 0), exact(0), exact(0));
    idle.energy_kwh = Some(count(exact(5)));
    let figure = measured("unit_energy", &[&idle]).figure;
    assert!(figure.is_refused());
    assert_eq!(figure.reason.unwrap().code, "nothing-produced");
    // Beside a machine that made pieces its energy counts: (5 + 20) / 200.
    assert_eq!(shown(&measured("unit_energy", &[&idle, &a, &b]).figure), "0.125 [23/210..14/95]");
}

#[test]
fn a_work_unit_without_planned_time_contributes_nothing_to_planned_time_and_its_energy_counts() {
    let mut a = unit("a", 100, (50, 50, 50), exact(40), exact(0));
    let mut off = unit("off", 0, (10, 10, 10), exact(10), exact(10));
    a.energy_kwh = Some(count(exact(8)));
    off.energy_kwh = Some(count(exact(2)));
    let found = measured("oee", &[&a, &off]);
    assert_eq!(shown(&found.figure), "0.4 [0.4..0.4]");
    assert!(found.parts[0].contributes && !found.parts[1].contributes);
    assert_eq!((found.planned, found.unknown), (100, 0));
    assert_eq!(shown(&measured("quality_ratio", &[&a, &off]).figure), "1 [1..1]");
    // (8 + 2) / (40 + 10): energy is not hidden by a calendar.
    assert_eq!(shown(&measured("unit_energy", &[&a, &off]).figure), "0.2 [0.2..0.2]");

    let nothing = measured("oee", &[&off]);
    assert_eq!(nothing.figure.reason.unwrap().code, "no-planned-time");
    assert_eq!(nothing.coverage, None);
    assert_eq!(measured("oee", &[]).figure.reason.unwrap().code, "nothing-measured");
}

#[test]
fn a_missing_scrap_counter_refuses_the_whole_and_names_work_unit_and_role() {
    let a = unit("a", 100, (50, 50, 50), exact(40), exact(0));
    let mut b = unit("grinder-02", 100, (50, 50, 50), exact(40), exact(0));
    b.scrap = None;
    let found = measured("quality_ratio", &[&a, &b]);
    assert!(found.figure.is_refused());
    let reason = found.figure.reason.unwrap();
    assert_eq!(reason.code, "quality-not-measured");
    assert_eq!(reason.zh, "合格品率无法计算：设备 grinder-02 缺“不良品数”（scrap）点位");
    assert_eq!(reason.en, "Quality ratio cannot be computed: work unit grinder-02: no tag plays the role `scrap`");
    let [lack] = &found.lacks[..] else { panic!("one lack") };
    assert_eq!((lack.work_unit.as_str(), lack.role), ("grinder-02", Some(Role::Scrap)));
    // What needs no scrap counter is measured, and so is the other work unit.
    assert!(!measured("effectiveness", &[&a, &b]).figure.is_refused());
    assert!(!measured("quality_ratio", &[&a]).figure.is_refused());
    // Outside planned time it is not asked for.
    b.times.planned_busy = 0;
    assert!(!measured("quality_ratio", &[&a, &b]).figure.is_refused());
    b.energy_kwh = None;
    assert_eq!(measured("unit_energy", &[&a, &b]).lacks[0].role, Some(Role::Energy));
}

#[test]
fn pieces_and_ideal_time_are_never_added_to_each_other() {
    // a counts pieces of one product: 10 pieces, 1 scrapped, 6 s each. b makes two products and weighs by ideal
    // time: 120 s, 24 s of it scrapped.
    let mut a = unit("a", 100, (50, 50, 50), exact(10), exact(1));
    a.parts.ideal_all = Ok(exact(60));
    a.parts.ideal_scrap = Ok(exact(6));
    let mut b = unit("b", 100, (50, 50, 50), exact(120), exact(24));
    b.quality_in_pieces = false;
    // Both by ideal time: (60 - 6 + 120 - 24) / 180 = 150 / 180.
    assert_eq!(shown(&measured("quality_ratio", &[&a, &b]).figure), "5/6 [5/6..5/6]");
    // Alone a keeps its pieces.
    assert_eq!(shown(&measured("quality_ratio", &[&a]).figure), "0.9 [0.9..0.9]");
}

/// One to four machines, each with a story of its own and holes in it.
type Machines = Vec<(crate::properties::Story, Vec<(usize, usize, bool)>)>;

fn machines() -> impl Strategy<Value = Machines> {
    let holes = prop::collection::vec((0..3000_usize, 1..200_usize, any::<bool>()), 0..6);
    prop::collection::vec((story(), holes), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_truth_of_several_work_units_lies_inside_the_added_bounds(machines in machines(), length in 1..1900_i64) {
        // From 20:00 to 01:30 Shanghai plans a shift without a break: scans 360 to 2340 of each story.
        let plant = factory("Asia/Shanghai");
        let (mut truths, mut seen) = (Vec::new(), Vec::new());
        for (story, holes) in &machines {
            let told = story.tell();
            let scans = i64::try_from(told.samples.values().next().unwrap().len()).unwrap();
            let length = length.min(scans - 380);
            prop_assume!(length > 0);
            let (window, late) = (window(370, length), told.end.plus(HOUR));
            truths.push(answer(&plant, &told.samples, window, late));
            seen.push(answer(&plant, &spoiled(&told.samples, holes), window, late));
        }
        let (truths, seen): (Vec<_>, Vec<_>) = (truths.iter().collect(), seen.iter().collect());
        for indicator in indicator::all() {
            let (truth, found) = (measure(&indicator, &truths), measure(&indicator, &seen));
            prop_assert_eq!(truth.unknown, 0);
            prop_assert_eq!(truth.planned, found.planned);
            let Some(point) = truth.figure.point else { continue };
            let point = point.value();
            // Where the truth is a number, hidden scans may refuse a figure only by leaving nothing certain.
            let Some(low) = found.figure.low else {
                prop_assert!(indicator.formula == Formula::Effectiveness, "{} refused: {:?}", indicator, found.figure);
                continue;
            };
            prop_assert!(low.value() <= point, "{}: {} below {:?}", indicator, point, found.figure);
            if let Some(high) = found.figure.high {
                prop_assert!(point <= high.value(), "{}: {} above {:?}", indicator, point, found.figure);
            }
        }
    }
}
