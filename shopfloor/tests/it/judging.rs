//! Runs judging/*.txt: a criterion, what was measured before and after, and the finding as worked out by hand.
//!
//! A line at the margin is a command, an indented one an expected answer; `#` begins a comment. Commands:
//! `criterion INDICATOR DIRECTION KIND VALUE RULE COVERAGE`; `windows BEFORE AFTER` (lengths; the after window begins
//! where the baseline ends); `before` and `after`, each `POINT [LOW..HIGH]` or `refused CODE [UNIT ROLE]` and then
//! `UNIT PLANNED UNKNOWN` for every work unit; `ask DURATION`, which is how long after the end of the after window
//! (or, with a minus, before it) is judged. `?` is a value that is not defined, or an open end.

use std::path::Path;

use shopfloor::acceptance::{self, Finding, Range};
use shopfloor::file::{duration, project};
use shopfloor::indicator::{Lack, Measured, Part};
use shopfloor::oee::{Figure, Ratio};
use shopfloor::plant::Role;
use shopfloor::project::{Criterion, Windows};
use shopfloor::remark::Remark;
use shopfloor::time::{Interval, Timestamp};
use shopfloor::unit::Rational;

#[test]
fn every_script_gives_the_finding_worked_out_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/judging");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut failures, mut answers) = (Vec::new(), 0);
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
        answers += script.answers;
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    assert!(files.len() >= 6 && answers >= 60, "only {} scripts with {answers} answers were found", files.len());
}

type Outcome = Result<(), String>;

#[derive(Default)]
struct Script {
    criterion: Option<Criterion>,
    lengths: Option<(i64, i64)>,
    before: Measured,
    after: Measured,
    finding: Option<Finding>,
    answers: usize,
}

impl Script {
    fn line(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            self.answers += 1;
            return self.expect(&words);
        }
        match words.as_slice() {
            ["criterion", indicator, direction, kind, value, rule, coverage] => {
                self.criterion = Some(criterion(indicator, direction, kind, value, rule, coverage)?);
            }
            ["windows", before, after] => {
                let nanos = |text| duration::parse_nanos(text).ok_or("not a duration");
                self.lengths = Some((nanos(before)?, nanos(after)?));
            }
            ["before", rest @ ..] => self.before = measured(rest)?,
            ["after", rest @ ..] => self.after = measured(rest)?,
            ["ask", late] => self.ask(late)?,
            _ => return Err("unknown command".into()),
        }
        Ok(())
    }

    fn ask(&mut self, late: &str) -> Outcome {
        let late = duration::parse(late).and_then(Rational::to_integer).ok_or("not a duration")?;
        let (before, after) = self.lengths.ok_or("no windows")?;
        let go_live = Timestamp::parse("2026-11-24T00:00:00+08:00").expect("an instant");
        let windows = Windows {
            baseline: Interval { start: go_live.plus(-before), end: go_live },
            after: Interval { start: go_live, end: go_live.plus(after) },
            go_live,
        };
        let now = windows.after.end.plus(i64::try_from(late).map_err(|error| error.to_string())?);
        let criterion = self.criterion.as_ref().ok_or("no criterion")?;
        self.finding = Some(acceptance::judge(criterion, &self.before, &self.after, now, &windows));
        Ok(())
    }

    fn expect(&self, words: &[&str]) -> Outcome {
        let finding = self.finding.as_ref().ok_or("nothing asked")?;
        let answer = |answer: Option<bool>| match answer {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        match words {
            ["verdict", code, reason] => {
                same(&format!("{} {}", finding.verdict, finding.reason.code), &format!("{code} {reason}"))
            }
            ["says", rest @ ..] => {
                let said = &finding.reason;
                let text = rest.join(" ");
                let found = said.zh.contains(&text) || said.en.contains(&text);
                if found { Ok(()) } else { Err(format!("says {:?} / {:?}", said.zh, said.en)) }
            }
            ["points", rest @ ..] => range(finding.points, rest),
            ["relative", rest @ ..] => range(finding.relative, rest),
            ["meets", "by", "point", word] => same(answer(finding.meets_by_point), word),
            ["meets", "by", "lower", "end", word] => same(answer(finding.meets_by_lower_end), word),
            ["nothing", "to", "settle"] => same(&format!("{:?}", finding.settle), "[]"),
            ["settle", code, rest @ ..] => {
                let shown: Vec<String> = finding
                    .settle
                    .iter()
                    .map(|one| {
                        let mut words = vec![one.remark.code.clone()];
                        words.extend(one.days.map(|days| format!("{days}d")));
                        words.extend(one.work_unit.as_ref().map(ToString::to_string));
                        words.extend(one.tag.as_ref().map(ToString::to_string));
                        words.join(" ")
                    })
                    .collect();
                let wanted = [&[*code], rest].concat().join(" ");
                if shown.contains(&wanted) { Ok(()) } else { Err(format!("would settle it: {shown:?}")) }
            }
            _ => Err("unknown answer".into()),
        }
    }
}

