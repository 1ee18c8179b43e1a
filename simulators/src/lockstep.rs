//! Lock-step time: a clock that stands still while anyone works and jumps when all wait.
//!
//! Agents, collectors and drivers join as workers ([`Wait::worker`]). While one of them is not waiting, the clock
//! stands, however long its sockets and disks take. When all wait, the clock jumps to the earliest of their
//! deadlines, and every worker that is due there counts as working from that instant on, before it has even been
//! polled: so no second jump can overtake it. Passive waiters ([`Wait::until`]) hold no time; they are woken when
//! their instant has passed. Nothing here sleeps or polls.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use shopfloor::time::{Clock, Pending, Timestamp, Wait, Worker};

/// A clock shared by everything in one process. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct LockStep {
    shared: Arc<Mutex<State>>,
}

/// What the clock knows of its waiters.
#[derive(Debug)]
struct State {
    start: i64,
    now: i64,
    wall_offset: i64,
    jumps: u64,
    ended: bool,
    next_id: u64,
    workers: BTreeMap<u64, WorkerState>,
    passive: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
enum WorkerState {
    Working,
    Waiting(Waiting),
}

#[derive(Debug)]
struct Waiting {
    until: i64,
    waker: Option<Waker>,
}

impl LockStep {
    /// A clock that shows `start` and stands there until a first worker has joined and waits.
    pub fn starting_at(start: Timestamp) -> Self {
        let start = start.as_nanos();
        let (workers, passive) = (BTreeMap::new(), BTreeMap::new());
        let state = State { start, now: start, wall_offset: 0, jumps: 0, ended: false, next_id: 0, workers, passive };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Ends time: the clock stands for ever, and every wait that has not returned never returns.
    /// Whoever waits leaves through its cancellation token.
    pub fn end(&self) {
        self.state().ended = true;
    }

    /// How often the clock has jumped.
    pub fn jumps(&self) -> u64 {
        self.state().jumps
    }

    /// How many workers hold the clock or wait on it: (working, waiting).
    pub fn workers(&self) -> (usize, usize) {
        let state = self.state();
        let working = state.workers.values().filter(|worker| matches!(worker, WorkerState::Working)).count();
        (working, state.workers.len() - working)
    }

    /// Steps the wall clock alone by `nanoseconds`, as a time correction on a machine does. Deadlines are wall
    /// times, so a step forward can make them due at once.
    pub fn step_wall(&self, nanoseconds: i64) {
        let mut state = self.state();
        state.wall_offset = state.wall_offset.saturating_add(nanoseconds);
        let wake = state.release_due();
        drop(state);
        wake.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self) {
        let wake = self.state().advance();
        wake.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn wall(&self) -> i64 {
        self.now.saturating_add(self.wall_offset)
    }

    /// Jumps to the earliest deadline if every worker waits; returns whom to wake.
    fn advance(&mut self) -> Vec<Waker> {
        if self.ended || self.workers.is_empty() {
            return Vec::new();
        }
        let mut earliest = i64::MAX;
        for worker in self.workers.values() {
            match worker {
                WorkerState::Working => return Vec::new(),
                WorkerState::Waiting(waiting) => earliest = earliest.min(waiting.until),
            }
        }
        if earliest == i64::MAX {
            return Vec::new(); // all wait for ever: there is no next instant
        }
        let ahead = earliest.saturating_sub(self.wall());
        if ahead > 0 {
            self.now = self.now.saturating_add(ahead);
            self.jumps += 1;
        }
        self.release_due()
    }

    /// Marks every worker that is due as working and takes every passive waiter that is due.
    fn release_due(&mut self) -> Vec<Waker> {
        if self.ended {
            return Vec::new();
        }
        let wall = self.wall();
        let mut wake = Vec::new();
        for worker in self.workers.values_mut() {
            if let WorkerState::Waiting(waiting) = worker
                && waiting.until <= wall
            {
                wake.extend(waiting.waker.take());
                *worker = WorkerState::Working;
            }
        }
        for waiting in self.passive.values_mut().filter(|waiting| waiting.until <= wall) {
            wake.extend(waiting.waker.take());
        }
        wake
    }
}

impl Clock for LockStep {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.state().wall())
    }

    fn monotonic(&self) -> u64 {
        let state = self.state();
        u64::try_from(state.now.saturating_sub(state.start)).unwrap_or(0)
    }
}

impl Wait for LockStep {
    fn until(&self, at: Timestamp) -> Pending<'static> {
        Box::pin(PassiveWait { clock: self.clone(), until: at.as_nanos(), id: None })
    }

    fn worker(&self) -> Box<dyn Worker> {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.workers.insert(id, WorkerState::Working);
        drop(state);
        Box::new(LockStepWorker { clock: self.clone(), id })
    }
}

/// One worker's place on the clock.
struct LockStepWorker {
    clock: LockStep,
    id: u64,
}

impl Worker for LockStepWorker {
    fn until(&mut self, at: Timestamp) -> Pending<'_> {
        Box::pin(WorkerWait { worker: self, until: at.as_nanos(), registered: false })
    }
}

