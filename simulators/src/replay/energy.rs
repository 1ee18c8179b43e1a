//! A table of energy per interval, as a meter that counts steps of 0.01 kWh.
//!
//! Rows count by their order, never by their dates: in such tables the row of 00:00 ends its day and often carries
//! the wrong date. The first row ends one interval after the start that the caller names.

use std::sync::Arc;

use shopfloor::sample::StatusCode;
use shopfloor::time::{MINUTE, Timestamp};

use super::ReplayError;
use crate::nodes::{Change, NodeSource, NodeSpec};
use crate::points::{Reading, Shape};
use crate::registers::{BitArea, Encoding, Exception, RegisterBank, WordArea, WordOrder};

/// Length of an interval of such tables: 15 minutes.
pub const QUARTER: i64 = 15 * MINUTE;

/// A recording of energy, ready to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Energy {
    start: Timestamp,
    interval: i64,
    /// First field of each row, as written.
    labels: Vec<String>,
    /// Meter reading at the end of each row, in 0.01 kWh.
    totals: Vec<u64>,
}

impl Energy {
    /// Reads a table separated by commas whose first line names the columns. `column` holds energy in kWh with at
    /// most two decimals; `start` is the instant at which the first row's interval begins.
    pub fn read(text: &str, column: &str, start: Timestamp, interval: i64) -> Result<Self, ReplayError> {
        let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
        let head: Vec<&str> =
            lines.next().ok_or(ReplayError::Empty)?.trim_start_matches('\u{feff}').split(',').collect();
        let place = head.iter().position(|name| *name == column);
        let missing = || ReplayError::Column { column: column.to_owned(), found: head.join(", ") };
        let place = place.ok_or_else(missing)?;
        let (mut labels, mut totals, mut total) = (Vec::new(), Vec::new(), 0_u64);
        for (number, line) in (2..).zip(lines).filter(|(_, line)| !line.is_empty()) {
            let fields: Vec<&str> = line.split(',').collect();
            let problem = |problem: String| ReplayError::Line { line: number, problem };
            if fields.len() != head.len() {
                return Err(problem(format!("{} fields where the first line has {}", fields.len(), head.len())));
            }
            let steps = hundredths(fields[place])
                .ok_or_else(|| problem(format!("{:?} is not an amount with at most two decimals", fields[place])))?;
            total = total.checked_add(steps).ok_or_else(|| problem("the meter overflows".into()))?;
            labels.push(fields[0].to_owned());
            totals.push(total);
        }
        if totals.is_empty() { Err(ReplayError::Empty) } else { Ok(Self { start, interval, labels, totals }) }
    }

    /// The recording cut off after `rows` rows.
    #[must_use]
    pub fn first(mut self, rows: usize) -> Self {
        self.labels.truncate(rows);
        self.totals.truncate(rows);
        self
    }

    /// End of each row and the meter reading there, in 0.01 kWh.
    pub fn rows(&self) -> impl Iterator<Item = (Timestamp, u64)> + '_ {
        self.totals.iter().enumerate().map(|(row, total)| (self.end(row), *total))
    }

    /// When the recording begins.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// When it ends.
    pub fn finish(&self) -> Timestamp {
        self.end(self.totals.len().saturating_sub(1))
    }

    /// Meter reading at `at`, in 0.01 kWh: it moves at the end of each row.
    pub fn at(&self, at: Timestamp) -> u64 {
        let rows = at.since(self.start).div_euclid(self.interval);
        match usize::try_from(rows) {
            Ok(0) | Err(_) => 0,
            Ok(rows) => self.totals[rows.min(self.totals.len()) - 1],
        }
    }

    /// Energy of each day in 0.01 kWh with the instants between which it was used. A day ends with the row labelled
    /// 00:00; a last day without one ends with the recording.
    pub fn days(&self) -> Vec<(Timestamp, Timestamp, u64)> {
        let mut days = Vec::new();
        let (mut from, mut before) = (self.start, 0);
        for (row, (label, total)) in self.labels.iter().zip(&self.totals).enumerate() {
            if label.ends_with(" 00:00") || row + 1 == self.totals.len() {
                days.push((from, self.end(row), total - before));
                (from, before) = (self.end(row), *total);
            }
        }
        days
    }

    fn end(&self, row: usize) -> Timestamp {
        self.start.plus(i64::try_from(row + 1).unwrap_or(i64::MAX).saturating_mul(self.interval))
    }
}

/// `12`, `12.3` or `12.34` as hundredths.
fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// The meter as a Modbus device: under one unit id, holding and input registers alike, the reading in 0.01 kWh as
/// u32 at 0 and 1 in the order given, and as u64 with the high word first at 2 to 5.
pub struct EnergyMeter {
    energy: Arc<Energy>,
    unit: u8,
    order: WordOrder,
}

