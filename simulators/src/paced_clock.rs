//! Real time, and real time made faster: a clock that runs from an instant of one's choice at a chosen speed.

use std::time::{Duration, Instant};

use shopfloor::time::{Clock, Pending, Timestamp, Wait, Worker};

/// A clock that showed `start` when it was made and has run at `speed` times real time since.
#[derive(Debug, Clone, Copy)]
pub struct PacedClock {
    start: Timestamp,
    begun: Instant,
    speed: u32,
}

impl PacedClock {
    /// A clock that shows `start` now; a speed of zero counts as one.
    pub fn from(start: Timestamp, speed: u32) -> Self {
        Self { start, begun: Instant::now(), speed: speed.max(1) }
    }

    /// The wall clock of this computer; it follows no later step of it.
    pub fn real() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::from(Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)), 1)
    }

    /// Times real time.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    fn elapsed(&self) -> i64 {
        let real = i64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
        real.saturating_mul(i64::from(self.speed))
    }
}

impl Clock for PacedClock {
    fn now(&self) -> Timestamp {
        self.start.plus(self.elapsed())
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.elapsed()).unwrap_or(0)
    }
}

impl Wait for PacedClock {
    fn until(&self, at: Timestamp) -> Pending<'static> {
        let ahead = at.since(self.now()).max(0).cast_unsigned() / u64::from(self.speed);
        Box::pin(tokio::time::sleep(Duration::from_nanos(ahead)))
    }

    fn worker(&self) -> Box<dyn Worker> {
        Box::new(PacedWorker(*self))
    }
}

struct PacedWorker(PacedClock);

impl Worker for PacedWorker {
    fn until(&mut self, at: Timestamp) -> Pending<'_> {
        self.0.until(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fast_clock_waits_a_fraction_and_never_wakes_early() {
        let clock = PacedClock::from(Timestamp::from_secs(1000), 1_000_000);
        let hour_later = Timestamp::from_secs(1000 + 3600);
        clock.worker().until(hour_later).await;
        assert!(clock.now() >= hour_later);
    }
}
