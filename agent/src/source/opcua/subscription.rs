//! One subscription as seen from the agent: rows in the order of the server's messages, life signs, and what is
//! missing.
//!
//! A message that is missing is asked for again, and what came after it is held back until it is there. So rows are
//! always handed on in the order in which the server sent them, and no life sign speaks for a time of which something
//! is missing: a reader who takes the row that was handed on last for the newest is right.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::types::{DataChangeNotification, NotificationMessage, StatusChangeNotification};
use shopfloor::register_map::DataType;
use shopfloor::sample::StatusCode;
use shopfloor::time::Wait;
use shopfloor::wire::section::EventRow;
use tokio::sync::mpsc;

use super::map;
use crate::recorder::Recorder;
use crate::source::Reading;

/// Messages that are waited for or held back behind such, at most.
const MESSAGES_MAX: usize = 1000;
/// Rows that are held back, at most. At either bound the source's task is told to give the session up; what comes
/// until it does is dropped, and said to be lost with the rest.
const ROWS_MAX: usize = 200_000;

/// What a subscription tells the source's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Messages are missing: they are to be asked for again.
    Missing,
    /// More is missing or held back than is borne.
    TooMuchMissing,
    /// The server says that the subscription is over.
    Over {
        /// Status it gave.
        status: u32,
    },
}

/// Shared by the client's callback and the source's task.
#[derive(Clone)]
pub struct Watched(Arc<Mutex<State>>);

struct State {
    group: u16,
    types: Vec<DataType>,
    expected: Option<u32>,
    last_activity: Instant,
    /// From the first missing message on, in the order of the server; empty while nothing is missing.
    behind: VecDeque<Slot>,
    missing_since: Option<Instant>,
    wait: Arc<dyn Wait>,
    recorder: Recorder,
    signals: mpsc::UnboundedSender<Signal>,
}

/// The place of one message.
enum Slot {
    /// It is missing.
    Missing(u32),
    /// It is held back; its rows. None for a keep-alive.
    Held(Rows),
}

impl Slot {
    fn missing(&self) -> Option<u32> {
        if let Self::Missing(sequence) = self { Some(*sequence) } else { None }
    }

    fn held(&self) -> usize {
        if let Self::Held(rows) = self { rows.len() } else { 0 }
    }
}

/// Rows with their columns. The time of observation is set when they are handed on.
type Rows = Vec<(u16, EventRow)>;

impl Watched {
    /// A subscription of a group whose columns have `types`. Client handle of an item is its column plus one.
    pub fn new(
        group: u16,
        types: Vec<DataType>,
        wait: Arc<dyn Wait>,
        recorder: Recorder,
        signals: mpsc::UnboundedSender<Signal>,
    ) -> Self {
        let (last_activity, behind) = (Instant::now(), VecDeque::new());
        let (expected, missing_since) = (None, None);
        Self(Arc::new(Mutex::new(State {
            group,
            types,
            expected,
            last_activity,
            behind,
            missing_since,
            wait,
            recorder,
            signals,
        })))
    }

    /// When the server last gave any answer for this subscription.
    pub fn last_activity(&self) -> Instant {
        self.lock().last_activity
    }

    /// The sequence number of the first missing message.
    pub fn missing(&self) -> Option<u32> {
        self.lock().behind.iter().find_map(Slot::missing)
    }

    /// Since when there has always been a missing message.
    pub fn missing_since(&self) -> Option<Instant> {
        self.lock().missing_since
    }

    /// Takes in the missing message `sequence`, which was sent again on request.
    pub fn republished(&self, sequence: u32, message: &NotificationMessage) {
        let mut state = self.lock();
        let rows = state.rows(message);
        state.fill(sequence, rows);
    }

    /// The subscription is over. Every tag becomes Bad right after the newest life sign. What was held back behind
    /// missing messages is handed on, and each tag in it becomes Bad again right after what is known of it.
    pub fn lost(&self) {
        self.lock().give_up();
    }

