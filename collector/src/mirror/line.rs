//! What is written to the mirror, as points: which measurement, tags and fields a sample or a result becomes. Pure.
//!
//! Names of things are tag values, never parts of measurement or key names, so a factory with other machines has the
//! same measurements. docs/influx-schema.md says the same for readers.

use std::collections::BTreeMap;

use shopfloor::id::{AgentId, SiteId, TagName};
use shopfloor::sample::{Quality, Sample, Value};
use shopfloor::time::Timestamp;

use crate::evaluate::number::{BoundedRatio, Count, Energy};
use crate::evaluate::result::WindowResult;
use crate::series::derived::Key;

/// Longest value of a tag, bytes: an index entry of the server, whoever wrote the configuration it came from.
pub const LABEL_BYTES_MAX: usize = 128;
/// Longest text of a field, bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// One point: what becomes one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name of the measurement.
    pub measurement: String,
    /// Tags; indexed by the server, they and the measurement and the instant are the key.
    pub tags: BTreeMap<&'static str, String>,
    /// Fields; at least one.
    pub fields: BTreeMap<&'static str, Field>,
    /// The instant.
    pub at: Timestamp,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A finite number.
    Float(f64),
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Why a point is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// A tag's value is too long or has characters that line protocol cannot carry.
    Label,
    /// A field's text is too long or has control characters.
    Text,
}

impl Unfit {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Text => "text",
        }
    }
}

impl Point {
    fn new(prefix: &str, kind: &str, at: Timestamp) -> Self {
        Self { measurement: format!("{prefix}_{kind}"), tags: BTreeMap::new(), fields: BTreeMap::new(), at }
    }

    /// Adds a tag unless its value is empty: line protocol has no empty tag values.
    fn tag(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.tags.insert(name, value);
        }
    }

    fn float(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.fields.insert(name, Field::Float(value));
        }
    }

    /// Whether line protocol can carry it. A backslash in a tag's value could take the separator after it away, and a
    /// line end would begin a line of somebody's own making; neither is rewritten into something that was not measured.
    pub fn check(&self) -> Result<(), Unfit> {
        let label = |text: &String| {
            text.len() <= LABEL_BYTES_MAX && !text.contains('\\') && !text.chars().any(char::is_control)
        };
        if !self.tags.values().all(label) {
            return Err(Unfit::Label);
        }
        let text = |field: &Field| match field {
            Field::Text(text) => text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control),
            Field::Float(_) | Field::Integer(_) => true,
        };
        if self.fields.values().all(text) { Ok(()) } else { Err(Unfit::Text) }
    }

    /// Names the series: the key without the instant.
    pub fn series(&self) -> String {
        let tags = self.tags.iter().map(|(name, value)| format!("\u{1f}{name}={value}"));
        std::iter::once(self.measurement.clone()).chain(tags).collect()
    }
}

/// Whose sample it is.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Site.
    pub site: &'a SiteId,
    /// The agent that read it.
    pub agent: &'a AgentId,
    /// Its name.
    pub tag: &'a TagName,
    /// Its unit; may be empty.
    pub unit: &'a str,
    /// Whether it is simulated or signed with a demo key.
    pub demo: bool,
}

