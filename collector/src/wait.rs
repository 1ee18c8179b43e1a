//! The real clock: time from the operating system, waiting on tokio.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shopfloor::time::{Clock, Pending, Timestamp, Wait, Worker};

/// Longest single sleep: the wall clock may be set while we sleep, so it is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The real form of [`Wait`].
#[derive(Debug, Clone)]
pub struct RealWait {
    started: Instant,
}

impl RealWait {
    /// The clock of this process.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for RealWait {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealWait {
    fn now(&self) -> Timestamp {
        wall_clock()
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Wait for RealWait {
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

async fn sleep_until(at: Timestamp) {
    loop {
        let left = at.since(wall_clock());
        let Ok(left) = u64::try_from(left) else { return };
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_nanos(left).min(LOOK_AGAIN)).await;
    }
}

fn wall_clock() -> Timestamp {
    let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    };
    Timestamp::from_nanos(nanos)
}
