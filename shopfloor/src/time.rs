//! Instants, intervals and the one way to wait.
//!
//! Time is an argument everywhere in this crate. The traits here let a program be driven by the real clock or
//! by a clock that a test moves; the implementations live in the shells (`agent::wait`, `simulators::lockstep`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

/// Nanoseconds in one second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Nanoseconds in one hour.
pub const HOUR: i64 = 60 * MINUTE;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (as POSIX time does).
/// Range: the years 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that is `nanoseconds` after the epoch.
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// The instant that is `seconds` after the epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This instant moved by `nanoseconds`, held at the ends of the range.
    #[must_use]
    pub const fn plus(self, nanoseconds: i64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }

    /// Nanoseconds from `earlier` to this instant; negative if `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses RFC 3339 text such as `2026-11-25T08:00:00Z`; `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an RFC 3339 instant")))
    }
}

/// A half-open stretch of time, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl Interval {
    /// The interval between two instants; `None` if the end is before the start.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// Length in nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.end.since(self.start)
    }

    /// Whether nothing is inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `at` is inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// What both have in common; `None` if that is empty.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let common = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!common.is_empty()).then_some(common)
    }
}

/// A boxed future that may move between threads.
pub type Pending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What time is it?
pub trait Clock: Send + Sync {
    /// Wall-clock time in UTC.
    fn now(&self) -> Timestamp;
    /// Nanoseconds since some fixed instant of this boot; never goes backward.
    fn monotonic(&self) -> u64;
}

/// The one way to wait. The real form sleeps; the lock-step form lets a test's clock jump.
pub trait Wait: Clock {
    /// Waits until `at` without holding time: a lock-step clock does not wait for this caller.
    fn until(&self, at: Timestamp) -> Pending<'static>;
    /// Joins as a worker: a lock-step clock stands still while any worker is not waiting.
    /// The real form costs nothing.
    fn worker(&self) -> Box<dyn Worker>;
}

/// A task whose work must be finished before a lock-step clock moves on. Dropping it leaves the clock.
pub trait Worker: Send {
    /// Says "done for now" and waits until `at`.
    fn until(&mut self, at: Timestamp) -> Pending<'_>;
}

/// A clock that stands where it was put; for tests of pure code and of single shells.
#[derive(Debug, Default)]
pub struct ManualClock(Mutex<(i64, u64)>);

impl ManualClock {
    /// A clock that shows `now`, with a monotonic time of zero.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now.as_nanos(), 0)))
    }

    /// Moves wall clock and monotonic time forward.
    pub fn advance(&self, nanoseconds: u64) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state.0.saturating_add_unsigned(nanoseconds);
        state.1 = state.1.saturating_add(nanoseconds);
    }

    /// Steps the wall clock alone, as a clock correction does.
    pub fn step_wall(&self, nanoseconds: i64) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state.0.saturating_add(nanoseconds);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    fn monotonic(&self) -> u64 {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back_as_written() {
        let at = Timestamp::parse("2026-11-25T08:00:00.5+08:00").unwrap();
        assert_eq!(at.as_nanos(), 1_795_564_800 * SECOND + SECOND / 2);
        assert_eq!(at.to_string(), "2026-11-25T00:00:00.5Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn intervals_that_only_touch_have_nothing_in_common() {
        let at = Timestamp::from_secs;
        let morning = Interval::new(at(0), at(10)).unwrap();
        let noon = Interval::new(at(10), at(20)).unwrap();
        assert_eq!(morning.intersect(noon), None);
        assert!(!morning.contains(at(10)));
        assert!(Interval::new(at(1), at(0)).is_none());
    }
}
