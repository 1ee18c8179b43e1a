//! How long to wait before trying again: doubling, with full jitter, within bounds.
//!
//! Pure: the randomness is an argument, so that a test can say what it wants to see.

use std::time::Duration;

/// The shortest wait.
pub const FIRST: Duration = Duration::from_secs(1);

/// A row of failures of one thing.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    max: Duration,
}

impl Backoff {
    /// No failure yet; waits never exceed `max`.
    pub fn new(max: Duration) -> Self {
        Self { failures: 0, max }
    }

    /// Success: the next failure waits shortly again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure. How long to wait now: between half and all of `FIRST` doubled for each failure in the
    /// row, at most `max`. `random` is spread evenly over its type.
    pub fn next(&mut self, random: u32) -> Duration {
        let doubled = FIRST.min(self.max).saturating_mul(1 << self.failures.min(16)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half = doubled / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// A number from the operating system's generator; zero if it has none, which only makes the jitter less even.
pub fn jitter() -> u32 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_mins(1));
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(500));
    }

    #[test]
    fn a_bound_below_the_first_wait_is_kept() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        assert!(backoff.next(u32::MAX) <= Duration::from_millis(100));
    }
}
