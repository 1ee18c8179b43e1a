//! The region over the whole road: a published figure is the sum of what really happened in its factories, and what
//! would give one of them away is held back.
//!
//! All five factories of Yuyao play, and four of the seven of Xinchang: too few for a figure of their own, and all
//! nine together less Yuyao would be those four.

use serde_json::Value;
use shopfloor::time::{Clock as _, HOUR, Interval, MINUTE, Timestamp};
use shopfloor::unit::Rational;
use simulators::truth::{Truth, truth};

use crate::town::Town;

/// 2026-03-02 (a Monday) 00:00 in Shanghai.
const MIDNIGHT: i64 = 1_772_380_800;
const YUYAO: [&str; 5] = ["plastics", "tooling", "appliance", "bottles", "precision"];
const XINCHANG: [&str; 4] = ["thirty", "balls", "cages", "neighbour"];

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_figure_is_the_sum_of_the_truth_and_too_few_are_held_back() {
    let midnight = Timestamp::from_secs(MIDNIGHT);
    let day = Interval::new(midnight, midnight.plus(24 * HOUR)).unwrap();
    let names = [YUYAO.as_slice(), XINCHANG.as_slice()].concat();
    // The go-live, after which a line of `plastics` fails, lies beyond what is played.
    let mut town = Town::start(&names, 7, midnight, 30 * HOUR).await;
    // A day may settle two hours after its end; the collector then works the days out one site after another.
    town.drive(day.end.plus(2 * HOUR)).await;
    let mut region = town.get("/api/v1/region").await;
    for _ in 0..24 {
        if figure_of(&region["all"], "availability")["sites"] == names.len() {
            break;
        }
        town.drive(town.clock.now().plus(5 * MINUTE)).await;
        region = town.get("/api/v1/region").await;
    }

    let cluster = |id: &str| region["clusters"].as_array().unwrap().iter().find(|found| found["id"] == id).unwrap();
    let (yuyao, xinchang) = (cluster("yuyao-mould"), cluster("xinchang-bearing"));
    assert_eq!(xinchang["counties"], serde_json::json!(["嵊州市", "新昌县"]), "a cluster may cross counties");
    assert_eq!((&yuyao["name"], &yuyao["kind"]["zh"]), (&"余姚模具塑料产业集群".into(), &"产业集群".into()));
    let truths = truths_of_yuyao(&town, day);
    for (indicator, parts) in [
        ("oee", sum(&truths, |truth| truth.ideal_of_good)),
        ("availability", sum(&truths, |truth| Rational::integer(i128::from(truth.production)))),
    ] {
        let figure = figure_of(yuyao, indicator);
        assert_eq!((&figure["sites"], &figure["suppressed"]), (&5.into(), &Value::Null), "{figure:#}");
        assert_eq!(figure["window"]["from"].as_str().and_then(Timestamp::parse), Some(day.start), "{figure:#}");
        let planned = sum(&truths, |truth| Rational::integer(i128::from(truth.planned_busy)));
        assert_eq!(exact(&figure["figure"]["point"]), parts.checked_div(planned), "{indicator}: {figure:#}");
        let held = figure_of(xinchang, indicator);
        assert_eq!((&held["figure"], &held["suppressed"]["code"]), (&Value::Null, &"too-few-sites".into()), "{held:#}");
        let all = figure_of(&region["all"], indicator);
        assert_eq!((&all["figure"], &all["suppressed"]["code"]), (&Value::Null, &"complementary".into()), "{all:#}");
    }
    thirty_machines_in_three_states(&region);
    town.end().await;
}

/// Ten report to us, twenty are networked by another system: three counts and never one rate.
fn thirty_machines_in_three_states(region: &Value) {
    let sites = region["sites"].as_array().unwrap();
    let networked = &sites.iter().find(|site| site["id"] == "xc-thirty").unwrap()["networked"];
    let count = |state: &str| networked[state].as_u64().unwrap();
    assert_eq!((count("verified"), count("declared"), count("none"), count("total")), (10, 20, 0, 30), "{networked:#}");
    assert_eq!(networked["zh"], "10 已核验 / 20 已申报 / 0 未联网（共 30 台）");
    let keys: Vec<&String> = networked.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["declared", "en", "none", "total", "verified", "zh"], "counts and words, no rate");
}

fn truths_of_yuyao(town: &Town, day: Interval) -> Vec<Truth> {
    let worlds = town.players.iter().take(YUYAO.len()).map(|player| &player.site.world);
    worlds.flat_map(|world| world.machines().iter().map(|machine| truth(world, machine, day))).collect()
}

fn sum(truths: &[Truth], part: impl Fn(&Truth) -> Rational) -> Rational {
    truths.iter().fold(Rational::ZERO, |sum, truth| sum.checked_add(part(truth)).unwrap())
}

fn figure_of<'a>(of: &'a Value, indicator: &str) -> &'a Value {
    let figures = of["figures"].as_array().unwrap();
    figures
        .iter()
        .find(|figure| figure["indicator"]["id"] == indicator)
        .unwrap_or_else(|| panic!("no {indicator}: {of:#}"))
}

fn exact(figure: &Value) -> Option<Rational> {
    let part = |name: &str| figure[name].as_str()?.parse::<i128>().ok();
    Rational::new(part("num")?, part("den")?)
}