fn same(found: &str, wanted: &str) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("found {found}")) }
}

fn range(range: Option<Range>, wanted: &[&str]) -> Outcome {
    let show = |value: Option<Rational>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let shown = match range {
        None => "none".to_owned(),
        Some(range) => format!("{} [{}..{}]", show(range.point), show(range.low), show(range.high)),
    };
    same(&shown, &wanted.join(" "))
}

fn criterion(
    indicator: &str,
    direction: &str,
    kind: &str,
    value: &str,
    rule: &str,
    coverage: &str,
) -> Result<Criterion, String> {
    let text = format!(
        "schema = 1\n[project]\nid = \"p\"\nname = \"p\"\nsite = \"s\"\nlevel = \"smart-factory\"\nauthor = \"a\"\n\
         go_live = 2026-11-24\n[project.stage]\ndiagnosis = 2026-06-01\n[project.party.enterprise]\nname = \"e\"\n\
         [project.party.supplier]\nname = \"s\"\n[baseline]\nfrom = 2026-10-01\nuntil = 2026-11-24\n[after]\n\
         from = 2026-11-24\nuntil = 2026-12-22\n[[criterion]]\nid = \"c\"\nindicator = \"{indicator}\"\n\
         work_units = \"*\"\ndirection = \"{direction}\"\ntarget = {{ kind = \"{kind}\", value = \"{value}\" }}\n\
         rule = \"{rule}\"\ncoverage = \"{coverage}\"\n"
    );
    let project = project::parse(&text, "script").map_err(|problems| problems.to_string())?;
    Ok(project.criteria[0].clone())
}

/// `POINT [LOW..HIGH]` or `refused CODE [UNIT ROLE]`, then `UNIT PLANNED UNKNOWN` each.
fn measured(words: &[&str]) -> Result<Measured, String> {
    let mut found = Measured::default();
    let units = match words {
        ["refused", code, unit, role, units @ ..] if Role::from_code(role).is_some() => {
            let reason = Remark::new(code, *code, *code);
            let work_unit = unit.parse().map_err(|_| "not a unit")?;
            found.figure = Figure::refused(reason.clone());
            found.lacks = vec![Lack { work_unit, role: Role::from_code(role), reason }];
            units
        }
        ["refused", code, units @ ..] => {
            found.figure = Figure::refused(Remark::new(code, *code, *code));
            units
        }
        [point, bounds, units @ ..] => {
            let bounds = bounds.trim_matches(['[', ']']);
            let (low, high) = bounds.split_once("..").ok_or("low..high")?;
            let (low, high, point) = (ratio(low)?, ratio(high)?, ratio(point)?);
            found.figure = Figure { low, high, point, reason: None };
            units
        }
        _ => return Err("what was measured?".into()),
    };
    for unit in units.chunks(3) {
        let [unit, planned, unknown] = unit else { return Err("UNIT PLANNED UNKNOWN".into()) };
        let nanos = |text| duration::parse_nanos(text).ok_or("not a duration");
        let (planned, unknown) = (nanos(planned)?, nanos(unknown)?);
        found.planned += i128::from(planned);
        found.unknown += i128::from(unknown);
        found.parts.push(Part {
            work_unit: unit.parse().map_err(|_| "not a unit")?,
            figure: Figure::default(),
            coverage: Ratio::new(whole(i128::from(planned - unknown)), whole(i128::from(planned))),
            planned,
            unknown,
            contributes: planned > 0,
            state_tag: format!("{unit}/state").parse().ok(),
        });
    }
    found.coverage = Ratio::new(whole(found.planned - found.unknown), whole(found.planned));
    Ok(found)
}

fn ratio(text: &str) -> Result<Option<Ratio>, String> {
    if text == "?" {
        return Ok(None);
    }
    let value = Rational::parse(text).ok_or_else(|| format!("{text:?} is no number"))?;
    Ok(Ratio::new(value, Rational::ONE))
}

fn whole(nanos: i128) -> Rational {
    Rational::integer(nanos)
}