impl EnergyMeter {
    /// A meter under `unit` that shows its u32 in `order`.
    pub fn new(energy: Arc<Energy>, unit: u8, order: WordOrder) -> Self {
        Self { energy, unit, order }
    }
}

impl RegisterBank for EnergyMeter {
    fn bits(&self, _: u8, _: BitArea, _: u16, _: u16, _: Timestamp) -> Result<Vec<bool>, Exception> {
        Err(Exception::IllegalAddress)
    }

    fn words(&self, unit: u8, _: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception> {
        if unit != self.unit {
            return Err(Exception::NoTarget);
        }
        let total = i64::try_from(self.energy.at(at)).unwrap_or(i64::MAX);
        let mut table = Encoding::U32.encode(total, self.order);
        table.extend(Encoding::U64.encode(total, WordOrder::Abcd));
        let (start, count) = (usize::from(start), usize::from(count));
        table.get(start..start + count).map(<[u16]>::to_vec).ok_or(Exception::IllegalAddress)
    }
}

/// The meter as an OPC UA variable `EnergyMeter` (UInt32, 0.01 kWh).
pub struct EnergyNodes(pub Arc<Energy>);

impl NodeSource for EnergyNodes {
    fn nodes(&self) -> Vec<NodeSpec> {
        let (identifier, name) = ("EnergyMeter".to_owned(), "EnergyMeter".to_owned());
        vec![NodeSpec { identifier, folder: "meter".into(), name, shape: Shape::UInt32 }]
    }

    fn changes(&self, after: Option<Timestamp>, until: Timestamp) -> Vec<Change> {
        let change = |source_time, total| Change {
            node: 0,
            value: Some(Reading::Number(i64::try_from(total).unwrap_or(i64::MAX))),
            status: StatusCode::GOOD,
            source_time,
        };
        match after {
            None => vec![change(until, self.0.at(until))],
            Some(after) => {
                let fresh = self.0.rows().filter(|(end, _)| after < *end && *end <= until);
                fresh.map(|(end, total)| change(end, total)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "date,Usage_kWh,Load\n\
        01/01/2018 23:30,3.17,Light\n\
        01/01/2018 23:45,4,Light\n\
        01/01/2018 00:00,0.5,Light\n\
        02/01/2018 00:15,12.34,Maximum\n";

    fn energy() -> Energy {
        Energy::read(TABLE, "Usage_kWh", Timestamp::from_secs(0), QUARTER).unwrap()
    }

    #[test]
    fn the_meter_moves_at_the_end_of_each_row() {
        let energy = energy();
        let at = |seconds| energy.at(Timestamp::from_secs(seconds));
        assert_eq!(
            [at(-1), at(0), at(899), at(900), at(1800), at(2700), at(3600), at(9999)],
            [0, 0, 0, 317, 717, 767, 2001, 2001]
        );
        assert_eq!(energy.finish(), Timestamp::from_secs(3600));
    }

    #[test]
    fn the_row_of_midnight_ends_its_day_whatever_its_date_says() {
        let quarter = |n: i64| Timestamp::from_secs(n * 900);
        assert_eq!(energy().days(), [(quarter(0), quarter(3), 767), (quarter(3), quarter(4), 1234)]);
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(["0", "3.1", "03.06", "157.18"].map(hundredths), [Some(0), Some(310), Some(306), Some(15718)]);
        assert_eq!(["", ".5", "1.", "-1", "1.234", "1e3"].map(hundredths), [None; 6]);
        let error = Energy::read("a,b\n1,2\n1,x\n", "b", Timestamp::from_secs(0), QUARTER).unwrap_err();
        assert_eq!(error.to_string(), "read line 3: \"x\" is not an amount with at most two decimals");
        assert!(Energy::read(TABLE, "kWh", Timestamp::from_secs(0), QUARTER).is_err());
    }

    #[test]
    fn the_meter_shows_its_registers() {
        let meter = EnergyMeter::new(Arc::new(energy()), 1, WordOrder::Cdab);
        let words = meter.words(1, WordArea::Holding, 0, 6, Timestamp::from_secs(3600)).unwrap();
        assert_eq!(words, [2001, 0, 0, 0, 0, 2001]);
        assert_eq!(meter.words(1, WordArea::Holding, 5, 2, Timestamp::from_secs(0)), Err(Exception::IllegalAddress));
    }

    #[test]
    fn as_a_variable_it_changes_once_a_row() {
        let nodes = EnergyNodes(Arc::new(energy()));
        let changes = nodes.changes(Some(Timestamp::from_secs(0)), Timestamp::from_secs(1800));
        let seen: Vec<_> = changes.into_iter().map(|change| (change.source_time, change.value)).collect();
        let number = |n| Some(Reading::Number(n));
        assert_eq!(seen, [(Timestamp::from_secs(900), number(317)), (Timestamp::from_secs(1800), number(717))]);
    }
}
