//! Many blocks' samples of a tag made one run: ordered, each fact once. Pure; order of arrival does not matter.

use shopfloor::sample::Sample;
use shopfloor::time::{Interval, Timestamp};

/// Orders by the instant a sample speaks for, then by when it was observed, and drops what is there twice: a block
/// stands alone, so its event columns restate the last known value with its original times.
///
/// Samples with the same instant that differ are kept in the order in which they were observed; the later one is
/// what holds from then on.
pub fn merge(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(order);
    samples.dedup();
    samples
}

fn order(sample: &Sample) -> (Timestamp, Timestamp, Option<Timestamp>, u32) {
    (sample.at, sample.observed_time, sample.request_time, sample.status.0)
}

/// The samples of an ordered run that lie in an interval, its end included (a counter's reading there belongs to it),
/// and one more on either side.
pub fn cut(mut samples: Vec<Sample>, interval: Interval) -> Vec<Sample> {
    let first = samples.partition_point(|sample| sample.at < interval.start).saturating_sub(1);
    let last = samples.partition_point(|sample| sample.at <= interval.end).saturating_add(1).min(samples.len());
    samples.truncate(last);
    samples.drain(..first.min(last));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shopfloor::sample::{StatusCode, Value};
    use shopfloor::unit::Rational;

    fn sample(at: i64, value: i128) -> Sample {
        Sample {
            at: Timestamp::from_secs(at),
            value: Some(Value::Exact(Rational::integer(value))),
            status: StatusCode::GOOD,
            source_time: None,
            observed_time: Timestamp::from_secs(at),
            request_time: None,
            stale_after: 1,
        }
    }

    fn instants(samples: &[Sample]) -> Vec<i64> {
        samples.iter().map(|s| s.at.as_nanos() / shopfloor::time::SECOND).collect()
    }

    #[test]
    fn a_restated_row_is_one_fact() {
        let merged = merge(vec![sample(1, 7), sample(2, 8), sample(1, 7)]);
        assert_eq!(merged, vec![sample(1, 7), sample(2, 8)]);
    }

    #[test]
    fn an_interval_gets_its_end_and_one_sample_more_on_either_side() {
        let interval = Interval { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20) };
        let run: Vec<Sample> = [1, 8, 9, 10, 15, 20, 21, 22].map(|at| sample(at, 0)).to_vec();
        assert_eq!(instants(&cut(run.clone(), interval)), vec![9, 10, 15, 20, 21]);
        assert_eq!(instants(&cut(run[..2].to_vec(), interval)), vec![8]);
        assert_eq!(instants(&cut(run[6..].to_vec(), interval)), vec![21]);
        assert_eq!(instants(&cut(Vec::new(), interval)), Vec::<i64>::new());
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(values in proptest::collection::vec((0_i64..50, 0_i128..3), 0..40)) {
            // One value per instant, as one counter gives.
            let one: std::collections::BTreeMap<i64, i128> = values.iter().copied().collect();
            let forward: Vec<Sample> = one.iter().map(|(at, value)| sample(*at, *value)).collect();
            let mut backward: Vec<Sample> = forward.iter().rev().cloned().collect();
            backward.extend(forward.iter().cloned());
            prop_assert_eq!(merge(backward), forward);
        }
    }
}
