//! Reading the values of the roles with a state rule: values in, activity and cause out.

use std::collections::BTreeMap;

use super::Activity;
use super::rule::{Code, Meaning, RuleKind, StateRule};
use crate::plant::Role;
use crate::sample::Value;
use crate::unit::Rational;

/// What a rule makes of the values at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What the equipment does.
    pub activity: Activity,
    /// Code of the cause.
    pub cause: String,
    /// A device code that the rule does not know, as it should be shown.
    pub unknown_code: Option<String>,
}

impl Reading {
    fn of(meaning: &Meaning) -> Self {
        Self { activity: meaning.activity, cause: meaning.cause.clone(), unknown_code: None }
    }

    fn plain(activity: Activity, cause: &str) -> Self {
        Self { activity, cause: cause.to_owned(), unknown_code: None }
    }

    /// Nothing that can be trusted.
    pub fn no_data() -> Self {
        Self::plain(Activity::Unknown, "no-data")
    }
}

/// The current value of each role: absent if no tag is bound to it, `None` if nothing about it is known.
pub type Inputs<'a> = BTreeMap<Role, Option<&'a Value>>;

/// A rule at work; remembers what hysteresis needs.
#[derive(Debug)]
pub struct Decoder<'a> {
    rule: &'a StateRule,
    running: Option<bool>,
}

impl<'a> Decoder<'a> {
    /// A decoder that has seen nothing yet.
    pub const fn new(rule: &'a StateRule) -> Self {
        Self { rule, running: None }
    }

    /// What the machine does while the roles have these values.
    pub fn read(&mut self, inputs: &Inputs<'_>) -> Reading {
        match &self.rule.kind {
            RuleKind::Table { states, modes } => table(inputs, states, modes),
            RuleKind::RunningBit { stopped } => running_bit(inputs, stopped),
            RuleKind::PowerThreshold { running_at, stopped_below, stopped } => {
                self.power(inputs, *running_at, *stopped_below, stopped)
            }
        }
    }

    fn power(
        &mut self,
        inputs: &Inputs<'_>,
        running_at: Rational,
        stopped_below: Rational,
        stopped: &Meaning,
    ) -> Reading {
        let Some(Some(value)) = inputs.get(&Role::Power) else {
            self.running = None;
            return Reading::no_data();
        };
        let Some((above, below)) = compare(value, running_at, stopped_below) else { return unknown_code(value) };
        if above {
            self.running = Some(true);
        } else if below {
            self.running = Some(false);
        }
        match self.running {
            Some(true) => Reading::plain(Activity::Run, "running"),
            Some(false) => Reading::of(stopped),
            None => Reading::plain(Activity::Unknown, "in-between"),
        }
    }
}

/// Whether a power is at or above the upper threshold, and whether it is below the lower one.
fn compare(value: &Value, running_at: Rational, stopped_below: Rational) -> Option<(bool, bool)> {
    match value {
        Value::Exact(power) => Some((*power >= running_at, *power < stopped_below)),
        Value::Float(power) => Some((*power >= running_at.to_f64(), *power < stopped_below.to_f64())),
        Value::Bool(_) | Value::Text(_) => None,
    }
}

fn table(inputs: &Inputs<'_>, states: &BTreeMap<Code, Meaning>, modes: &BTreeMap<Code, Meaning>) -> Reading {
    let Some(Some(state)) = inputs.get(&Role::State) else { return Reading::no_data() };
    let Some(found) = code(state).and_then(|code| states.get(&code)) else { return unknown_code(state) };
    if found.activity == Activity::Unknown {
        return Reading::of(found);
    }
    match inputs.get(&Role::Mode) {
        None => Reading::of(found),
        // A mode decides what a state means, so without it the state says nothing.
        Some(None) => Reading::no_data(),
        Some(Some(mode)) => Reading::of(code(mode).and_then(|code| modes.get(&code)).unwrap_or(found)),
    }
}

fn running_bit(inputs: &Inputs<'_>, stopped: &Meaning) -> Reading {
    let bit = |role| inputs.get(&role).map(|value| value.and_then(truth));
    match bit(Role::Running) {
        Some(Some(true)) => Reading::plain(Activity::Run, "running"),
        Some(Some(false)) => match (bit(Role::Fault), bit(Role::Setup)) {
            (Some(Some(true)), _) => Reading::plain(Activity::Down, "fault"),
            // What explains a stop cannot be read, so what the stop is cannot be said.
            (Some(None), _) | (Some(Some(false)) | None, Some(None)) => Reading::no_data(),
            (_, Some(Some(true))) => Reading::plain(Activity::Setup, "setup"),
            _ => Reading::of(stopped),
        },
        _ => Reading::no_data(),
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bit) => Some(*bit),
        Value::Exact(number) => Some(*number != Rational::ZERO),
        Value::Float(_) | Value::Text(_) => None,
    }
}