impl Drop for LockStepWorker {
    fn drop(&mut self) {
        self.clock.state().workers.remove(&self.id);
        self.clock.settle();
    }
}

struct WorkerWait<'a> {
    worker: &'a mut LockStepWorker,
    until: i64,
    registered: bool,
}

impl Future for WorkerWait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let id = self.worker.id;
        let clock = self.worker.clock.clone();
        let mut state = clock.state();
        if self.registered {
            return match state.workers.get_mut(&id) {
                Some(WorkerState::Waiting(waiting)) => {
                    waiting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            };
        }
        if self.until <= state.wall() && !state.ended {
            return Poll::Ready(());
        }
        let waiting = Waiting { until: self.until, waker: Some(context.waker().clone()) };
        state.workers.insert(id, WorkerState::Waiting(waiting));
        drop(state);
        self.registered = true;
        clock.settle(); // wakes this task too if it was the last to wait
        Poll::Pending
    }
}

impl Drop for WorkerWait<'_> {
    /// A wait that is given up leaves its worker working: it holds the clock again until it waits or leaves.
    fn drop(&mut self) {
        if self.registered {
            self.worker.clock.state().workers.insert(self.worker.id, WorkerState::Working);
        }
    }
}

struct PassiveWait {
    clock: LockStep,
    until: i64,
    id: Option<u64>,
}

impl Future for PassiveWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if self.until <= state.wall() && !state.ended {
            return Poll::Ready(());
        }
        let id = *self.id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id - 1
        });
        let waiting = Waiting { until: self.until, waker: Some(context.waker().clone()) };
        state.passive.insert(id, waiting);
        Poll::Pending
    }
}

impl Drop for PassiveWait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.state().passive.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_secs(n)
    }

    /// Two workers with periods of 2 s and 3 s, and the instants that each of them sees.
    #[tokio::test(flavor = "multi_thread")]
    async fn workers_see_exactly_their_own_instants() {
        let clock = LockStep::starting_at(second(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut workers: Vec<_> = [2, 3].into_iter().map(|period| (period, clock.worker())).collect();
        let mut tasks = Vec::new();
        for (period, mut worker) in workers.drain(..) {
            let (clock, seen) = (clock.clone(), seen.clone());
            tasks.push(tokio::spawn(async move {
                let mut at = 0;
                while at < 6 {
                    at += period;
                    worker.until(second(at)).await;
                    tokio::task::yield_now().await; // work of unknown length
                    seen.lock().unwrap().push((clock.now(), period));
                    assert_eq!(clock.now(), second(at));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        let expected = [(2, 2), (3, 3), (4, 2), (6, 2), (6, 3)].map(|(at, period)| (second(at), period));
        assert_eq!(seen, expected);
        assert_eq!(clock.monotonic(), 6_000_000_000);
    }

    #[tokio::test]
    async fn the_clock_stands_while_one_worker_works() {
        let clock = LockStep::starting_at(second(0));
        let (mut first, second_worker) = (clock.worker(), clock.worker());
        let mut wait = first.until(second(5));
        assert!(futures::poll!(&mut wait).is_pending());
        assert_eq!((clock.now(), clock.workers()), (second(0), (1, 1)));
        drop(second_worker); // the last one that worked leaves
        wait.await;
        assert_eq!(clock.now(), second(5));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_holds_the_clock_until_its_worker_leaves() {
        let clock = LockStep::starting_at(second(0));
        let (mut first, mut other) = (clock.worker(), clock.worker());
        let mut given_up = first.until(second(1));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        let mut wait = other.until(second(9));
        assert!(futures::poll!(&mut wait).is_pending());
        assert_eq!(clock.now(), second(0));
        drop(first);
        wait.await;
        assert_eq!(clock.now(), second(9));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn passive_waiters_hold_no_time_and_are_woken_when_passed() {
        let clock = LockStep::starting_at(second(0));
        let woken = Arc::new(AtomicU64::new(0));
        let (passive, count) = (clock.until(second(3)), woken.clone());
        let task = tokio::spawn(async move {
            passive.await;
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut worker = clock.worker();
        worker.until(second(2)).await;
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        worker.until(second(10)).await;
        task.await.unwrap();
        assert_eq!((woken.load(Ordering::SeqCst), clock.now()), (1, second(10)));
    }

    #[tokio::test]
    async fn after_the_end_no_wait_returns() {
        let clock = LockStep::starting_at(second(0));
        let mut worker = clock.worker();
        clock.end();
        let mut wait = worker.until(second(1));
        assert!(futures::poll!(&mut wait).is_pending());
        assert!(futures::poll!(&mut wait).is_pending());
        assert_eq!((clock.now(), clock.jumps()), (second(0), 0));
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_moves_no_monotonic_time() {
        let clock = LockStep::starting_at(second(100));
        let mut worker = clock.worker();
        clock.step_wall(-50 * shopfloor::time::SECOND);
        assert_eq!((clock.now(), clock.monotonic()), (second(50), 0));
        worker.until(second(60)).await;
        assert_eq!(clock.monotonic(), 10 * shopfloor::time::SECOND as u64);
    }
}
