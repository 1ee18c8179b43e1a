//! The real clock and the real way to wait, on tokio. The lock-step form lives with the simulators.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shopfloor::time::{Clock, Pending, Timestamp, Wait, Worker};

/// Wall clock of the operating system; waits by sleeping.
#[derive(Debug)]
pub struct RealTime {
    boot: Instant,
}

impl RealTime {
    /// A clock whose monotonic time counts from now.
    pub fn new() -> Self {
        Self { boot: Instant::now() }
    }
}

impl Default for RealTime {
    fn default() -> Self {
        Self::new()
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl Clock for RealTime {
    fn now(&self) -> Timestamp {
        wall()
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.boot.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Wait for RealTime {
    fn until(&self, at: Timestamp) -> Pending<'static> {
        Box::pin(sleep_until(at))
    }

    fn worker(&self) -> Box<dyn Worker> {
        Box::new(RealWorker)
    }
}

struct RealWorker;

impl Worker for RealWorker {
    fn until(&mut self, at: Timestamp) -> Pending<'_> {
        Box::pin(sleep_until(at))
    }
}

/// Sleeps in steps of at most a minute, so that a stepped wall clock is noticed.
async fn sleep_until(at: Timestamp) {
    loop {
        let left = at.since(wall());
        if left <= 0 {
            return;
        }
        tokio::time::sleep(Duration::from_nanos(left.unsigned_abs()).min(Duration::from_mins(1))).await;
    }
}