/// The code that a value is, for looking it up in a table.
pub fn code(value: &Value) -> Option<Code> {
    match value {
        Value::Bool(bit) => Some(Code::Integer(i128::from(*bit))),
        Value::Exact(number) => number.to_integer().map(Code::Integer),
        Value::Text(text) => Some(Code::Text(text.trim().to_ascii_uppercase())),
        Value::Float(_) => None,
    }
}

fn unknown_code(value: &Value) -> Reading {
    let shown = match value {
        Value::Bool(bit) => bit.to_string(),
        Value::Exact(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
    };
    Reading { unknown_code: Some(shown), ..Reading::plain(Activity::Unknown, "unknown-code") }
}

#[cfg(test)]
mod tests {
    use super::super::catalog;
    use super::*;

    fn meaning(activity: Activity) -> Meaning {
        Meaning { activity, cause: "stopped".into(), zh: "停机".into(), en: "stopped".into() }
    }

    fn rule(kind: RuleKind) -> StateRule {
        StateRule { id: "r".into(), version: 1, title_zh: String::new(), title_en: String::new(), kind }
    }

    fn number(text: &str) -> Value {
        Value::Exact(Rational::parse(text).unwrap())
    }

    #[test]
    fn power_between_the_thresholds_stays_what_it_was_and_is_unknown_at_first() {
        let rule = rule(RuleKind::PowerThreshold {
            running_at: Rational::integer(3),
            stopped_below: Rational::integer(2),
            stopped: meaning(Activity::Idle),
        });
        let mut decoder = Decoder::new(&rule);
        let mut read = |text: &str| decoder.read(&Inputs::from([(Role::Power, Some(&number(text)))])).activity;
        let seen: Vec<_> = ["2.5", "3", "2.5", "2", "1.9", "2.5"].into_iter().map(&mut read).collect();
        assert_eq!(
            seen,
            [Activity::Unknown, Activity::Run, Activity::Run, Activity::Run, Activity::Idle, Activity::Idle]
        );
    }

    #[test]
    fn a_fault_bit_explains_a_stop_and_an_unreadable_one_hides_it() {
        let rule = rule(RuleKind::RunningBit { stopped: meaning(Activity::Idle) });
        let mut decoder = Decoder::new(&rule);
        let (on, off) = (Value::Bool(true), Value::Bool(false));
        let mut read =
            |running, fault| decoder.read(&Inputs::from([(Role::Running, running), (Role::Fault, fault)])).activity;
        assert_eq!(read(Some(&on), None), Activity::Run);
        assert_eq!(read(Some(&off), Some(&on)), Activity::Down);
        assert_eq!(read(Some(&off), Some(&off)), Activity::Idle);
        assert_eq!(read(Some(&off), None), Activity::Unknown);
        assert_eq!(read(None, Some(&on)), Activity::Unknown);
    }

    #[test]
    fn an_unknown_code_is_unknown_and_named() {
        let rule = catalog::builtin("packml").unwrap();
        let reading = Decoder::new(&rule).read(&Inputs::from([(Role::State, Some(&number("99")))]));
        assert_eq!((reading.activity, reading.unknown_code.as_deref()), (Activity::Unknown, Some("99")));
    }

    #[test]
    fn a_mode_wins_over_the_state_but_not_over_unavailable() {
        let rule = catalog::builtin("mtconnect").unwrap();
        let text = |text: &str| Value::Text(text.into());
        let mut decoder = Decoder::new(&rule);
        let mut read = |state: &str, mode: &str| {
            let (state, mode) = (text(state), text(mode));
            decoder.read(&Inputs::from([(Role::State, Some(&state)), (Role::Mode, Some(&mode))])).activity
        };
        assert_eq!(read("ACTIVE", "PRODUCTION"), Activity::Run);
        assert_eq!(read("active", "SETUP"), Activity::Setup);
        assert_eq!(read("UNAVAILABLE", "SETUP"), Activity::Unknown);
    }
}
