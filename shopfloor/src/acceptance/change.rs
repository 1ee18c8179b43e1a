//! What one version of a project changed against another: what an evaluator wants to see after registration.

use std::fmt::Display;

use crate::display::{self, Text};
use crate::id::{ContractLineId, CriterionId, EquipmentId};
use crate::project::{ContractLine, Criterion, Project};

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What: `指标 oee-up 的目标`.
    pub what: Text,
    /// How it read before, in the words of the file; empty if it was not there.
    pub before: String,
    /// How it reads after; empty if it is not there any more.
    pub after: String,
    /// The criterion, if it is about one.
    pub criterion: Option<CriterionId>,
}

/// What `newer` changed against `older`: go-live, windows, contract lines and criteria. Names, contacts and dates of
/// the path are no terms of the judgement and are not listed.
pub fn changes(older: &Project, newer: &Project) -> Vec<Change> {
    let mut found = Vec::new();
    let mut compare = |zh: &str, en: &str, before: &dyn Display, after: &dyn Display| {
        found.extend(change(None, Text::new(zh, en), before.to_string(), after.to_string()));
    };
    compare("工厂", "site", &older.site, &newer.site);
    compare("建设类型", "level", &older.level, &newer.level);
    compare("投用日期", "go-live", &older.go_live, &newer.go_live);
    compare("基准期", "baseline", &older.baseline, &newer.baseline);
    compare("改造后窗口", "after window", &older.after, &newer.after);
    lines(older, newer, &mut found);
    criteria(older, newer, &mut found);
    found
}

fn change(criterion: Option<&CriterionId>, what: Text, before: String, after: String) -> Option<Change> {
    (before != after).then(|| Change { what, before, after, criterion: criterion.cloned() })
}

fn lines(older: &Project, newer: &Project, found: &mut Vec<Change>) {
    let show = |line: Option<&ContractLine>| {
        line.map_or_else(String::new, |line| {
            let equipment: Vec<_> = line.equipment.iter().map(EquipmentId::as_str).collect();
            format!("{} × {} [{}]", line.name, line.quantity, equipment.join(", "))
        })
    };
    let find = |project: &Project, id: &ContractLineId| show(project.contract_lines.iter().find(|line| line.id == *id));
    let mut seen: Vec<&ContractLineId> = Vec::new();
    for line in older.contract_lines.iter().chain(&newer.contract_lines) {
        if seen.contains(&&line.id) {
            continue;
        }
        seen.push(&line.id);
        let what = Text::new(format!("合同行 {}", line.id), format!("contract line {}", line.id));
        found.extend(change(None, what, find(older, &line.id), find(newer, &line.id)));
    }
}

fn criteria(older: &Project, newer: &Project, found: &mut Vec<Change>) {
    for criterion in &older.criteria {
        if let Some(after) = newer.criterion(&criterion.id) {
            terms(criterion, after, found);
        } else {
            let id = &criterion.id;
            let what = Text::new(format!("指标 {id} 被删除"), format!("criterion {id} removed"));
            found.extend(change(Some(id), what, summary(criterion), String::new()));
        }
    }
    for criterion in newer.criteria.iter().filter(|criterion| older.criterion(&criterion.id).is_none()) {
        let id = &criterion.id;
        let what = Text::new(format!("新增指标 {id}"), format!("criterion {id} added"));
        found.extend(change(Some(id), what, String::new(), summary(criterion)));
    }
}

fn terms(before: &Criterion, after: &Criterion, found: &mut Vec<Change>) {
    let id = &before.id;
    for ((zh, en, was), (.., is)) in listed(before).into_iter().zip(listed(after)) {
        let what = Text::new(format!("指标 {id} 的{zh}"), format!("{en} of criterion {id}"));
        found.extend(change(Some(id), what, was, is));
    }
}

/// The terms of a criterion in the words of the file.
fn listed(criterion: &Criterion) -> [(&'static str, &'static str, String); 6] {
    [
        ("指标定义", "indicator", criterion.indicator.to_string()),
        ("设备范围", "work units", criterion.scope.to_string()),
        ("方向", "direction", criterion.direction.to_string()),
        ("目标", "target", format!("{} {}", criterion.target.kind, criterion.target.value)),
        ("判定规则", "decision rule", criterion.rule.to_string()),
        ("最低覆盖率", "minimum coverage", display::plain_percent(criterion.coverage)),
    ]
}

fn summary(criterion: &Criterion) -> String {
    listed(criterion).into_iter().map(|(_, _, value)| value).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::project;

    const EXAMPLE: &str = include_str!("../../project.example.toml");

    fn changed(from: &str, to: &str) -> Vec<(String, String, String)> {
        assert!(EXAMPLE.contains(from), "{from}");
        let read = |text: &str| project::parse(text, "project.toml").unwrap_or_else(|problems| panic!("{problems}"));
        let found = changes(&read(EXAMPLE), &read(&EXAMPLE.replacen(from, to, 1)));
        found.into_iter().map(|change| (change.what.en, change.before, change.after)).collect()
    }

    fn one(what: &str, before: &str, after: &str) -> Vec<(String, String, String)> {
        vec![(what.into(), before.into(), after.into())]
    }

    #[test]
    fn each_term_of_a_criterion_is_named_with_what_it_was_and_is() {
        assert_eq!(
            changed("value = \"3\"", "value = \"2\""),
            one("target of criterion oee-up", "points 3", "points 2")
        );
        assert_eq!(
            changed("rule = \"point\"", "rule = \"lower-end\""),
            one("decision rule of criterion oee-up", "point", "lower-end")
        );
        assert_eq!(changed("[\"grinder-01\"]", "\"*\""), one("work units of criterion oee-up", "grinder-01", "*"));
        assert_eq!(changed("\"0.95\"", "\"0.8\""), one("minimum coverage of criterion oee-up", "95 %", "80 %"));
        // 3 points and 3 % are different things.
        assert_eq!(changed("\"points\"", "\"percent\""), one("target of criterion oee-up", "points 3", "percent 3"));
    }

    #[test]
    fn windows_lines_and_whole_criteria_are_compared() {
        let found = changed("until = 2026-11-23", "until = 2026-11-20");
        assert_eq!(found, one("baseline", "2026-10-19 .. 2026-11-23", "2026-10-19 .. 2026-11-20"));
        let found = changed("quantity = 2", "quantity = 1");
        assert_eq!(found, one("contract line 1.3", "内圈磨床联网改造 × 2 [eq-0001]", "内圈磨床联网改造 × 1 [eq-0001]"));
        let found = changed("id = \"quality\"", "id = \"quality-2\"");
        let terms = "quality_ratio@1; grinder-01; up; absolute 0.985; point; 95 %";
        assert_eq!(
            found,
            [one("criterion quality removed", terms, ""), one("criterion quality-2 added", "", terms)].concat()
        );
    }

    #[test]
    fn names_contacts_and_the_path_are_no_terms_and_a_default_that_is_written_out_changes_nothing() {
        assert_eq!(changed("王工", "李工"), []);
        assert_eq!(changed("acceptance = 2026-12-22", "acceptance = 2026-12-23"), []);
        assert_eq!(changed("rule = \"lower-end\"", "coverage = \"0.95\"\nrule = \"lower-end\""), []);
    }
}
