//! Runs scripts/*.txt: a plant, samples, a question, the answer as worked out by hand.
//!
//! A line that begins at the margin is a command, an indented one belongs to the command above; `#` begins a
//! comment. Commands: zone, shift, maintenance, holiday, make_up, rule, roles, micro_stop, stale, counter,
//! product, cycle, load, ask. A series is a list of `v`, `vxN` (N samples of v), `v+dxN` (v and N more, each d
//! more), `badxN` and `_xN` (no sample). Times are local to the zone unless they carry an offset.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use shopfloor::calendar;
use shopfloor::counter::Count;
use shopfloor::evaluate::{self, WorkUnitResult};
use shopfloor::file::{duration, plant};
use shopfloor::id::TagName;
use shopfloor::indicator;
use shopfloor::oee::{Figure, Ratio};
use shopfloor::plant::Plant;
use shopfloor::sample::{Sample, StatusCode, Value};
use shopfloor::state::Leaf;
use shopfloor::time::{Interval, Timestamp};
use shopfloor::unit::Rational;

#[test]
fn every_script_gives_the_answers_worked_out_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let mut answers = 0;
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut script = Script::default();
        for (number, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
            let line = line.split('#').next().unwrap().trim_end();
            if line.is_empty() {
                continue;
            }
            if let Err(problem) = script.line(line) {
                failures.push(format!("{name}:{}: {line:?}: {problem}", number + 1));
            }
        }
        if script.answers == 0 {
            failures.push(format!("{name}: expects nothing"));
        }
        answers += script.answers;
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    assert!(files.len() >= 12 && answers >= 100, "only {} scripts with {answers} answers were found", files.len());
}

#[derive(Default)]
struct Script {
    zone: String,
    calendar: String,
    rule: String,
    rule_name: String,
    roles: Vec<String>,
    unit: String,
    cycles: String,
    products: String,
    stale: Option<i64>,
    samples: BTreeMap<TagName, Vec<Sample>>,
    loading: Option<(Timestamp, i64)>,
    result: Option<WorkUnitResult>,
    answers: usize,
}

type Outcome = Result<(), String>;

