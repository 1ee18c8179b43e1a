//! One subscription as seen from the agent: rows, life signs, and whether a message is missing.

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

/// What a subscription tells the source's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Messages of the group are missing, first to last.
    Missing {
        /// Index of the group.
        group: u16,
        /// First missing sequence number.
        first: u32,
        /// Last missing sequence number.
        last: u32,
        /// The last life sign before they were missed, ns UTC.
        life: Option<i64>,
    },
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
    wait: Arc<dyn Wait>,
    recorder: Recorder,
    signals: mpsc::UnboundedSender<Signal>,
}

impl Watched {
    /// A subscription of a group whose columns have `types`. Client handle of an item is its column plus one.
    pub fn new(
        group: u16,
        types: Vec<DataType>,
        wait: Arc<dyn Wait>,
        recorder: Recorder,
        signals: mpsc::UnboundedSender<Signal>,
    ) -> Self {
        let last_activity = Instant::now();
        Self(Arc::new(Mutex::new(State { group, types, expected: None, last_activity, wait, recorder, signals })))
    }

    /// When the server last gave any answer for this subscription.
    pub fn last_activity(&self) -> Instant {
        self.lock().last_activity
    }

    /// Takes a message in that was sent again on request.
    pub fn republished(&self, message: NotificationMessage) {
        let mut state = self.lock();
        let observed = state.wait.now().as_nanos();
        state.rows(message, observed);
    }

    /// Every tag becomes Bad right after the life sign `since`, or the newest: nothing is known of it from then on.
    pub fn lost(&self, since: Option<i64>) {
        self.lock().lost(since);
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

impl OnSubscriptionNotificationCore for Watched {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        self.lock().message(message);
    }
}

impl State {
    /// Takes in what one publish response carried: its rows, if any, and the life sign that it is.
    fn message(&mut self, message: NotificationMessage) {
        self.last_activity = Instant::now();
        let carries = message.notification_data.as_ref().is_some_and(|data| !data.is_empty());
        tracing::trace!(group = self.group, sequence = message.sequence_number, carries, "message");
        self.follow(message.sequence_number, carries);
        // One instant for both: a life sign before its own rows would bring back the values that they replace.
        let at = self.wait.now().as_nanos();
        self.rows(message, at);
        self.recorder.push(Reading::Life { group: self.group, at });
    }

    /// Sequence numbers rise by one with each message that carries something; a keep-alive names the next one. A
    /// number that was there before means that the client had to make the subscription anew (the server was started
    /// again, or had dropped it): what the old one would have said is lost.
    fn follow(&mut self, found: u32, carries: bool) {
        if let Some(expected) = self.expected {
            let ahead = found.wrapping_sub(expected);
            if ahead >= u32::MAX / 2 {
                tracing::warn!(group = self.group, expected, found, "the subscription was made anew");
                self.lost(None);
            } else if ahead != 0 {
                let last = previous(found);
                let life = self.recorder.newest_life(self.group);
                self.signal(Signal::Missing { group: self.group, first: expected, last, life });
            }
        }
        self.expected = Some(if carries { next(found) } else { found });
    }

    fn lost(&self, since: Option<i64>) {
        let Some(life) = since.or_else(|| self.recorder.newest_life(self.group)) else { return };
        let row = bad_row(StatusCode::BAD_SUBSCRIPTION_LOST, life + 1);
        let columns = 0..u16::try_from(self.types.len()).unwrap_or(u16::MAX);
        let rows = columns.map(|column| (column, row.clone())).collect();
        self.recorder.push(Reading::Events { group: self.group, rows });
    }

    fn rows(&mut self, message: NotificationMessage, observed: i64) {
        let mut rows = Vec::new();
        for data in message.notification_data.into_iter().flatten() {
            if let Some(change) = data.inner_as::<DataChangeNotification>() {
                for item in change.monitored_items.iter().flatten() {
                    let column = usize::try_from(item.client_handle).unwrap_or(usize::MAX).wrapping_sub(1);
                    let Some(expected) = self.types.get(column) else { continue };
                    let Ok(column) = u16::try_from(column) else { continue };
                    rows.push((column, map::row(&item.value, *expected, observed)));
                }
            } else if let Some(change) = data.inner_as::<StatusChangeNotification>() {
                self.signal(Signal::Over { status: change.status.bits() });
            }
        }
        if !rows.is_empty() {
            self.recorder.push(Reading::Events { group: self.group, rows });
        }
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

fn previous(sequence: u32) -> u32 {
    if sequence <= 1 { u32::MAX } else { sequence - 1 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use opcua::types::{DataValue, ExtensionObject, MonitoredItemNotification};
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

    #[test]
    fn a_life_sign_is_not_older_than_the_rows_of_the_same_response() {
        let text = "schema = 1\n[agent]\nsite = \"site-1\"\nid = \"agent-1\"\nstate_dir = \"/unused\"\ndemo = true\n\
                    [[source]]\nid = \"o\"\nprotocol = \"opc-ua\"\nendpoint = \"opc.tcp://127.0.0.1:4840/\"\n\
                    insecure = true\n[[source.tag]]\nname = \"m/count\"\nnode = \"nsu=urn:x;s=a\"\ntype = \"i32\"\n\
                    section = \"kpi\"\n";
        let config = crate::config::parse(text, "agent.toml").unwrap();
        let map = crate::source::assemble(&config).map;
        let live = Live::new(Arc::clone(&map));
        let batcher = Batcher::new(Layout::of(&map), config.recording.clone(), Timestamp::from_secs(0));
        let metrics = Metrics::new(prometheus::Registry::new()).unwrap();
        let recorder = Recorder::new(batcher, &map, live.clone(), metrics);
        let (signals, _listener) = mpsc::unbounded_channel();
        let wait = Arc::new(Ticking(AtomicI64::new(1000)));
        let watched = Watched::new(0, vec![DataType::I32], wait, recorder.clone(), signals);

        let item = MonitoredItemNotification { client_handle: 1, value: DataValue::new_now(7) };
        let change = DataChangeNotification { monitored_items: Some(vec![item]), diagnostic_infos: None };
        let notification_data = Some(vec![ExtensionObject::from_message(change)]);
        let message = NotificationMessage { sequence_number: 1, notification_data, ..Default::default() };
        watched.lock().message(message);

        let row = live.at(0).expect("the row was taken").observed_time.as_nanos();
        assert!(recorder.newest_life(0).expect("an answer is a life sign") >= row);
    }
}