    /// A tag that the server does not monitor.
    pub fn refused(&self, column: u16, status: StatusCode) {
        let state = self.lock();
        let row = bad_row(status, state.wait.now().as_nanos());
        state.recorder.push(Reading::Events { group: state.group, rows: vec![(column, row)] });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bad_row(status: StatusCode, observed_time: i64) -> EventRow {
    EventRow { source_time: None, server_time: None, observed_time, status, value: None }
}

/// The row that says that nothing is known of a tag right after this row of it. Each of its times is the next
/// nanosecond, so that whichever of them a reader goes by, it goes by the same one.
fn after((column, row): (u16, EventRow)) -> (u16, EventRow) {
    let next = |time: Option<i64>| time.map(|time| time.saturating_add(1));
    let (source_time, server_time) = (next(row.source_time), next(row.server_time));
    (column, EventRow { source_time, server_time, ..bad_row(StatusCode::BAD_SUBSCRIPTION_LOST, row.observed_time) })
}

impl OnSubscriptionNotificationCore for Watched {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        self.lock().message(&message);
    }
}

impl State {
    /// Takes in what one publish response carried: its rows, if any, and the life sign that it is.
    fn message(&mut self, message: &NotificationMessage) {
        self.last_activity = Instant::now();
        let carries = message.notification_data.as_ref().is_some_and(|data| !data.is_empty());
        tracing::trace!(group = self.group, sequence = message.sequence_number, carries, "message");
        let rows = self.rows(message);
        if carries && self.is_missing(message.sequence_number) {
            return self.fill(message.sequence_number, rows);
        }
        self.follow(message.sequence_number, carries);
        if self.behind.is_empty() {
            self.hand_on(rows);
        } else {
            self.hold(rows);
        }
    }

    /// Sequence numbers rise by one with each message that carries something; a keep-alive names the next one. A
    /// number that was there before means that the client had to make the subscription anew (the server was started
    /// again, or had dropped it): what the old one would have said is lost.
    fn follow(&mut self, found: u32, carries: bool) {
        if let Some(expected) = self.expected {
            let ahead = found.wrapping_sub(expected);
            if ahead >= u32::MAX / 2 {
                tracing::warn!(group = self.group, expected, found, "the subscription was made anew");
                self.give_up();
            } else if ahead != 0 {
                self.miss(expected, found);
            }
        }
        self.expected = Some(if carries { next(found) } else { found });
    }

    /// Makes places for the messages from `first` up to the one before `found`.
    fn miss(&mut self, first: u32, found: u32) {
        let mut sequence = first;
        while sequence != found && self.behind.len() < MESSAGES_MAX {
            self.behind.push_back(Slot::Missing(sequence));
            sequence = next(sequence);
        }
        self.missing_since = self.missing_since.or(Some(Instant::now()));
        tracing::debug!(group = self.group, first, found, "messages are missing");
        self.signal(if sequence == found { Signal::Missing } else { Signal::TooMuchMissing });
    }

    fn hold(&mut self, rows: Rows) {
        let held: usize = self.behind.iter().map(Slot::held).sum();
        if self.behind.len() >= MESSAGES_MAX || held + rows.len() > ROWS_MAX {
            return self.signal(Signal::TooMuchMissing);
        }
        self.behind.push_back(Slot::Held(rows));
    }

    fn is_missing(&self, sequence: u32) -> bool {
        self.behind.iter().any(|slot| slot.missing() == Some(sequence))
    }

    /// Puts the rows of a missing message into its place. Once none is missing, hands on what was held back.
    fn fill(&mut self, sequence: u32, rows: Rows) {
        let Some(slot) = self.behind.iter_mut().find(|slot| slot.missing() == Some(sequence)) else { return };
        *slot = Slot::Held(rows);
        if self.behind.iter().any(|slot| slot.missing().is_some()) {
            return;
        }
        self.missing_since = None;
        let held = std::mem::take(&mut self.behind);
        self.hand_on(
            held.into_iter().flat_map(|slot| if let Slot::Held(rows) = slot { rows } else { Rows::new() }).collect(),
        );
    }

    /// Hands rows on, up to which nothing is missing, and the life sign that they are.
    fn hand_on(&self, rows: Rows) {
        // One instant for both: a life sign before its own rows would bring back the values that they replace.
        let at = self.wait.now().as_nanos();
        self.record(rows, at);
        self.recorder.push(Reading::Life { group: self.group, at });
    }

    fn record(&self, mut rows: Rows, observed: i64) {
        if rows.is_empty() {
            return;
        }
        for (_, row) in &mut rows {
            row.observed_time = observed;
        }
        self.recorder.push(Reading::Events { group: self.group, rows });
    }

    /// What is missing will not come any more: says that nothing is known from there on but what was held back.
    fn give_up(&mut self) {
        self.say_lost();
        self.missing_since = None;
        let at = self.wait.now().as_nanos();
        let mut known = BTreeMap::new();
        for slot in std::mem::take(&mut self.behind) {
            match slot {
                Slot::Missing(_) => self.record(std::mem::take(&mut known).into_iter().map(after).collect(), at),
                Slot::Held(rows) => {
                    known.extend(rows.iter().cloned());
                    self.record(rows, at);
                }
            }
        }
        self.record(known.into_iter().map(after).collect(), at);
    }

