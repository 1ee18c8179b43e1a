//! The output of an MTConnect adapter (SHDR), as variables that change.
//!
//! A line is `time|key|value|key|value…`. Assets (`@…@`, with a body up to a closing `--multiline--` mark) and
//! adapter commands (`* …`) are not data. A condition is `key|level|code|severity|qualifier|text`; its level is kept.
//! A recording may hold several connections one after the other, not in order of time: each begins with the line
//! that says AVAILABLE. They are put in order, and where a connection ends every key becomes unavailable, as it does
//! for whoever listens to the adapter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shopfloor::sample::StatusCode;
use shopfloor::time::Timestamp;

use super::ReplayError;
use crate::nodes::{Change, NodeSource, NodeSpec};
use crate::points::{Reading, Shape};
use crate::registers::{BitArea, Encoding, Exception, RegisterBank, WordArea, WordOrder};

/// The value of what is not known.
pub const UNAVAILABLE: &str = "UNAVAILABLE";
/// Times of a recording have 100 ns digits.
const DIGIT: i64 = 100;

/// A value at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, as the adapter said.
    pub at: Timestamp,
    /// Which data item.
    pub key: String,
    /// Its value as written.
    pub value: String,
    /// Whether it stands in the recording; a key that became unavailable by the end of a connection does not.
    pub recorded: bool,
}

/// A recording, ready to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shdr {
    events: Vec<Event>,
    connections: usize,
    assets: usize,
}

impl Shdr {
    /// Reads a recording.
    pub fn read(text: &str) -> Result<Self, ReplayError> {
        let mut connections: Vec<Vec<Event>> = Vec::new();
        let mut assets = 0;
        let mut closing: Option<&str> = None;
        for (number, line) in (1..).zip(text.lines().map(|line| line.trim_end_matches('\r'))) {
            if let Some(mark) = closing {
                if line == mark {
                    closing = None;
                }
                continue;
            }
            if line.is_empty() || line.starts_with('*') {
                continue;
            }
            let fields: Vec<&str> = line.split('|').collect();
            let problem = |problem: &str| ReplayError::Line { line: number, problem: problem.to_owned() };
            let at = Timestamp::parse(fields[0]).ok_or_else(|| problem("it does not begin with a time"))?;
            let [_, first, ..] = fields.as_slice() else { return Err(problem("it has a time and no key")) };
            if first.starts_with('@') {
                assets += 1;
                closing = fields.last().filter(|last| last.starts_with("--multiline--")).copied();
                continue;
            }
            let pairs = pairs(&fields[1..]).ok_or_else(|| problem("a key has no value"))?;
            if connections.is_empty() || pairs.contains(&("avail", "AVAILABLE")) {
                connections.push(Vec::new());
            }
            let (last, recorded) = (connections.last_mut().expect("one was just pushed"), true);
            last.extend(pairs.into_iter().map(|(key, value)| Event {
                at,
                key: key.to_owned(),
                value: value.to_owned(),
                recorded,
            }));
        }
        if closing.is_some() {
            return Err(ReplayError::Line { line: text.lines().count(), problem: "an asset has no end".into() });
        }
        let count = connections.len();
        let events = in_order(connections);
        if events.is_empty() { Err(ReplayError::Empty) } else { Ok(Self { events, connections: count, assets }) }
    }

    /// Only the data items named; in the same order.
    #[must_use]
    pub fn only(mut self, keys: &[&str]) -> Self {
        self.events.retain(|event| keys.contains(&event.key.as_str()));
        self
    }

    /// Every value in order of time; values of one instant in the order in which they were sent.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The data items, in order of name.
    pub fn keys(&self) -> Vec<String> {
        let keys: BTreeSet<&str> = self.events.iter().map(|event| event.key.as_str()).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Every instant at which something happens, in order, once each.
    pub fn instants(&self) -> Vec<Timestamp> {
        let mut instants: Vec<Timestamp> = self.events.iter().map(|event| event.at).collect();
        instants.dedup();
        instants
    }

    /// How many connections the recording holds.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How many assets were passed over.
    pub fn assets(&self) -> usize {
        self.assets
    }
}

/// Keys and values of a line. Empty keys belong to a condition without details and are dropped.
fn pairs<'a>(fields: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    if let [key, level @ ("NORMAL" | "WARNING" | "FAULT"), _, _, _, _] = fields {
        return Some(vec![(*key, *level)]);
    }
    if fields.len() % 2 == 1 {
        return None;
    }
    Some(fields.chunks_exact(2).map(|pair| (pair[0], pair[1])).filter(|(key, _)| !key.is_empty()).collect())
}