/// The point of a sample. `occurrence` counts different samples of one tag and instant from 0: without it the later
/// would replace the earlier on the server. `texts`: whether a text becomes a field.
pub fn sample(prefix: &str, origin: Origin<'_>, sample: &Sample, occurrence: usize, texts: bool) -> Point {
    let mut point = Point::new(prefix, "sample", sample.at);
    point.tag("site", origin.site.as_str());
    point.tag("work_unit", origin.tag.work_unit().as_str());
    point.tag("tag", origin.tag.tag());
    point.tag("agent", origin.agent.as_str());
    point.tag("unit", origin.unit);
    mark(&mut point, origin.demo);
    if occurrence > 0 {
        point.tag("occurrence", occurrence.to_string());
    }
    let quality = match sample.quality() {
        Quality::Good => 0,
        Quality::Uncertain => 1,
        Quality::Bad => 2,
    };
    point.fields.insert("quality", Field::Integer(quality));
    if sample.status.0 != 0 {
        point.fields.insert("status", Field::Integer(i64::from(sample.status.0)));
    }
    match &sample.value {
        Some(Value::Bool(bit)) => point.float("value", Some(if *bit { 1.0 } else { 0.0 })),
        Some(Value::Exact(exact)) => point.float("value", Some(exact.to_f64())),
        Some(Value::Float(value)) => point.float("value", Some(*value)),
        Some(Value::Text(text)) if texts => {
            point.fields.insert("text", Field::Text(text.clone()));
        }
        Some(Value::Text(_)) | None => {}
    }
    point
}

fn mark(point: &mut Point, demo: bool) {
    if demo {
        point.tag("demo", "true");
    }
}

/// The points of a kept result: one for its figures and one for each leaf of its time. They stand at the window's
/// start. Every version of a result is a series of its own: a result is never edited, here neither.
pub fn result(prefix: &str, key: &Key, version: u32, shape: &WindowResult) -> Vec<Point> {
    let start = |kind: &str| {
        let mut point = Point::new(prefix, kind, key.window.start);
        point.tag("site", key.site.as_str());
        point.tag("work_unit", key.unit.as_str());
        point.tag("kind", key.kind.code());
        point.tag("version", version.to_string());
        point.tag("profile", format!("{}@{}", shape.profile.id, shape.profile.version));
        mark(&mut point, shape.demo);
        point
    };
    let mut figures = start("result");
    figures.float("seconds", Some(seconds(key.window.nanos())));
    for (names, ratio) in [
        (["oee_ratio", "oee_low_ratio", "oee_high_ratio"], &shape.oee),
        (["availability_ratio", "availability_low_ratio", "availability_high_ratio"], &shape.availability),
        (["effectiveness_ratio", "effectiveness_low_ratio", "effectiveness_high_ratio"], &shape.effectiveness),
        (["quality_ratio", "quality_low_ratio", "quality_high_ratio"], &shape.quality_ratio),
    ] {
        bounded(&mut figures, names, ratio);
    }
    figures.float("coverage_ratio", shape.coverage.as_ref().map(|ratio| ratio.value));
    for (names, counted) in [
        (["produced", "produced_low", "produced_high"], &shape.counts.produced),
        (["good", "good_low", "good_high"], &shape.counts.good),
        (["scrap", "scrap_low", "scrap_high"], &shape.counts.scrap),
    ] {
        count(&mut figures, names, counted);
    }
    energy(&mut figures, &shape.energy);
    let micro = i64::try_from(shape.micro_stops).unwrap_or(i64::MAX);
    figures.fields.insert("micro_stops", Field::Integer(micro));
    let leaves = shape.time.iter().map(|leaf| {
        let mut point = start("time");
        point.tag("leaf", leaf.leaf.clone());
        let exact = |text: &str| text.parse().ok().map(seconds);
        point.float("seconds", exact(&leaf.span.ns));
        point.float("low_seconds", exact(&leaf.low.ns));
        point.float("high_seconds", exact(&leaf.high.ns));
        point
    });
    std::iter::once(figures).chain(leaves).filter(|point| !point.fields.is_empty()).collect()
}

