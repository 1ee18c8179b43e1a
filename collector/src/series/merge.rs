//! Many blocks' samples of a tag made one run: ordered, each fact once. Pure; order of arrival does not matter.

use shopfloor::sample::Sample;
use shopfloor::time::{Interval, Timestamp};

/// Orders by the instant a sample speaks for, then by when it was observed, and drops what is there twice: a block
/// stands alone, so its event columns restate the last known value with its original times.
///
/// Samples with the same instant that differ are kept in the order in which they were observed; the later one is
/// what holds from then on.
///
/// A value that counts as sampled again at a life sign is dropped where a newer one had been there by then: the
/// device stamped it before the life sign, and it was only heard of later.
pub fn merge(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(order);
    samples.dedup();
    let mut told = Told::default();
    samples.retain(|sample| !told.overtakes(sample.at, sample.observed_time, sample.source_time));
    samples
}

/// The newest notification of a run so far: when the device stamped it and when it was heard of.
#[derive(Debug, Default)]
pub struct Told(Option<(Timestamp, Timestamp)>);

impl Told {
    /// Takes the next sample of an ordered run; answers whether it only repeats a value that the device had replaced
    /// by then, which was not heard of yet. A repetition after that is the server's own word and stands.
    pub fn overtakes(&mut self, at: Timestamp, observed: Timestamp, source: Option<Timestamp>) -> bool {
        let Some(source) = source.filter(|source| *source <= at && source.as_nanos() > 0) else { return false };
        if source < at {
            return self.0.is_some_and(|(stamped, heard)| source < stamped && at <= heard);
        }
        if self.0.is_none_or(|(stamped, _)| stamped <= source) {
            self.0 = Some((source, observed));
        }
        false
    }
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
    fn a_life_sign_does_not_bring_back_a_value_that_was_replaced() {
        let told = |source: i64, at: i64, observed: i64, value| Sample {
            source_time: Some(Timestamp::from_secs(source)),
            observed_time: Timestamp::from_secs(observed),
            ..sample(at, value)
        };
        // The value 8 of second 5 was heard of in second 7, after the life sign of second 6, in whatever block.
        let (seven, eight) = (told(1, 1, 1, 7), told(5, 5, 7, 8));
        let merged = merge(vec![eight.clone(), seven.clone(), told(1, 4, 4, 7), told(1, 6, 6, 7), told(5, 9, 9, 8)]);
        assert_eq!(merged, vec![seven.clone(), told(1, 4, 4, 7), eight.clone(), told(5, 9, 9, 8)]);
        // A server that goes back to an older stamp is believed from when it says so.
        let back = told(1, 8, 8, 7);
        assert_eq!(merge(vec![seven.clone(), eight.clone(), back.clone()]), vec![seven, eight, back]);
    }

    #[test]
    fn a_stamp_from_far_in_the_future_drops_nothing_after_it() {
        let stamped = |source: i64, at: i64, value| Sample {
            source_time: Some(Timestamp::from_secs(source)),
            ..sample(at, value)
        };
        let run = vec![stamped(4_000_000_000, 5, 1), stamped(6, 6, 2), stamped(6, 7, 2)];
        assert_eq!(merge(run.clone()), run);
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
