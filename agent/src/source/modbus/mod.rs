//! A Modbus TCP device as a source: one task, one connection, scans by schedule.
//!
//! Every scheduled scan becomes one row: with its values, or Bad with the reason. A device that does not answer is
//! tried again with jittered backoff at the scans' own instants, so that its rows keep their rhythm.

pub mod plan;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use shopfloor::sample::StatusCode;
use shopfloor::time::{Timestamp, Wait, Worker};
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, jitter};
use crate::config;
use crate::metrics::Metrics;
use crate::recorder::{Recorder, error_chain};
use crate::schedule::{Due, Rhythm, Schedule};
use crate::source::Reading;
use plan::{Request, Stretch, width};
use transport::{Answer, Connection, Failure, ReadRequest, exception_status};

/// A scan group of this device.
#[derive(Debug)]
struct Group {
    index: u16,
    request: ReadRequest,
    text: String,
    interval: i64,
    columns: Vec<Stretch>,
}

/// The task of one device.
pub struct Modbus {
    name: String,
    settings: config::Modbus,
    groups: Vec<Group>,
    recorder: Recorder,
    metrics: Metrics,
    missed: IntCounter,
    connection: Option<Connection>,
    backoff: Backoff,
    retry_at: Timestamp,
    failing: bool,
}

impl Modbus {
    /// A source that polls `requests`, each paired with its group of the register map.
    pub fn new(
        name: String,
        settings: config::Modbus,
        requests: Vec<(u16, Request)>,
        reconnect_max: Duration,
        recorder: Recorder,
        metrics: Metrics,
    ) -> Self {
        let groups =
            requests.into_iter().filter_map(|(group, request)| Group::new(group, &request, &settings)).collect();
        let (backoff, retry_at) = (Backoff::new(reconnect_max), Timestamp::from_nanos(i64::MIN));
        let (missed, connection, failing) = (metrics.scans_missed.with_label_values(&[&name]), None, false);
        Self { name, settings, groups, recorder, metrics, missed, connection, backoff, retry_at, failing }
    }

    /// Polls until `stop`.
    pub async fn run(mut self, wait: Arc<dyn Wait>, mut worker: Box<dyn Worker>, stop: CancellationToken) {
        let rhythms = self.groups.iter().map(|g| Rhythm { interval: g.interval });
        let mut schedule = Schedule::new(rhythms.collect::<Vec<_>>(), wait.now());
        while let Some(next) = schedule.next() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = worker.until(next) => {}
            }
            while let Some(due) = schedule.due(wait.now()) {
                self.scan(&due, &*wait).await;
                if stop.is_cancelled() {
                    return;
                }
            }
        }
        stop.cancelled().await;
    }

    async fn scan(&mut self, due: &Due, wait: &dyn Wait) {
        let group = self.groups[due.group].index;
        self.missed.inc_by(due.missed_count);
        for at in &due.missed {
            let at = at.as_nanos();
            self.recorder.push(bad(group, at, at, StatusCode::BAD_TIMEOUT));
        }
        let request = whole_micros(wait.now().as_nanos());
        let result = self.read(due.group, wait).await;
        let response = whole_micros(wait.now().as_nanos()).max(request);
        self.recorder.push(match result {
            Ok(words) => Reading::Scan { group, request, response, status: StatusCode::GOOD, words },
            Err(status) => bad(group, request, response, status),
        });
    }

    async fn read(&mut self, index: usize, wait: &dyn Wait) -> Result<Vec<u64>, StatusCode> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None if wait.now() < self.retry_at => return Err(StatusCode::BAD_NO_COMMUNICATION),
            None => self.connect(index, wait).await?,
        };
        let group = &self.groups[index];
        match connection.read(self.settings.unit, group.request, self.settings.response_timeout).await {
            Ok((connection, Answer::Exception(code))) => {
                self.connection = Some(connection);
                self.count_failure("exception");
                if !self.failing {
                    tracing::warn!(source = self.name, request = self.groups[index].text, exception = %code, "the device refused");
                }
                self.failing = true;
                Err(exception_status(code))
            }
            Ok((connection, answer)) => {
                self.connection = Some(connection);
                self.backoff.reset();
                if self.failing {
                    tracing::info!(source = self.name, "the device answers again");
                }
                self.failing = false;
                group.words(&answer).ok_or(StatusCode::BAD_DECODING_ERROR)
            }
            Err(failure) => Err(self.failed(&failure, index, wait)),
        }
    }

    async fn connect(&mut self, index: usize, wait: &dyn Wait) -> Result<Connection, StatusCode> {
        let settings = &self.settings;
        let first = (jitter() & 0xFFFF) as u16;
        match Connection::open(&settings.host, settings.port, settings.connect_timeout, first).await {
            Ok(connection) => {
                self.metrics.connects.with_label_values(&[&self.name]).inc();
                Ok(connection)
            }
            Err(failure) => Err(self.failed(&failure, index, wait)),
        }
    }

    fn failed(&mut self, failure: &Failure, index: usize, wait: &dyn Wait) -> StatusCode {
        let pause = self.backoff.next(jitter());
        self.retry_at = wait.now().plus(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX));
        self.count_failure(failure.reason());
        let (cause, request) = (error_chain(failure), &self.groups[index].text);
        let (host, port) = (&self.settings.host, self.settings.port);
        if self.failing {
            tracing::debug!(source = self.name, host, port, request, cause, retry_in = ?pause, "reading failed again");
        } else {
            tracing::warn!(source = self.name, host, port, request, cause, retry_in = ?pause, "reading failed");
        }
        self.failing = true;
        failure.status()
    }

    fn count_failure(&self, reason: &str) {
        self.metrics.read_failures.with_label_values(&[self.name.as_str(), reason]).inc();
    }
}

/// Times of a scan are kept to the microsecond: a line's jitter is a thousand times that, and digits below it would
/// only fill blocks with noise.
const fn whole_micros(nanos: i64) -> i64 {
    nanos.div_euclid(1000) * 1000
}

fn bad(group: u16, request: i64, response: i64, status: StatusCode) -> Reading {
    Reading::Scan { group, request, response, status, words: Vec::new() }
}

impl Group {
    fn new(group: u16, request: &Request, settings: &config::Modbus) -> Option<Self> {
        let column = |index: &usize| {
            let tag = &settings.tags[*index];
            Stretch { first: tag.address - request.stretch.first, count: width(tag) }
        };
        let columns = request.tags.iter().map(column).collect();
        let text = request.to_string();
        let interval = request.interval;
        Some(Self {
            index: group,
            request: ReadRequest::items(request.area, request.stretch)?,
            text,
            interval,
            columns,
        })
    }

    /// The raw value of each column: words in the order read, big-endian, or a bit.
    fn words(&self, answer: &Answer) -> Option<Vec<u64>> {
        let column = |stretch: &Stretch| {
            let (first, end) = (usize::from(stretch.first), usize::from(stretch.first) + usize::from(stretch.count));
            match answer {
                Answer::Registers(registers) => {
                    Some(registers.get(first..end)?.iter().fold(0, |bits, word| bits << 16 | u64::from(*word)))
                }
                Answer::Bits(bits) => bits.get(first).map(|bit| u64::from(*bit)),
                Answer::Identification(_) | Answer::Exception(_) => None,
            }
        };
        self.columns.iter().map(column).collect()
    }
}
