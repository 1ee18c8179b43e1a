//! The state rules that ship with the program, by name.

use super::StateRule;
use crate::file::definition;

const FILES: [(&str, &str); 4] = [
    ("packml", include_str!("../../definitions/state_rules/packml.toml")),
    ("mtconnect", include_str!("../../definitions/state_rules/mtconnect.toml")),
    ("okuma", include_str!("../../definitions/state_rules/okuma.toml")),
    ("running-bit", include_str!("../../definitions/state_rules/running-bit.toml")),
];

/// Names of the rules that ship with the program.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The rule of a name; `None` if no such rule ships.
pub fn builtin(name: &str) -> Option<StateRule> {
    let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
    Some(definition::state_rule(text, name).expect("the rules that ship with the program are tested"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rule_reads_and_carries_its_own_name() {
        for name in names() {
            assert_eq!(builtin(name).unwrap().id, name);
        }
        assert_eq!(builtin("none"), None);
    }
}
