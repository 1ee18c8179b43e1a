//! Which scan group is due at `now`. Pure.
//!
//! Scans are aligned to multiples of their interval on the UTC clock, so that two agents scan at the same instants
//! and a scan's instant says which one it was. A scan whose instant passed while another was still running is
//! missed, never made up for in silence: the caller records a Bad row for it.

use shopfloor::time::Timestamp;

/// The rhythm of one scan group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// Nanoseconds between scans, positive.
    pub interval: i64,
}

/// Something to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Index of the group.
    pub group: usize,
    /// Instants that passed without a scan, oldest first; at most `MISSED_MAX` of them.
    pub missed: Vec<Timestamp>,
    /// Instants that passed without a scan, in all.
    pub missed_count: u64,
    /// The instant to scan for now.
    pub at: Timestamp,
}

/// Rows that are written for missed scans at once; a longer pause (a suspended machine, a stepped clock) shows as
/// absence of rows, which reads as Unknown just the same.
pub const MISSED_MAX: usize = 600;

/// The next instant of every group of one source.
#[derive(Debug, Clone)]
pub struct Schedule {
    groups: Vec<(Rhythm, Timestamp)>,
}

impl Schedule {
    /// Every group at its first multiple of the interval that is not before `now`.
    pub fn new(rhythms: impl IntoIterator<Item = Rhythm>, now: Timestamp) -> Self {
        Self { groups: rhythms.into_iter().map(|r| (r, ceil(now, r.interval))).collect() }
    }

    /// When something will be due; `None` if there are no groups.
    pub fn next(&self) -> Option<Timestamp> {
        self.groups.iter().map(|(_, at)| *at).min()
    }

    /// The group that has been due longest, if any is due at `now`; its next instant moves on.
    /// A wall clock that was set back does not silence a group for longer than its interval.
    pub fn due(&mut self, now: Timestamp) -> Option<Due> {
        for (rhythm, at) in &mut self.groups {
            if at.since(now) > rhythm.interval {
                *at = ceil(now, rhythm.interval);
            }
        }
        let group = (0..self.groups.len()).filter(|g| self.groups[*g].1 <= now).min_by_key(|g| self.groups[*g].1)?;
        let (rhythm, first) = self.groups[group];
        let latest = floor(now, rhythm.interval);
        self.groups[group].1 = latest.plus(rhythm.interval);
        let missed_count = u64::try_from(latest.since(first) / rhythm.interval).unwrap_or(0);
        let kept = missed_count.min(MISSED_MAX as u64);
        let missed = (0..kept).map(|i| first.plus(rhythm.interval.saturating_mul(i.cast_signed()))).collect();
        Some(Due { group, missed, missed_count, at: latest })
    }
}

fn floor(at: Timestamp, interval: i64) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos().div_euclid(interval).saturating_mul(interval))
}

fn ceil(at: Timestamp, interval: i64) -> Timestamp {
    let below = floor(at, interval);
    if below == at { at } else { below.plus(interval) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shopfloor::time::SECOND;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn scans_fall_on_multiples_of_the_interval() {
        let mut schedule = Schedule::new([Rhythm { interval: 10 * SECOND }], at(1003));
        assert_eq!(schedule.next(), Some(at(1010)));
        assert_eq!(schedule.due(at(1009)), None);
        let due = schedule.due(at(1010).plus(5)).unwrap();
        assert_eq!((due.at, due.missed_count), (at(1010), 0));
        assert_eq!(schedule.next(), Some(at(1020)));
    }

    #[test]
    fn missed_scans_are_named_and_counted() {
        let mut schedule = Schedule::new([Rhythm { interval: SECOND }], at(0));
        let due = schedule.due(at(3)).unwrap();
        assert_eq!(due.missed, [at(0), at(1), at(2)]);
        assert_eq!((due.at, due.missed_count), (at(3), 3));
        assert_eq!(schedule.next(), Some(at(4)));
    }

    #[test]
    fn the_group_that_waits_longest_goes_first() {
        let mut schedule = Schedule::new([Rhythm { interval: 5 * SECOND }, Rhythm { interval: SECOND }], at(1));
        let order: Vec<usize> = std::iter::from_fn(|| schedule.due(at(5))).map(|d| d.group).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn a_clock_set_back_does_not_silence_a_group() {
        let mut schedule = Schedule::new([Rhythm { interval: SECOND }], at(7200));
        schedule.due(at(7200)).unwrap();
        assert_eq!(schedule.due(at(3600)).map(|d| d.at), Some(at(3600)));
    }

    #[test]
    fn a_long_sleep_does_not_flood_the_journal() {
        let mut schedule = Schedule::new([Rhythm { interval: SECOND }], at(0));
        let due = schedule.due(at(86_400)).unwrap();
        assert_eq!((due.missed.len(), due.missed_count), (MISSED_MAX, 86_400));
    }
}