    fn say_lost(&self) {
        let Some(life) = self.recorder.newest_life(self.group) else { return };
        let row = bad_row(StatusCode::BAD_SUBSCRIPTION_LOST, life + 1);
        let columns = 0..u16::try_from(self.types.len()).unwrap_or(u16::MAX);
        let rows = columns.map(|column| (column, row.clone())).collect();
        self.recorder.push(Reading::Events { group: self.group, rows });
    }

    /// The rows of a message; says if it ends the subscription.
    fn rows(&self, message: &NotificationMessage) -> Rows {
        let mut rows = Rows::new();
        for data in message.notification_data.iter().flatten() {
            if let Some(change) = data.inner_as::<DataChangeNotification>() {
                for item in change.monitored_items.iter().flatten() {
                    let column = usize::try_from(item.client_handle).unwrap_or(usize::MAX).wrapping_sub(1);
                    let Some(expected) = self.types.get(column) else { continue };
                    let Ok(column) = u16::try_from(column) else { continue };
                    rows.push((column, map::row(&item.value, *expected, 0)));
                }
            } else if let Some(change) = data.inner_as::<StatusChangeNotification>() {
                self.signal(Signal::Over { status: change.status.bits() });
            }
        }
        rows
    }

    fn signal(&self, signal: Signal) {
        if self.signals.send(signal).is_err() {
            tracing::debug!(?signal, "nobody listens: the session is being given up");
        }
    }
}

/// After the largest number follows 1.
fn next(sequence: u32) -> u32 {
    if sequence == u32::MAX { 1 } else { sequence + 1 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use opcua::types::{DataValue, DateTime, ExtensionObject, MonitoredItemNotification, Variant};
    use shopfloor::sample::Value;
    use shopfloor::time::{Clock, Pending, Timestamp, Worker};

    use super::*;
    use crate::batcher::{Batcher, Layout};
    use crate::live::Live;
    use crate::metrics::Metrics;

    /// A clock that goes on by a nanosecond whenever it is looked at.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
        }

        fn monotonic(&self) -> u64 {
            0
        }
    }

    impl Wait for Ticking {
        fn until(&self, _: Timestamp) -> Pending<'static> {
            Box::pin(std::future::pending())
        }

