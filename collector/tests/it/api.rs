//! What the HTTP interface says of an hour that was worked out by hand.
//!
//! The shift lasts 3600 s, all of it planned busy. The machine runs 2700 s, so Availability is 2700 / 3600 = 3/4.
//! It makes 270 pieces at 9 s each: Effectiveness is 9 × 270 / 2700 = 9/10. It scraps 27: Quality is 243 / 270 =
//! 9/10. OEE is 9 × 243 / 3600 = 0.6075. The meter goes from reading to reading by 360 steps of 0.01 kWh: 3.6 kWh.

use serde_json::Value;
use shopfloor::time::{MINUTE, SECOND};

use crate::api_house::{
    MORNING, PLANT, Site, agent, heard_minute, meter, minute, minute_after_loss, quarter, subscriber,
};
use crate::house::Agent;

const UNIT: &str = "/api/v1/sites/xinchang/work-units/grinder-01";
const SHIFT: &str = "/api/v1/sites/xinchang/work-units/grinder-01/windows/2026-11-25T00:00:00Z/2026-11-25T01:00:00Z";

/// The blocks of a stretch of minutes.
fn minutes(agent: &mut Agent, from: i64, to: i64) -> Vec<shopfloor::wire::block::Sealed> {
    (from..to).map(|at| minute(agent, at)).collect()
}

