//! When a result settles, what holds it back, and what makes a new version of it.

use serde_json::Value;
use shopfloor::time::{Clock, MINUTE};
use shopfloor::wire::block::Sealed;

use crate::api_house::{MORNING, PLANT, Site, agent, minute};
use crate::house::{Agent, until};

const SHIFTS: &str = "/api/v1/sites/xinchang/work-units/grinder-01/windows?kind=shift&from=2026-11-25&to=2026-11-26";

fn minutes(agent: &mut Agent, from: i64, to: i64) -> Vec<Sealed> {
    (from..to).map(|at| minute(agent, at)).collect()
}

async fn shift(site: &Site) -> Value {
    site.get(SHIFTS).await[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_is_live_then_provisional_then_settled() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(30 * MINUTE), PLANT).await;
    let mut blocks = minutes(&mut agent, -2, 190);
    let later = blocks.split_off(32);
    site.deliver(&agent, &blocks).await;
    let live = shift(&site).await;
    assert_eq!((&live["state"], &live["evaluated_until"]), (&"live".into(), &"2026-11-25T00:30:00Z".into()));
    site.clock.move_to(MORNING.plus(190 * MINUTE));
    assert_eq!(shift(&site).await["state"], "provisional", "the agent has not delivered the rest");
    // All but one block: the hole holds the window back, however late it is.
    site.deliver(&agent, &[&later[..10], &later[11..]].concat()).await;
    assert_eq!(shift(&site).await["state"], "provisional", "a block is missing");
    site.deliver(&agent, &later[10..11]).await;
    let settled = shift(&site).await;
    assert_eq!(
        (&settled["state"], &settled["version"], &settled["restates"]),
        (&"settled".into(), &1.into(), &Value::Null)
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_arrival_makes_no_difference_and_a_restart_forgets_nothing() {
    let mut results = Vec::new();
    for backward in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent();
        let now = MORNING.plus(190 * MINUTE);
        let site = Site::start(folder.path(), &agent, now, PLANT).await;
        let mut blocks = minutes(&mut agent, -2, 185);
        if backward {
            blocks.reverse();
        }
        site.deliver(&agent, &blocks).await;
        let first = shift(&site).await;
        assert_eq!(first["state"], "settled");
        site.stop().await;
        // The plant is in the log; nothing is imported again.
        let again = Site::start(folder.path(), &agent, now, "").await;
        assert_eq!(shift(&again).await, first);
        again.stop().await;
        results.push(first);
    }
    assert_eq!(results[0], results[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_built_again_when_derived_db_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let now = MORNING.plus(190 * MINUTE);
    let site = Site::start(folder.path(), &agent, now, PLANT).await;
    let blocks = minutes(&mut agent, -2, 185);
    site.deliver(&agent, &blocks).await;
    let first = shift(&site).await;
    site.stop().await;
    for file in std::fs::read_dir(folder.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("derived.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let again = Site::start(folder.path(), &agent, now, "").await;
    assert_eq!(shift(&again).await, first);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plant_restates_what_it_changes_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let now = MORNING.plus(190 * MINUTE);
    let site = Site::start(folder.path(), &agent, now, PLANT).await;
    let blocks = minutes(&mut agent, -2, 185);
    site.deliver(&agent, &blocks).await;
    let before = shift(&site).await;
    assert_eq!(before["oee"]["point"]["value"].to_string(), "0.6075");
    let slower = PLANT.replace("time = \"9s\"", "time = \"10s\"");
    collector::ledger::import::import(&site.store, &slower, "plant.toml", now, false).unwrap();
    let after = shift(&site).await;
    // 10 s for each of 243 good pieces in 3600 s.
    assert_eq!(after["oee"]["point"]["value"].to_string(), "0.675");
    assert_eq!((&after["state"], &after["version"]), (&"restated".into(), &2.into()));
    assert_eq!(after["restates"]["cause"]["code"], "plant-changed");
    assert_eq!(after["restates"]["data_version"], before["data_version"]);
    assert_ne!(after["plant"], before["plant"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_grace_in_good_time_is_no_late_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let mut blocks = minutes(&mut agent, -2, 90);
    // The last block ends exactly when the grace of the hour does.
    let after = blocks.split_off(72);
    site.deliver(&agent, &blocks).await;
    let hour = SHIFTS
        .replace("?kind=shift&from=2026-11-25&to=2026-11-26", "/2026-11-25T00:00:00Z/2026-11-25T01:00:00Z?kind=hour");
    let settled = site.get(&hour).await;
    assert_eq!(settled["state"], "settled");
    site.clock.move_to(MORNING.plus(90 * MINUTE));
    site.deliver(&agent, &after).await;
    let again = site.get(&hour).await;
    assert_eq!((&again["state"], &again["data_version"]), (&"settled".into(), &settled["data_version"]));
    assert_eq!(again["versions"].as_array().unwrap().len(), 1);
    site.stop().await;
}

/// A live agent is heard first, and the history of another arrives behind it: its windows settle too, unasked.
#[tokio::test(flavor = "multi_thread")]
async fn history_that_arrives_behind_live_data_settles_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let mut live = agent();
    let mut past = Agent::new("edge-past", 2);
    past.map = live.map.clone();
    past.map.agent = past.id.clone();
    let bindings = "agent = \"edge-past\"\nuntil = \"2026-11-25T01:00:00Z\"\n[[work_unit.binding]]\nagent = \"edge-01\"\n\
        from = \"2026-11-25T01:00:00Z\"";
    let plant = PLANT.replacen("agent = \"edge-01\"", bindings, 1);
    let site = Site::start_with(folder.path(), &[&live, &past], MORNING.plus(190 * MINUTE), &plant).await;
    let blocks: Vec<Sealed> = (60..190).map(|at| minute(&mut live, at)).collect();
    site.deliver(&live, &blocks).await;
    let path = folder.path().join("state/derived.db");
    let kept = |kind: &str| -> i64 {
        let derived = rusqlite::Connection::open(&path).unwrap();
        derived.query_row("SELECT count(*) FROM result WHERE kind = ?1", [kind], |row| row.get(0)).unwrap()
    };
    let step = || site.clock.move_to(site.clock.now().plus(MINUTE / 12));
    until("an hour of the live agent is kept", || {
        step();
        kept("hour") > 0
    })
    .await;
    assert_eq!(kept("shift"), 0, "the shift was the other agent's");
    let history: Vec<Sealed> = (-2..60).map(|at| minute(&mut past, at)).collect();
    site.deliver(&past, &history).await;
    until("the shift before is kept", || {
        step();
        kept("shift") == 1
    })
    .await;
    site.stop().await;
}
