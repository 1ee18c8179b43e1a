//! The real clock and the real way to wait. The lock-step form lives with the simulators.
//!
//! A worker waits on a timer of the operating system where there is one (Linux): it wakes at the instant, once, also
//! when the wall clock is set. Tokio's own timers look at the clock in milliseconds and wake a thread one more time on
//! the way to any instant that is further than 64 ms ahead, and wake-ups are most of what an agent costs.

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
        Box::new(RealWorker::default())
    }
}

#[derive(Default)]
struct RealWorker {
    #[cfg(target_os = "linux")]
    alarm: Option<alarm::Alarm>,
}

impl Worker for RealWorker {
    fn until(&mut self, at: Timestamp) -> Pending<'_> {
        #[cfg(target_os = "linux")]
        {
            Box::pin(async move {
                if self.alarm.is_none() {
                    // Made here, because it belongs to the runtime that waits.
                    self.alarm = alarm::Alarm::new().ok();
                }
                match &self.alarm {
                    Some(alarm) if alarm.ring(at).await.is_ok() => {}
                    _ => sleep_until(at).await,
                }
            })
        }
        #[cfg(not(target_os = "linux"))]
        Box::pin(sleep_until(at))
    }
}

/// A timer of the kernel on the wall clock.
#[cfg(target_os = "linux")]
mod alarm {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use shopfloor::time::{SECOND, Timestamp};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub(super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        #[allow(
            deprecated,
            reason = "the successor is unsafe; all it asks for is a descriptor that stays, as an owned one does"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        /// Returns when the wall clock shows `at` or later, however it came to show that.
        pub(super) async fn ring(&self, at: Timestamp) -> io::Result<()> {
            while at.since(super::wall()) > 0 {
                self.set(at)?;
                let mut ready = self.0.readable().await?;
                // How often it rang, or that the clock was set: the loop looks at the clock itself.
                let _rang = rustix::io::read(&self.0, &mut [0; 8]);
                ready.clear_ready();
            }
            Ok(())
        }

        fn set(&self, at: Timestamp) -> io::Result<()> {
            let nanos = at.as_nanos();
            let it_value = Timespec { tv_sec: nanos.div_euclid(SECOND), tv_nsec: nanos.rem_euclid(SECOND) };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            timerfd_settime(&self.0, flags, &Itimerspec { it_interval, it_value })?;
            Ok(())
        }
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

#[cfg(test)]
mod tests {
    use shopfloor::time::SECOND;

    use super::*;

    #[tokio::test]
    async fn a_worker_wakes_at_its_instants_and_not_before() {
        let time = RealTime::new();
        let mut worker = time.worker();
        let begun = time.now();
        for step in 1..=3 {
            let at = begun.plus(step * SECOND / 100);
            // A wait that was given up must not ring in the next one.
            drop(worker.until(at.plus(SECOND)));
            tokio::select! { biased; () = worker.until(at.plus(-SECOND / 200)) => {}, () = std::future::ready(()) => {} }
            worker.until(at).await;
            assert!(time.now() >= at, "step {step}");
        }
        worker.until(begun).await;
    }
}