/// Connections in order of their beginnings, each in order of time and ended by everything becoming unavailable.
fn in_order(mut connections: Vec<Vec<Event>>) -> Vec<Event> {
    for events in &mut connections {
        events.sort_by_key(|event| event.at);
    }
    connections.retain(|events| !events.is_empty());
    connections.sort_by_key(|events| events[0].at);
    let mut all: Vec<Event> = Vec::new();
    let begins: Vec<Timestamp> = connections.iter().map(|events| events[0].at).collect();
    for (number, events) in connections.into_iter().enumerate() {
        let keys: BTreeSet<String> = events.iter().map(|event| event.key.clone()).collect();
        let end = events.last().map_or(Timestamp::default(), |event| event.at.plus(DIGIT));
        let at = begins.get(number + 1).map_or(end, |next| end.min(*next));
        all.extend(events);
        let lost = |key| Event { at, key, value: UNAVAILABLE.to_owned(), recorded: false };
        all.extend(keys.into_iter().map(lost));
    }
    all
}

/// The recording as OPC UA variables: one String per data item, its key being the identifier. What is unavailable is
/// Bad (no communication) and empty.
pub struct ShdrNodes {
    recording: Arc<Shdr>,
    keys: Vec<String>,
}

impl ShdrNodes {
    /// All data items of a recording.
    pub fn new(recording: Arc<Shdr>) -> Self {
        let keys = recording.keys();
        Self { recording, keys }
    }

    fn change(&self, event: &Event) -> Option<Change> {
        let node = self.keys.binary_search(&event.key).ok()?;
        let known = event.value != UNAVAILABLE;
        let status = if known { StatusCode::GOOD } else { StatusCode::BAD_NO_COMMUNICATION };
        let value = known.then(|| Reading::Text(event.value.clone()));
        Some(Change { node, value, status, source_time: event.at })
    }
}

impl NodeSource for ShdrNodes {
    fn nodes(&self) -> Vec<NodeSpec> {
        let spec = |key: &String| {
            let (folder, shape) = ("adapter".to_owned(), Shape::Text);
            NodeSpec { identifier: key.clone(), folder, name: key.clone(), shape }
        };
        self.keys.iter().map(spec).collect()
    }

    fn changes(&self, after: Option<Timestamp>, until: Timestamp) -> Vec<Change> {
        let events = &self.recording.events;
        let end = events.partition_point(|event| event.at <= until);
        if let Some(after) = after {
            let start = events.partition_point(|event| event.at <= after);
            return events[start.min(end)..end].iter().filter_map(|event| self.change(event)).collect();
        }
        let (value, status) = (None, StatusCode::BAD_NO_COMMUNICATION);
        let mut first: Vec<Change> = (0..self.keys.len())
            .map(|node| Change { node, value: value.clone(), status, source_time: until })
            .collect();
        for change in events[..end].iter().filter_map(|event| self.change(event)) {
            let node = change.node;
            first[node] = change;
        }
        first
    }
}

/// The recording as a Modbus device under unit 1: each data item, in order of name, is an i32 in two holding
/// registers, high word first. Numbers are thousandths, cut; a text is the number of its value among the values of
/// its data item in order, from 1; what is unavailable is the most negative number.
pub struct ShdrRegisters {
    /// Per data item: what it reads from when on.
    columns: Vec<Vec<(Timestamp, i64)>>,
    keys: Vec<String>,
}

/// What an unavailable data item reads.
pub const UNAVAILABLE_REGISTER: i64 = i32::MIN as i64;

impl ShdrRegisters {
    /// All data items of a recording; at most 32,768 of them fit.
    pub fn new(recording: &Shdr) -> Self {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for event in recording.events.iter().filter(|event| event.value != UNAVAILABLE) {
            values.entry(&event.key).or_default().insert(&event.value);
        }
        let mut columns: BTreeMap<&str, Vec<(Timestamp, i64)>> = BTreeMap::new();
        for event in &recording.events {
            let known = values.get(event.key.as_str());
            let numeric = known.is_some_and(|known| known.iter().all(|value| thousandths(value).is_some()));
            let raw = match (event.value.as_str(), numeric) {
                (UNAVAILABLE, _) => UNAVAILABLE_REGISTER,
                (value, true) => thousandths(value).unwrap_or(UNAVAILABLE_REGISTER),
                (value, false) => known.map_or(0, |known| known.range(..=value).count()).try_into().unwrap_or(0),
            };
            columns.entry(&event.key).or_default().push((event.at, raw));
        }
        let keys = columns.keys().map(|key| (*key).to_owned()).collect();
        Self { columns: columns.into_values().collect(), keys }
    }

    /// Data item and first address of each value.
    pub fn table(&self) -> impl Iterator<Item = (&str, usize)> {
        self.keys.iter().enumerate().map(|(place, key)| (key.as_str(), 2 * place))
    }

    fn at(&self, place: usize, at: Timestamp) -> i64 {
        let column = &self.columns[place];
        let known = column.partition_point(|(from, _)| *from <= at);
        known.checked_sub(1).map_or(UNAVAILABLE_REGISTER, |last| column[last].1)
    }
}

/// A decimal as thousandths, further digits cut; `None` if it is none or does not fit 32 bits.
fn thousandths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let value = whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)?;
    let value = if negative { -value } else { value };
    i32::try_from(value).ok().map(i64::from)
}

