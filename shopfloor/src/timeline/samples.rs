//! Samples put in order: sorted by time with a stated tie rule, exact repeats and rivals of one instant dropped.

use crate::sample::{Quality, Sample, Value};
use crate::time::Timestamp;

/// The samples of one tag in order, one for each instant, none after `now`.
///
/// Order of arrival and duplicates make no difference. Of several samples that speak for the same instant the
/// one that was observed last counts; of these the better quality; of these the one whose value prints first.
pub fn in_order(samples: &[Sample], now: Timestamp) -> Vec<&Sample> {
    let mut sorted: Vec<&Sample> = samples.iter().filter(|sample| sample.at <= now).collect();
    let ordered = sorted.windows(2).all(|pair| pair[0].at < pair[1].at);
    if !ordered {
        sorted.sort_by(|a, b| {
            let key = |s: &Sample| (s.at, std::cmp::Reverse(s.observed_time), s.quality(), s.status);
            key(a).cmp(&key(b)).then_with(|| print(a).cmp(&print(b)))
        });
        sorted.dedup_by_key(|sample| sample.at);
    }
    sorted
}

/// What a sample says about a state: its value unless it is Bad.
pub fn value(sample: &Sample) -> Option<&Value> {
    (sample.quality() != Quality::Bad).then_some(sample.value.as_ref()).flatten()
}

fn print(sample: &Sample) -> String {
    format!("{:?} {:?} {}", sample.value, sample.request_time, sample.stale_after)
}

/// Until when a sample holds if no other comes.
pub fn holds_until(sample: &Sample, stale_after: Option<i64>) -> Timestamp {
    sample.at.plus(stale_after.unwrap_or(sample.stale_after).max(0))
}