impl Script {
    fn line(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            return match (&self.result, self.loading) {
                (Some(_), _) => self.expect(&words),
                (None, Some((start, every))) => self.series(&words, start, every),
                (None, None) => Err("nothing to belong to".into()),
            };
        }
        self.result = None;
        self.command(line, &words)
    }

    fn command(&mut self, line: &str, words: &[&str]) -> Outcome {
        let rest = || line.split_once(' ').map_or("", |(_, rest)| rest.trim());
        match words {
            ["zone", zone] => (*zone).clone_into(&mut self.zone),
            ["shift", id, span, options @ ..] => self.shift(id, span, options)?,
            ["maintenance", span] => {
                let (start, end) = span.split_once('-').ok_or("start-end")?;
                self.calendar += &format!(
                    "[[calendar.maintenance]]\nname = \"m\"\nstart = \"{start}\"\nend = \"{end}\"\nweekdays = {WEEK}\n"
                );
            }
            ["holiday", date] => self.calendar += &format!("[[calendar.holiday]]\ndate = {date}\nname = \"h\"\n"),
            ["make_up", date, "as", day] => {
                self.calendar += &format!("[[calendar.make_up]]\ndate = {date}\nworks_as = \"{day}\"\n");
            }
            ["rule", "codes", codes @ ..] => self.codes(codes)?,
            ["rule", "power", at, below] => {
                self.own_rule(&format!(
                    "kind = \"power-threshold\"\nrunning_at = \"{at}\"\nstopped_below = \"{below}\"\n\
                    stopped = {{ leaf = \"DOWN\", cause = \"stopped\" }}\n"
                ));
            }
            ["rule", name] => (*name).clone_into(&mut self.rule_name),
            ["roles", roles @ ..] => self.roles = roles.iter().map(|role| (*role).to_owned()).collect(),
            ["micro_stop", span] => self.unit += &format!("micro_stop = \"{span}\"\n"),
            ["stale", span] => self.stale = duration::parse_nanos(span),
            ["counter", role, ..] => {
                let policy = rest().strip_prefix(role).unwrap_or_default();
                self.unit += &format!("counter.{role} = {{ {policy} }}\n");
            }
            ["product", id, code] => {
                self.products += &format!("[[product]]\nid = \"{id}\"\nname = \"{id}\"\ncode = {code}\n");
            }
            ["cycle", product, time] => self.cycle(product, time, "1"),
            ["cycle", product, time, "per", items] => self.cycle(product, time, items),
            ["load", every, "from", at @ ..] => {
                let every = duration::parse_nanos(every).ok_or("not a duration")?;
                self.loading = Some((self.time(&at.join(" "))?, every));
            }
            ["ask", "day", date] => {
                let plant = self.plant()?;
                let date = date.parse().map_err(|_| "not a date")?;
                self.ask(&plant, calendar::day(&plant.site.time_zone, date), None)?;
            }
            ["ask", ..] => {
                let (window, now) =
                    rest().split_once(" at ").map_or((rest(), None), |(window, now)| (window, Some(now)));
                let (start, end) = window.split_once("..").ok_or("start .. end")?;
                let interval = Interval { start: self.time(start.trim())?, end: self.time(end.trim())? };
                let now = now.map(|now| self.time(now)).transpose()?;
                self.ask(&self.plant()?, interval, now)?;
            }
            _ => return Err("unknown command".into()),
        }
        Ok(())
    }

    fn shift(&mut self, id: &str, span: &str, options: &[&str]) -> Outcome {
        let (start, end) = span.split_once('-').ok_or("start-end")?;
        let mut weekdays = WEEK.to_owned();
        let mut breaks = String::new();
        for option in options.chunks(2) {
            match option {
                ["on", days] => weekdays = format!("{:?}", days.split(',').collect::<Vec<_>>()),
                ["break", span] => {
                    let (start, end) = span.split_once('-').ok_or("start-end")?;
                    write!(breaks, "{{ start = \"{start}\", end = \"{end}\" }},").unwrap();
                }
                other => return Err(format!("{other:?}")),
            }
        }
        self.calendar += &format!(
            "[[calendar.shift]]\nid = \"{id}\"\nname = \"{id}\"\nstart = \"{start}\"\nend = \"{end}\"\n\
             weekdays = {weekdays}\nbreak = [{breaks}]\n"
        );
        Ok(())
    }

    fn codes(&mut self, codes: &[&str]) -> Outcome {
        let mut rows = String::new();
        for code in codes {
            let (value, leaf) = code.split_once('=').ok_or("value=LEAF")?;
            write!(rows, "{{ value = \"{value}\", leaf = \"{leaf}\", cause = \"c{value}\" }},").unwrap();
        }
        self.own_rule(&format!("kind = \"enumeration\"\nstate = [{rows}]\n"));
        Ok(())
    }

    fn own_rule(&mut self, text: &str) {
        self.rule = format!("[[state_rule]]\nid = \"own\"\nversion = 1\n{text}");
        "own".clone_into(&mut self.rule_name);
    }

    fn cycle(&mut self, product: &str, time: &str, items: &str) {
        self.cycles +=
            &format!("[[work_unit.ideal_cycle]]\nproduct = \"{product}\"\ntime = \"{time}\"\nitems = {items}\n");
    }

    fn plant(&self) -> Result<Plant, String> {
        let roles: String = self.roles.iter().map(|role| format!("{role} = \"m/{role}\"\n")).collect();
        let text = format!(
            "schema = 1\n[site]\nid = \"s\"\nname = \"s\"\ntime_zone = \"{}\"\n{}{}\
             [[calendar]]\nid = \"c\"\n{}\
             [[work_unit]]\nid = \"m\"\nname = \"m\"\ncalendar = \"c\"\nstate_rule = \"{}\"\n{}\
             [work_unit.role]\n{roles}{}",
            self.zone, self.products, self.rule, self.calendar, self.rule_name, self.unit, self.cycles,
        );
        plant::parse(&text, "script").map_err(|problems| problems.to_string())
    }

    fn time(&self, text: &str) -> Result<Timestamp, String> {
        if let Some(at) = Timestamp::parse(text) {
            return Ok(at);
        }
        let local = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text)
            .or_else(|_| jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text))
            .map_err(|_| format!("{text:?} is no time"))?;
        let zone = jiff::tz::TimeZone::get(&self.zone).map_err(|error| error.to_string())?;
        Ok(calendar::instant(&zone, local))
    }

    fn series(&mut self, words: &[&str], start: Timestamp, every: i64) -> Outcome {
        let [role, items @ ..] = words else { return Err("role series".into()) };
        let tag: TagName = format!("m/{role}").parse().map_err(|_| "not a role")?;
        let stale_after = self.stale.unwrap_or(3 * every);
        let mut at = start;
        for item in items {
            for value in expand(item) {
                if let Some(value) = value {
                    let sample = Sample {
                        at,
                        status: if value.is_some() { StatusCode::GOOD } else { StatusCode::BAD_TIMEOUT },
                        value,
                        source_time: None,
                        observed_time: at,
                        request_time: Some(at),
                        stale_after,
                    };
                    self.samples.entry(tag.clone()).or_default().push(sample);
                }
                at = at.plus(every);
            }
        }
        Ok(())
    }

    fn ask(&mut self, plant: &Plant, interval: Interval, now: Option<Timestamp>) -> Outcome {
        let window = evaluate::span(plant, interval);
        let now = now.unwrap_or(interval.end.plus(24 * shopfloor::time::HOUR));
        let unit = "m".parse().expect("an id");
        let result =
            evaluate::work_unit(plant, &unit, &self.samples, &window, now).map_err(|error| error.to_string())?;
        let sum: i64 = result.leaves().values().sum();
        if sum != result.evaluated.nanos() {
            return Err(format!("the leaves add up to {sum} ns, the window is {} ns", result.evaluated.nanos()));
        }
        self.result = Some(result);
        Ok(())
    }

    fn expect(&mut self, words: &[&str]) -> Outcome {
        self.answers += 1;
        let result = self.result.as_ref().expect("asked");
        let times = &result.times;
        let count = |count: &Option<Count>, rest: &[&str]| match count {
            None => same("not measured", &rest.join(" ")),
            Some(count) => shown(rest, count.point, Some(count.low), count.high, Rational::to_string),
        };
        let figure = |figure: &Figure, rest: &[&str]| match (rest, &figure.reason) {
            (["refused", code], Some(reason)) if figure.is_refused() => same(&reason.code, code),
            (["refused", ..], reason) => Err(format!("not refused; reason {reason:?}")),
            _ => {
                let value = |ratio: Option<Ratio>| ratio.map(Ratio::value);
                shown(rest, value(figure.point), value(figure.low), value(figure.high), Rational::to_string)
            }
        };
        match words {
            ["pbt", rest @ ..] => span(rest, times.planned_busy),
            ["apt", rest @ ..] => span(rest, times.production),
            ["aust", rest @ ..] => span(rest, times.setup),
            ["adet", rest @ ..] => span(rest, times.delay),
            ["adot", rest @ ..] => span(rest, times.no_order),
            ["micro_stops", number] => same(&result.micro_stops.to_string(), number),
            ["produced", rest @ ..] => count(&result.produced, rest),
            ["scrap", rest @ ..] => count(&result.scrap, rest),
            ["good", rest @ ..] => count(&result.good, rest),
            ["energy", rest @ ..] => count(&result.energy_kwh, rest),
            ["availability", rest @ ..] => figure(&result.availability, rest),
            ["effectiveness", rest @ ..] => figure(&result.effectiveness, rest),
            ["quality_ratio", rest @ ..] => figure(&result.quality_ratio, rest),
            ["oee", rest @ ..] => figure(&result.oee, rest),
            ["unit_energy", rest @ ..] => {
                let indicator = indicator::catalog("unit_energy", 1).expect("it ships");
                figure(&indicator::measure(&indicator, &[result]).figure, rest)
            }
            ["a_x_e", rest @ ..] => figure(&result.availability_effectiveness, rest),
            ["coverage", value] => same(&result.coverage.map(|c| c.to_string()).unwrap_or_default(), value),
            ["remark", code] => {
                let codes: Vec<_> = result.remarks.iter().map(|remark| remark.code.as_str()).collect();
                if codes.contains(code) { Ok(()) } else { Err(format!("remarks are {codes:?}")) }
            }
            ["no", "remarks"] => same(&format!("{:?}", result.remarks), "[]"),
            ["timeline", rest @ ..] => {
                let one = |segment: &shopfloor::timeline::Segment| {
                    let open = if segment.provisional { "?" } else { "" };
                    format!("{}{open}:{}", segment.leaf, nice(segment.interval.nanos()))
                };
                same(&result.segments.iter().map(one).collect::<Vec<_>>().join(" "), &rest.join(" "))
            }
            [leaf, rest @ ..] if Leaf::from_code(leaf).is_some() => {
                let leaf = Leaf::from_code(leaf).expect("just asked");
                let (point, bounds) = (times.leaf(leaf), times.leaf_bounds(leaf));
                let whole = |nanos: i64| Some(Rational::integer(i128::from(nanos)));
                let show = |value: &Rational| nice(i64::try_from(value.to_integer().expect("whole")).expect("fits"));
                shown(rest, whole(point), whole(bounds.low), whole(bounds.high), show)
            }
            _ => Err("unknown answer".into()),
        }
    }
}

