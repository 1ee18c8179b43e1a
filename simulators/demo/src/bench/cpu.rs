//! What a process has used, as the kernel counts it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often threads are looked at: what a thread used after the last look is lost when it ends.
const LOOK: Duration = Duration::from_millis(200);

/// Counts the processor time of one process over all threads that it ever had.
#[derive(Debug)]
pub struct Meter {
    process: PathBuf,
    threads: Mutex<BTreeMap<u64, u64>>,
}

impl Meter {
    /// Follows a process until the meter is dropped.
    pub fn of(pid: u32) -> Arc<Self> {
        let meter = Arc::new(Self { process: PathBuf::from(format!("/proc/{pid}")), threads: Mutex::default() });
        let followed = Arc::downgrade(&meter);
        std::thread::spawn(move || {
            while let Some(meter) = Weak::upgrade(&followed) {
                meter.nanos();
                drop(meter);
                std::thread::sleep(LOOK);
            }
        });
        meter
    }

    /// User and system time so far, nanoseconds, of threads that live and of those that ended.
    pub fn nanos(&self) -> u64 {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in std::fs::read_dir(self.process.join("task")).into_iter().flatten().flatten() {
            let used = std::fs::read_to_string(entry.path().join("schedstat")).ok();
            let used = used.and_then(|text| text.split_whitespace().next()?.parse().ok());
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(id), Some(used)) = (id, used) {
                threads.insert(id, used);
            }
        }
        threads.values().sum()
    }

    /// The most memory that it ever held, kB; 0 if the kernel does not say.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.process.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_also_when_its_thread_has_ended() {
        let meter = Meter::of(std::process::id());
        let before = meter.nanos();
        let worker = std::thread::spawn(|| {
            let end = std::time::Instant::now() + 3 * LOOK;
            while std::time::Instant::now() < end {
                std::hint::black_box(7_u64.pow(9));
            }
        });
        worker.join().unwrap();
        assert!(meter.nanos() > before + 50_000_000);
        assert!(meter.peak_memory() > 0);
    }
}