impl RegisterBank for ShdrRegisters {
    fn bits(&self, _: u8, _: BitArea, _: u16, _: u16, _: Timestamp) -> Result<Vec<bool>, Exception> {
        Err(Exception::IllegalAddress)
    }

    fn words(&self, unit: u8, area: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception> {
        if unit != 1 {
            return Err(Exception::NoTarget);
        }
        let wanted = usize::from(start)..usize::from(start) + usize::from(count);
        if area != WordArea::Holding || wanted.end > 2 * self.columns.len() {
            return Err(Exception::IllegalAddress);
        }
        let word = |address: usize| Encoding::I32.encode(self.at(address / 2, at), WordOrder::Abcd)[address % 2];
        Ok(wanted.map(word).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = "\
2022-08-08T13:51:34.7167146Z|avail|AVAILABLE|pexecution|READY|Xload|56
2022-08-08T13:51:34.7167146Z|system|NORMAL||||
2022-08-08T13:51:35.0000001Z|@ASSET@|123456.2201|CuttingTool|--multiline--ABCD
<CuttingTool a|b|c>
--multiline--ABCD
* adapterVersion: 1
2022-08-08T13:51:36.7711738Z|pexecution|ACTIVE|Xload|UNAVAILABLE
2022-08-08T13:51:36.5000000Z|Xload|-3.25
2022-08-08T13:37:18.8501483Z|avail|AVAILABLE|pexecution|READY
";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn connections_are_put_in_order_and_end_unavailable() {
        let recording = Shdr::read(RECORDING).unwrap();
        assert_eq!((recording.connections(), recording.assets()), (2, 1));
        assert_eq!(recording.keys(), ["Xload", "avail", "pexecution", "system"]);
        let execution = recording.clone().only(&["pexecution"]);
        let seen: Vec<_> = execution.events().iter().map(|e| (e.at, e.value.as_str(), e.recorded)).collect();
        assert_eq!(
            seen,
            [
                (at("2022-08-08T13:37:18.8501483Z"), "READY", true),
                (at("2022-08-08T13:37:18.8501484Z"), UNAVAILABLE, false),
                (at("2022-08-08T13:51:34.7167146Z"), "READY", true),
                (at("2022-08-08T13:51:36.7711738Z"), "ACTIVE", true),
                (at("2022-08-08T13:51:36.7711739Z"), UNAVAILABLE, false),
            ]
        );
        let load = recording.only(&["Xload"]);
        assert_eq!(load.events()[1].value, "-3.25"); // sent later, but earlier
    }

    #[test]
    fn as_variables_they_change_with_their_own_times() {
        let nodes = ShdrNodes::new(Arc::new(Shdr::read(RECORDING).unwrap().only(&["pexecution", "Xload"])));
        let first = nodes.changes(None, at("2022-08-08T13:50:00Z"));
        assert!(first.iter().all(|change| change.status == StatusCode::BAD_NO_COMMUNICATION));
        let later = nodes.changes(Some(at("2022-08-08T13:50:00Z")), at("2022-08-08T13:51:36.7Z"));
        let texts: Vec<_> = later.iter().map(|change| (change.node, change.value.clone())).collect();
        let text = |value: &str| Some(Reading::Text(value.into()));
        assert_eq!(texts, [(1, text("READY")), (0, text("56")), (0, text("-3.25"))]);
    }

    #[test]
    fn as_registers_texts_are_numbered_and_numbers_are_thousandths() {
        let registers = ShdrRegisters::new(&Shdr::read(RECORDING).unwrap());
        let table: Vec<_> = registers.table().collect();
        assert_eq!(table, [("Xload", 0), ("avail", 2), ("pexecution", 4), ("system", 6)]);
        let read = |text: &str| registers.words(1, WordArea::Holding, 0, 6, at(text)).unwrap();
        assert_eq!(read("2022-08-08T13:51:34.8Z"), [0, 56_000, 0, 1, 0, 2]);
        assert_eq!(read("2022-08-08T13:51:36.6Z")[..2], [0xFFFF, 0xF34E]); // -3250
        assert_eq!(read("2022-08-08T13:51:36.7711738Z"), [0x8000, 0, 0, 1, 0, 1]);
        assert_eq!(
            registers.words(1, WordArea::Holding, 7, 2, at("2022-01-01T00:00:00Z")),
            Err(Exception::IllegalAddress)
        );
    }

    #[test]
    fn a_broken_recording_is_refused_by_line() {
        let refuse = |text: &str| Shdr::read(text).unwrap_err().to_string();
        assert_eq!(refuse("yesterday|a|b"), "read line 1: it does not begin with a time");
        assert_eq!(refuse("2022-08-08T13:51:34Z|a|b\n2022-08-08T13:51:34Z|a"), "read line 2: a key has no value");
        assert!(refuse("2022-08-08T13:51:34Z|@ASSET@|1|T|--multiline--X\n<T/>").contains("no end"));
        assert_eq!(refuse(""), "the recording has no data");
    }
}
