//! project.toml of a simulated site: what its scenario says of the project, and the dates and windows of one play.

use std::fmt::Write as _;

use shopfloor::time::{HOUR, Interval, Timestamp};

use crate::machine::World;

/// Asia/Shanghai ahead of UTC, in nanoseconds; see [`crate::calendar`].
const OFFSET: i64 = 8 * HOUR;
const DAY: i64 = 24 * HOUR;

/// When a project is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The window before.
    pub baseline: Interval,
    /// When the new equipment goes live.
    pub go_live: Timestamp,
    /// The window after.
    pub after: Interval,
    /// The day from which the scenario counts the days of the path.
    pub today: Timestamp,
}

impl World {
    /// The project.toml of this site; `None` if its scenario has no project.
    ///
    /// In the scenario the table `[project]` holds everything, the criteria and contract lines too, and `stage` says
    /// days before or after today.
    pub fn project_toml(&self, schedule: &Schedule) -> Option<String> {
        let mut project = self.scenario().project.clone()?;
        let lists = ["contract_line", "criterion"].map(|key| (key, project.remove(key)));
        let stages = match project.remove("stage") {
            Some(toml::Value::Table(stages)) => stages,
            _ => toml::Table::new(),
        };
        project.insert("site".into(), self.scenario().site.id.to_string().into());
        project.insert("go_live".into(), schedule.go_live.to_string().into());
        let dated = |(stage, days): (String, toml::Value)| {
            let at = schedule.today.plus(days.as_integer().unwrap_or(0).saturating_mul(DAY));
            (stage, toml::Value::from(local_date(at)))
        };
        project.insert("stage".into(), toml::Value::Table(stages.into_iter().map(dated).collect()));
        let mut root = toml::Table::new();
        root.insert("schema".into(), 1.into());
        root.insert("project".into(), project.into());
        root.insert("baseline".into(), window(schedule.baseline).into());
        root.insert("after".into(), window(schedule.after).into());
        root.extend(lists.into_iter().filter_map(|(key, list)| Some((key.to_owned(), list?))));
        let mut out = String::new();
        line!(out, "# 由模拟器按场景 {:?} 生成。Written by the simulators.", self.scenario().id);
        line!(out, "{}", toml::to_string_pretty(&root).expect("a table that was read can be written"));
        Some(out)
    }
}

fn window(interval: Interval) -> toml::Table {
    let ends = [("from", interval.start), ("until", interval.end)];
    ends.into_iter().map(|(key, at)| (key.to_owned(), at.to_string().into())).collect()
}

/// `YYYY-MM-DD` at the site.
fn local_date(at: Timestamp) -> String {
    at.plus(OFFSET).to_string().split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{FACTORIES, Scenario};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn dates_and_windows_of_the_play_stand_in_the_file() {
        let world = World::new(&Scenario::builtin("demo").unwrap(), 1, at("2026-11-20T00:00:00Z"), HOUR);
        let schedule = Schedule {
            baseline: Interval::new(at("2026-11-20T00:00:00Z"), at("2026-11-22T00:00:00Z")).unwrap(),
            go_live: at("2026-11-22T00:00:00Z"),
            after: Interval::new(at("2026-11-22T00:00:00Z"), at("2026-11-24T00:00:00Z")).unwrap(),
            today: at("2026-11-24T17:00:00Z"),
        };
        let text = world.project_toml(&schedule).unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["project"]["stage"]["acceptance"].as_str(), Some("2026-11-25"));
        assert_eq!(table["project"]["site"].as_str(), Some("xinchang-demo"));
        assert_eq!(table["after"]["until"].as_str(), Some("2026-11-24T00:00:00Z"));
        assert_eq!(table["criterion"].as_array().unwrap().len(), 3);
        assert_eq!(table["contract_line"].as_array().unwrap().len(), 3);
        let project = shopfloor::file::project::parse(&text, "project.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(project.id.as_str(), "xc-2026-001");
    }

    #[test]
    fn four_factories_of_the_demo_have_a_project() {
        let from = at("2026-11-20T00:00:00Z");
        let day = |n: i64| Interval::new(from.plus(n * DAY), from.plus((n + 1) * DAY)).unwrap();
        let schedule = Schedule { baseline: day(0), go_live: day(1).start, after: day(1), today: day(2).start };
        let mut found = Vec::new();
        for name in FACTORIES {
            let world = World::new(&Scenario::builtin(name).unwrap(), 1, from, HOUR);
            if let Some(text) = world.project_toml(&schedule) {
                shopfloor::file::project::parse(&text, "project.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
                found.push(name);
            }
        }
        assert_eq!(found, ["demo", "rings", "plastics", "bottles"]);
    }
}