        fn worker(&self) -> Box<dyn Worker> {
            crate::wait::RealTime::new().worker()
        }
    }

    /// A subscription of one tag, what it recorded, and what it told the task.
    struct Seen {
        watched: Watched,
        recorder: Recorder,
        live: Live,
        signals: mpsc::UnboundedReceiver<Signal>,
    }

    impl Seen {
        fn new() -> Self {
            let text = "schema = 1\n[agent]\nsite = \"site-1\"\nid = \"agent-1\"\nstate_dir = \"/unused\"\n\
                        demo = true\n[[source]]\nid = \"o\"\nprotocol = \"opc-ua\"\n\
                        endpoint = \"opc.tcp://127.0.0.1:4840/\"\ninsecure = true\n[[source.tag]]\n\
                        name = \"m/count\"\nnode = \"nsu=urn:x;s=a\"\ntype = \"i32\"\nsection = \"kpi\"\n";
            let config = crate::config::parse(text, "agent.toml").unwrap();
            let map = crate::source::assemble(&config).map;
            let live = Live::new(Arc::clone(&map));
            let batcher = Batcher::new(Layout::of(&map), config.recording.clone(), Timestamp::from_secs(0));
            let metrics = Metrics::new(prometheus::Registry::new()).unwrap();
            let recorder = Recorder::new(batcher, &map, live.clone(), metrics);
            let (sender, signals) = mpsc::unbounded_channel();
            let wait = Arc::new(Ticking(AtomicI64::new(1000)));
            let watched = Watched::new(0, vec![DataType::I32], wait, recorder.clone(), sender);
            Self { watched, recorder, live, signals }
        }

        /// A message whose only value is its sequence number, stamped so many seconds after the epoch.
        fn comes(&self, sequence: u32) {
            self.watched.lock().message(&carrying(sequence));
        }

        fn count(&self) -> Option<i128> {
            match self.live.at(0)?.value? {
                Value::Exact(value) => value.to_integer(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn carrying(sequence: u32) -> NotificationMessage {
        let time = DateTime::from(116_444_736_000_000_000 + i64::from(sequence) * 10_000_000);
        let value = DataValue {
            value: Some(Variant::Int32(sequence.cast_signed())),
            source_timestamp: Some(time),
            ..DataValue::default()
        };
        let item = MonitoredItemNotification { client_handle: 1, value };
        let change = DataChangeNotification { monitored_items: Some(vec![item]), diagnostic_infos: None };
        let notification_data = Some(vec![ExtensionObject::from_message(change)]);
        NotificationMessage { sequence_number: sequence, notification_data, ..Default::default() }
    }

    fn keep_alive(sequence: u32) -> NotificationMessage {
        NotificationMessage { sequence_number: sequence, ..Default::default() }
    }

    #[test]
    fn a_life_sign_is_not_older_than_the_rows_of_the_same_response() {
        let seen = Seen::new();
        seen.comes(1);
        let row = seen.live.at(0).expect("the row was taken").observed_time.as_nanos();
        assert!(seen.recorder.newest_life(0).expect("an answer is a life sign") >= row);
    }

    #[test]
    fn what_comes_after_a_missing_message_waits_for_it_and_so_does_the_life_sign() {
        let mut seen = Seen::new();
        seen.comes(1);
        let life = seen.recorder.newest_life(0);
        seen.comes(4);
        seen.watched.lock().message(&keep_alive(5));
        assert_eq!((seen.count(), seen.recorder.newest_life(0)), (Some(1), life));
        assert_eq!((seen.signals.try_recv(), seen.watched.missing()), (Ok(Signal::Missing), Some(2)));
        seen.watched.republished(2, &carrying(2));
        assert_eq!((seen.count(), seen.watched.missing()), (Some(1), Some(3)));
        seen.watched.republished(3, &carrying(3));
        assert_eq!((seen.count(), seen.watched.missing()), (Some(4), None));
        assert!(seen.watched.missing_since().is_none() && seen.recorder.newest_life(0) > life);
        seen.comes(5);
        assert_eq!(seen.count(), Some(5));
    }

    #[test]
    fn a_message_that_was_only_late_takes_its_place() {
        let seen = Seen::new();
        seen.comes(1);
        seen.comes(3);
        seen.comes(2);
        assert_eq!((seen.count(), seen.watched.missing()), (Some(3), None));
    }

    #[test]
    fn a_keep_alive_tells_that_the_last_message_is_missing() {
        let seen = Seen::new();
        seen.comes(1);
        seen.watched.lock().message(&keep_alive(3));
        assert_eq!(seen.watched.missing(), Some(2));
    }

    #[test]
    fn what_cannot_be_had_again_is_lost_right_after_what_is_known() {
        let seen = Seen::new();
        seen.comes(1);
        let life = seen.recorder.newest_life(0).unwrap();
        seen.comes(3);
        seen.watched.lost();
        assert_eq!(seen.recorder.newest_life(0), Some(life), "no life sign speaks for the time of what is missing");
        let last = seen.live.at(0).unwrap();
        assert_eq!(last.status, StatusCode::BAD_SUBSCRIPTION_LOST);
        assert_eq!(last.source_time, Some(Timestamp::from_secs(3).plus(1)), "right after the last known value");
        let seen = Seen::new();
        seen.comes(1);
        seen.watched.lost();
        let life = seen.recorder.newest_life(0).unwrap();
        assert_eq!(seen.live.at(0).unwrap().observed_time, Timestamp::from_nanos(life + 1));
    }

    #[test]
    fn a_number_that_was_there_before_means_that_the_subscription_was_made_anew() {
        let seen = Seen::new();
        (1..=5).for_each(|sequence| seen.comes(sequence));
        seen.comes(7);
        seen.comes(1);
        assert_eq!((seen.count(), seen.watched.missing()), (Some(1), None), "nothing of the old one is waited for");
        seen.comes(2);
        assert_eq!(seen.count(), Some(2));
    }

    #[test]
    fn after_the_largest_number_follows_one() {
        let seen = Seen::new();
        seen.comes(u32::MAX - 1);
        seen.comes(2);
        assert_eq!(seen.watched.missing(), Some(u32::MAX));
        seen.watched.republished(u32::MAX, &carrying(u32::MAX));
        assert_eq!(seen.watched.missing(), Some(1));
        seen.watched.republished(1, &carrying(1));
        assert_eq!(seen.count(), Some(2));
    }

    #[test]
    fn at_the_bound_the_session_is_to_be_given_up() {
        let mut seen = Seen::new();
        seen.comes(1);
        seen.comes(1_000_000);
        assert_eq!(seen.signals.try_recv(), Ok(Signal::TooMuchMissing));
        let mut seen = Seen::new();
        seen.comes(1);
        (3..1002).for_each(|sequence| seen.comes(sequence));
        assert_eq!(seen.signals.try_recv(), Ok(Signal::Missing));
        assert!(seen.signals.try_recv().is_err(), "a place for each of a thousand messages");
        seen.comes(1002);
        assert_eq!(seen.signals.try_recv(), Ok(Signal::TooMuchMissing));
    }
}
