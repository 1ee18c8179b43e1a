//! An outage: the broker is away for a day of lock-step time while polling goes on.
//!
//! Afterwards the report is the same as without the outage, with the original times; and while the backlog is sent,
//! new blocks go first.

use std::time::Duration;

use demo::factory::{drained, drive};
use serde_json::Value;
use shopfloor::time::{HOUR, Interval, SECOND, Timestamp};
use simulators::fault_proxy::Fault;
use simulators::machine::World;
use simulators::scenario::Scenario;

use crate::rig::{Rig, url_time};

/// 2026-03-02 00:00 in Shanghai.
const MIDNIGHT: i64 = 1_772_380_800;
/// The rig's block interval.
const BLOCK: i64 = 60 * SECOND;

fn world() -> World {
    let scenario = Scenario::builtin("small").unwrap();
    World::new(&scenario, 5, Timestamp::from_secs(MIDNIGHT).plus(-HOUR), 30 * HOUR)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_broker_costs_nothing_and_new_blocks_go_first() {
    let away = report(true).await;
    let whole = report(false).await;
    assert_eq!(away.len(), whole.len());
    for (a, b) in away.iter().zip(&whole) {
        assert_eq!(a, b, "the report with the outage differs from the one without");
    }
}

/// The day's report of each work unit, and an hour of raw samples, as far as they may not depend on the road.
async fn report(with_outage: bool) -> Vec<Value> {
    let mut rig = Rig::start(world(), None).await;
    let morning = Timestamp::from_secs(MIDNIGHT);
    let window = Interval::new(morning, morning.plus(24 * HOUR)).unwrap();
    drive(&rig.site, &rig.agent, &rig.clock, &mut *rig.driver, window.start, |_| {}).await.unwrap();
    drained(&rig.agent, Duration::from_mins(1)).await.unwrap();
    let sent_before = rig.agent.progress().acknowledged;
    if with_outage {
        rig.broker_line.set(Fault::Refuse);
    }
    drive(&rig.site, &rig.agent, &rig.clock, &mut *rig.driver, window.end, |_| {}).await.unwrap();
    if with_outage {
        let backlog = rig.agent.progress();
        println!("after a day away: {} blocks, {} bytes queued", backlog.queued_blocks, backlog.queued_bytes);
        assert!(backlog.queued_blocks >= 24 * 60, "polling or sealing stopped: {backlog:?}");
        rig.broker_line.set(Fault::None);
        live_first(&mut rig).await;
    } else {
        drive(&rig.site, &rig.agent, &rig.clock, &mut *rig.driver, window.end.plus(HOUR), |_| {}).await.unwrap();
    }
    drained(&rig.agent, Duration::from_mins(1)).await.unwrap();
    if with_outage {
        log_order(&rig, sent_before);
    }
    let answers = answers(&rig, window).await;
    rig.end().await;
    answers
}

/// From the first block after the reconnect until the backlog is gone, the newest stored sample is young.
async fn live_first(rig: &mut Rig) {
    let begun = rig.clock_now();
    let end = begun.plus(HOUR);
    let (mut back_at, mut looks, mut oldest) = (None, 0, 0);
    while rig.clock_now() < end {
        let next = rig.clock_now().plus(10 * SECOND);
        drive(&rig.site, &rig.agent, &rig.clock, &mut *rig.driver, next, |_| {}).await.unwrap();
        // A lock-step second costs next to nothing; what the network needs is real time, given here.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let newest = rig.newest_stored().await;
        if back_at.is_none() && newest > begun {
            back_at = Some(rig.clock_now());
        }
        let progress = rig.agent.progress();
        if back_at.is_some() && progress.queued_blocks > 1 {
            let age = rig.clock_now().since(newest);
            oldest = oldest.max(age);
            looks += 1;
            assert!(age <= 3 * BLOCK, "the newest stored sample is {} s old, {progress:?}", age / SECOND);
        }
    }
    println!(
        "back at {back_at:?}; {looks} looks while the backlog was sent, newest sample at most {} s old",
        oldest / SECOND
    );
    assert!(back_at.is_some(), "the agent did not come back within an hour");
    assert!(looks >= 3, "the backlog was gone before it could be looked at");
}

/// In the order of the log the first block after the reconnect is the newest there was, and no block that was sealed
/// while the backlog was sent waited for it.
fn log_order(rig: &Rig, sent_before: u64) {
    let site = &rig.world.scenario().site.id;
    let agent = "edge-01".parse().unwrap();
    let mut blocks = rig.collector.store().log.blocks(site, &agent, 1, sent_before + 1..=u64::MAX).unwrap();
    blocks.sort_by_key(|block| block.log_index);
    let first = &blocks[0];
    let backlog: Vec<_> = blocks.iter().filter(|block| block.sequence < first.sequence).collect();
    let (sequence, age) = (first.sequence, first.received.since(first.window.end));
    println!("first block after the reconnect: {sequence}, {} s old; {} before it", age / SECOND, backlog.len());
    assert!(age <= 3 * BLOCK, "the first block after the reconnect, {sequence}, was {} s old", age / SECOND);
    assert!(backlog.len() >= 24 * 60 - 2, "a day's backlog followed it, not {} blocks", backlog.len());
    assert!(backlog.is_sorted_by_key(|block| block.sequence), "the backlog goes oldest first");
    let last_of_backlog = backlog.last().unwrap().received;
    let meanwhile = blocks.iter().filter(|b| b.sequence > first.sequence && b.window.end < last_of_backlog);
    for block in meanwhile {
        let waited = block.received.since(block.window.end);
        assert!(waited <= 3 * BLOCK, "block {} waited {} s behind the backlog", block.sequence, waited / SECOND);
    }
}

async fn answers(rig: &Rig, window: Interval) -> Vec<Value> {
    let site = &rig.world.scenario().site.id;
    let mut answers = Vec::new();
    for machine in rig.world.machines() {
        let unit = &machine.spec().id;
        let (from, until) = (url_time(window.start), url_time(window.end));
        let day = rig.get(&format!("/api/v1/sites/{site}/work-units/{unit}/windows/{from}/{until}?kind=day")).await;
        for key in
            ["time", "elements", "counts", "energy", "coverage", "oee", "availability", "effectiveness", "remarks"]
        {
            answers.push(day[key].clone());
        }
        let noon = window.start.plus(4 * HOUR);
        let (from, until) = (url_time(noon), url_time(noon.plus(HOUR)));
        let tag = &machine.points()[0].tag;
        let samples =
            rig.get(&format!("/api/v1/sites/{site}/tags/{unit}/{tag}/samples?from={from}&to={until}&limit=5000")).await;
        for sample in samples.as_array().unwrap() {
            answers.push(serde_json::json!([sample["at"], sample["raw_hex"], sample["value"], sample["quality"]]));
        }
    }
    assert!(answers.len() > 400, "an hour has samples");
    answers
}
