//! The recordings that lie beside the project, where they lie there.

use std::collections::BTreeMap;
use std::path::Path;

use shopfloor::time::{SECOND, Timestamp};
use simulators::replay::energy::QUARTER;
use simulators::replay::{Energy, Shdr};

fn recording(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: no recordings");
    }
    text
}

#[test]
fn a_year_of_a_steel_works() {
    let Some(text) = recording("steel-industry-energy.csv") else { return };
    let start = Timestamp::parse("2018-01-01T00:00:00+09:00").unwrap();
    let energy = Energy::read(&text, "Usage_kWh", start, QUARTER).unwrap();
    assert_eq!(energy.rows().count(), 35_040);
    assert_eq!(energy.finish(), Timestamp::parse("2019-01-01T00:00:00+09:00").unwrap());
    let days = energy.days();
    assert_eq!(days.len(), 365);
    assert!(days.iter().all(|(from, until, _)| until.since(*from) == 96 * QUARTER));
    assert_eq!(days.iter().map(|(_, _, used)| used).sum::<u64>(), energy.at(energy.finish()));
    assert_eq!(energy.first(31 * 96).days().len(), 31);
}

#[test]
fn a_turn_mill_in_four_connections() {
    let Some(text) = recording("okuma-multus-2022-08-08.shdr.txt") else { return };
    let recording = Shdr::read(&text).unwrap();
    assert_eq!(recording.connections(), 4);
    assert!(recording.events().windows(2).all(|pair| pair[0].at <= pair[1].at));
    let execution = recording.only(&["pexecution"]);
    let mut counts = BTreeMap::new();
    for event in execution.events().iter().filter(|event| event.recorded) {
        *counts.entry(event.value.as_str()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("ACTIVE", 4), ("PROGRAM_COMPLETED", 4), ("READY", 8)]));
    // No two values of the recording follow each other without a change, once the ends of connections are in.
    assert!(execution.events().windows(2).all(|pair| pair[0].value != pair[1].value));
    let closest = execution.events().windows(2).map(|pair| pair[1].at.since(pair[0].at)).max();
    assert!(closest.is_some_and(|longest| longest > SECOND));
}