fn point(figure: &Value) -> f64 {
    figure["point"]["value"].as_f64().unwrap_or_else(|| panic!("no point: {figure}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_a_shift_are_those_worked_out_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(200 * MINUTE), PLANT).await;
    let blocks = minutes(&mut agent, -5, 80);
    site.deliver(&agent, &blocks).await;

    let shift = site.get(SHIFT).await;
    assert_eq!(point(&shift["availability"]).to_string(), "0.75", "{shift:#}");
    assert_eq!(point(&shift["effectiveness"]).to_string(), "0.9");
    assert_eq!(point(&shift["quality_ratio"]).to_string(), "0.9");
    assert_eq!(point(&shift["oee"]).to_string(), "0.6075");
    let exact = |name: &str| -> (i128, i128) {
        let part = |key: &str| shift[name]["point"][key].as_str().unwrap().parse().unwrap();
        (part("num"), part("den"))
    };
    let (num, den) = exact("oee");
    assert_eq!(num * 10_000, den * 6075);
    assert_eq!(shift["counts"]["produced"]["point"], 270);
    assert_eq!(shift["counts"]["scrap"]["point"], 27);
    assert_eq!(shift["counts"]["good"]["point"], 243);
    assert_eq!(shift["energy"]["point"]["text"], "3.6");
    let leaf = |code: &str| -> i64 {
        let found = shift["time"].as_array().unwrap().iter().find(|leaf| leaf["leaf"] == code).unwrap();
        found["ns"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!((leaf("RUN"), leaf("DOWN"), leaf("UNK")), (2700 * SECOND, 900 * SECOND, 0));
    let all: i64 =
        shift["time"].as_array().unwrap().iter().map(|l| l["ns"].as_str().unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(all, 3600 * SECOND);
    assert_eq!(shift["label"]["zh"], "2026-11-25 白班");
    assert_eq!(shift["demo"], true);

    let listed = site.get(&format!("{UNIT}/windows?kind=shift&from=2026-11-25&to=2026-11-26")).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["oee"], shift["oee"], "the list and the detail agree to the last digit");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_oee_down_to_the_register_words_and_their_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let blocks = minutes(&mut agent, 0, 62);
    site.deliver(&agent, &blocks).await;

    let shift = site.get(SHIFT).await;
    let input = shift["inputs"].as_array().unwrap().iter().find(|input| input["role"] == "energy").unwrap();
    let samples = site.get(&format!("{}&limit=3", input["samples_url"].as_str().unwrap())).await;
    assert_eq!(samples.as_array().unwrap().len(), 3);
    let second = &samples[1];
    // 500000 + 3600 / 10 + 1 = 500361 = 0x0007A289, by hand.
    assert_eq!(second["words"], serde_json::json!(["0x0007", "0xa289"]));
    assert_eq!(second["raw_hex"], "0x0007a289");
    assert_eq!(second["exact"], "5003.61");
    assert_eq!(second["value"], 5003.61);
    assert_eq!(second["at"], "2026-11-25T00:00:10Z");
    assert_eq!(second["place"], "unit 1 holding 4..5");
    assert_eq!(second["by"], "scan");
    assert_eq!(second["block_hash"], blocks[0].hash.to_string());

    let block = site.get(&format!("/api/v1/blocks/{}", second["block_hash"].as_str().unwrap())).await;
    assert_eq!(block["log_index"], second["log_index"]);
    assert_eq!(block["signature"]["valid"], true, "{block:#}");
    assert_eq!(block["signature"]["public_key"], agent.key.public().to_string());
    assert_eq!(block["chain_ok"], true);
    assert_eq!(block["header"]["sequence"], "1");
    assert_eq!(block["header"]["quality_counts"]["good"], "24");
    assert_eq!(block["sections"][0]["groups"][1]["tags"][2], "grinder-01/energy");
    let leaf = site.store.log.leaf(second["log_index"].as_str().unwrap().parse().unwrap()).unwrap().unwrap();
    assert_eq!(block["leaf_hash"], leaf.tree_hash().to_string());
    let bytes = site
        .raw(
            &format!("/api/v1/blocks/{}/bytes", blocks[0].hash),
            &[("if-none-match", &format!("\"{}\"", blocks[0].hash))],
        )
        .await;
    assert_eq!(bytes.status(), 304);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_block_restates_a_settled_shift_and_is_named_as_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(190 * MINUTE), PLANT).await;
    let mut blocks = minutes(&mut agent, -2, 184);
    // The minute from 08:30 is given up: a later block says so, and the shift settles without it.
    let lost = blocks.remove(32);
    blocks.push(minute_after_loss(&mut agent, 184, &lost));
    site.deliver(&agent, &blocks).await;
    let settled = site.get(&format!("{UNIT}/windows?kind=shift&from=2026-11-25&to=2026-11-26")).await;
    assert_eq!((&settled[0]["state"], &settled[0]["version"]), (&"settled".into(), &1.into()), "{settled:#}");
    let unknown = |window: &Value| {
        let leaves = window["time"].as_array().unwrap();
        leaves.iter().find(|leaf| leaf["leaf"] == "UNK").unwrap()["ms"].as_i64().unwrap()
    };
    // The last sample before holds for 30 s; the lost minute's first would have come after 10.
    assert_eq!(unknown(&settled[0]), 40_000);
    // The counter went on, so the total is exact although the timing is not.
    assert_eq!(settled[0]["counts"]["produced"]["point"], 270);

    site.deliver(&agent, std::slice::from_ref(&lost)).await;
    site.clock.move_to(MORNING.plus(200 * MINUTE));
    let restated = site.get(&format!("{UNIT}/windows?kind=shift&from=2026-11-25&to=2026-11-26")).await;
    let window = &restated[0];
    assert_eq!((&window["state"], &window["version"]), (&"restated".into(), &2.into()));
    assert_eq!(window["restates"]["version"], 1);
    assert_eq!(window["restates"]["data_version"], settled[0]["data_version"]);
    assert_eq!(window["restates"]["cause"]["code"], "late-blocks");
    assert_eq!(window["restates"]["cause"]["blocks"], serde_json::json!([lost.hash.to_string()]));
    assert_eq!(unknown(window), 0);
    assert_ne!(window["data_version"], settled[0]["data_version"]);

    let detail = site.get(SHIFT).await;
    assert_eq!(detail["versions"].as_array().unwrap().len(), 2);
    assert_eq!(detail["versions"][0]["state"], "settled");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_later_blocks_restate_is_one_fact() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = subscriber();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let news = [(-30, true), (2700, false)];
    let blocks: Vec<_> = (-1..62).map(|at| heard_minute(&mut agent, at, &news)).collect();
    site.deliver(&agent, &blocks).await;
    let shift = site.get(SHIFT).await;
    assert_eq!(point(&shift["availability"]).to_string(), "0.75", "{shift:#}");

    let path =
        "/api/v1/sites/xinchang/tags/grinder-01/running/samples?from=2026-11-25T00:44:40Z&to=2026-11-25T00:45:30Z";
    let samples = site.get(path).await;
    let told: Vec<(&str, bool, &str)> = samples
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["at"].as_str().unwrap(), s["value"].as_bool().unwrap(), s["by"].as_str().unwrap()))
        .collect();
    let expected = [
        ("2026-11-25T00:44:40Z", true, "life-sign"),
        ("2026-11-25T00:44:50Z", true, "life-sign"),
        ("2026-11-25T00:45:00Z", false, "event"),
        ("2026-11-25T00:45:10Z", false, "life-sign"),
        ("2026-11-25T00:45:20Z", false, "life-sign"),
    ];
    assert_eq!(told, expected);
    let event = &samples[2];
    assert_eq!(event["source_time"], "2026-11-25T00:45:00Z");
    assert_eq!(event["block_hash"], blocks[46].hash.to_string(), "the block that told it first");
    assert_eq!(event["place"], "ns=urn:press;s=Running");
    assert_eq!((&event["words"], &event["raw_hex"]), (&serde_json::json!([]), &"0x00".into()));
    assert_eq!(site.get(UNIT).await["protocol"], "opc-ua");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_meter_is_read_back_to_the_last_step_each_day_and_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = meter();
    let days = 5;
    let site = Site::start(folder.path(), &agent, MORNING.plus((days + 1) * 24 * 60 * MINUTE), PLANT).await;
    // A reading every 15 minutes from the local midnight of the 25th; steps that no float adds up exactly.
    let step = |n: i64| n * 317 % 1009;
    let readings: Vec<i64> = (0..=days * 96)
        .scan(7, |sum, n| {
            *sum += step(n);
            Some(*sum)
        })
        .collect();
    let blocks: Vec<_> = readings.iter().zip(0..).map(|(reading, n)| quarter(&mut agent, n, *reading)).collect();
    site.deliver(&agent, &blocks).await;

    let energy = site.get(&format!("{UNIT}/energy?from=2026-11-25&to=2026-11-30&step=day")).await;
    let kwh = |steps: i64| shopfloor::unit::Rational::new(steps.into(), 100).unwrap().to_string();
    assert_eq!(energy["steps"].as_array().unwrap().len(), 5);
    for (day, found) in (0_usize..).zip(energy["steps"].as_array().unwrap()) {
        // The reading at midnight ends its day.
        let used = readings[(day + 1) * 96] - readings[day * 96];
        assert_eq!(found["energy"]["point"]["text"], kwh(used), "day {day}: {found:#}");
        assert_eq!(found["business_date"], format!("2026-11-{}", 25 + day));
    }
    assert_eq!(energy["total"]["point"]["text"], kwh(readings[5 * 96] - readings[0]), "{:#}", energy["total"]);
    assert_eq!(energy["total"]["exact"], true);
    site.stop().await;
}