const WEEK: &str = r#"["mon", "tue", "wed", "thu", "fri", "sat", "sun"]"#;

/// The samples of one item of a series: outer `None` is no sample, inner `None` a Bad one.
#[allow(clippy::option_option)]
fn expand(item: &str) -> Vec<Option<Option<Value>>> {
    let (value, times) = match item.rsplit_once('x').map(|(value, times)| (value, times.parse::<usize>())) {
        Some((value, Ok(times))) => (value, times),
        _ => (item, 1),
    };
    let number = |text: &str| Rational::parse(text);
    if let Some((first, step)) = value.split_once('+').and_then(|(v, d)| Some((number(v)?, number(d)?))) {
        let series = (0..=times).map(|n| first.checked_add(step.checked_mul(Rational::integer(n as i128))?));
        return series.map(|value| Some(value.map(Value::Exact))).collect();
    }
    let value = match value {
        "_" => None,
        "bad" => Some(None),
        "true" => Some(Some(Value::Bool(true))),
        "false" => Some(Some(Value::Bool(false))),
        text => Some(Some(number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Exact))),
    };
    vec![value; times]
}

/// Compares `point [low..high]`, where the bracket may be left out and `?` and `open` stand for no value.
fn shown(
    expected: &[&str],
    point: Option<Rational>,
    low: Option<Rational>,
    high: Option<Rational>,
    show: impl Fn(&Rational) -> String,
) -> Outcome {
    let text = |value: &Option<Rational>, none: &str| value.as_ref().map_or_else(|| none.to_owned(), &show);
    let value = text(&point, "?");
    let bounds = format!("[{}..{}]", text(&low, "refused"), text(&high, "open"));
    match expected {
        [only] => same(&value, only).map_err(|problem| format!("{problem} {bounds}")),
        [wanted, range] => same(&format!("{value} {bounds}"), &format!("{wanted} {range}")),
        _ => Err(format!("write `value` or `value [low..high]`; it is {value} {bounds}")),
    }
}

fn span(expected: &[&str], nanos: i64) -> Outcome {
    same(&nice(nanos), &expected.join(" "))
}

/// `1h30min5s`, with what is zero left out.
fn nice(nanos: i64) -> String {
    let mut text = String::new();
    let mut rest = nanos;
    for (unit, length) in
        [("h", 3_600_000_000_000), ("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("ns", 1)]
    {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn same(found: &str, expected: &str) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("it is {found}")) }
}