fn bounded(point: &mut Point, [middle, low, high]: [&'static str; 3], ratio: &BoundedRatio) {
    let value = |ratio: &Option<crate::evaluate::number::Ratio>| ratio.as_ref().map(|ratio| ratio.value);
    point.float(middle, value(&ratio.point));
    point.float(low, value(&ratio.low));
    point.float(high, value(&ratio.high));
}

/// Counts are floats on the server, so that one whose bound is open one day has the type of the day before.
#[allow(clippy::cast_precision_loss)] // said in docs/influx-schema.md; the log keeps the integer
fn count(point: &mut Point, [middle, low, high]: [&'static str; 3], count: &Count) {
    point.float(middle, count.point.map(|number| number as f64));
    point.float(low, count.low.map(|number| number as f64));
    point.float(high, count.high.map(|number| number as f64));
}

fn energy(point: &mut Point, energy: &Energy) {
    for (name, number) in
        [("energy_kwh", &energy.point), ("energy_low_kwh", &energy.low), ("energy_high_kwh", &energy.high)]
    {
        point.float(name, number.as_ref().map(|number| number.value));
    }
}

#[allow(clippy::cast_precision_loss)] // seconds for a chart
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use shopfloor::sample::StatusCode;
    use shopfloor::unit::Rational;

    fn point(unit: &str, value: Option<Value>, status: StatusCode, occurrence: usize) -> Point {
        let (site, agent): (SiteId, AgentId) = ("s".parse().unwrap(), "edge-01".parse().unwrap());
        let tag: TagName = "grinder-01/count".parse().unwrap();
        let origin = Origin { site: &site, agent: &agent, tag: &tag, unit, demo: true };
        let at = Timestamp::from_secs(7);
        let taken =
            Sample { at, value, status, source_time: None, observed_time: at, request_time: None, stale_after: 1 };
        sample("plumbline", origin, &taken, occurrence, true)
    }

    #[test]
    fn names_are_tag_values_and_a_demo_says_so() {
        let point = point("件", Some(Value::Exact(Rational::new(1, 3).unwrap())), StatusCode::GOOD, 0);
        assert_eq!(point.measurement, "plumbline_sample");
        let tags: Vec<_> = point.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(tags, ["agent=edge-01", "demo=true", "site=s", "tag=count", "unit=件", "work_unit=grinder-01"]);
        assert_eq!(point.fields["value"], Field::Float(1.0 / 3.0));
        assert_eq!(point.fields["quality"], Field::Integer(0));
        assert!(!point.fields.contains_key("status"));
    }

    #[test]
    fn a_bad_sample_has_no_value_and_says_why() {
        let point = point("", None, StatusCode::BAD_TIMEOUT, 0);
        assert_eq!(point.fields.keys().copied().collect::<Vec<_>>(), ["quality", "status"]);
        assert_eq!(point.fields["status"], Field::Integer(0x800A_0000));
        assert!(!point.tags.contains_key("unit"), "an empty tag value is no line protocol");
    }

    #[test]
    fn different_samples_of_one_instant_are_different_series() {
        let good = |number| Some(Value::Exact(Rational::integer(number)));
        let (first, second) = (point("", good(1), StatusCode::GOOD, 0), point("", good(2), StatusCode::GOOD, 1));
        assert_eq!(first.at, second.at);
        assert_ne!(first.series(), second.series());
        assert_eq!(second.tags["occurrence"], "1");
    }

    #[test]
    fn what_line_protocol_cannot_carry_is_refused_not_rewritten() {
        let number = Some(Value::Bool(true));
        let unit = |unit: &str| point(unit, number.clone(), StatusCode::GOOD, 0).check();
        assert_eq!(unit("a, b=c d"), Ok(()));
        for bad in ["a\\", "a\nplumbline_sample,site=other value=1", &"x".repeat(LABEL_BYTES_MAX + 1)] {
            assert_eq!(unit(bad), Err(Unfit::Label), "{bad:?}");
        }
        let text = |text: &str| point("", Some(Value::Text(text.to_owned())), StatusCode::GOOD, 0).check();
        assert_eq!(text("he said \"so\\\""), Ok(()));
        assert_eq!(text("one\ntwo"), Err(Unfit::Text));
        assert_eq!(text(&"x".repeat(TEXT_BYTES_MAX + 1)), Err(Unfit::Text));
    }
}
