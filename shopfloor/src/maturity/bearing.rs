//! What the facts of a site say about each item of a model.

use std::collections::{BTreeMap, BTreeSet};

use super::{COVERAGE_MINIMUM, Fact, Item, Model, State, WINDOW_DAYS};
use crate::display::{self, PERCENT_DIGITS, Text, Unit};
use crate::id::WorkUnitId;
use crate::networked::{Counts, Register};
use crate::oee::Ratio;
use crate::plant::Role;
use crate::unit::Rational;

/// What is known of a site over the window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Days of the window: at most [`WINDOW_DAYS`], fewer where data began later.
    pub days: i64,
    /// Its work units that ever sent anything.
    pub units: Vec<UnitFacts>,
    /// Its register, counted.
    pub register: Register,
    /// The sources that its agents declare.
    pub sources: Vec<SourceFact>,
    /// Its blocks.
    pub blocks: BlockFacts,
}

/// One work unit over the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFacts {
    /// The work unit.
    pub id: WorkUnitId,
    /// Whether it is a key-process machine of the register.
    pub key_process: bool,
    /// What its tags are for.
    pub roles: BTreeSet<Role>,
    /// Planned busy time of the whole window, nanoseconds; days without a result count in full.
    pub planned: i128,
    /// The part of it whose state is known.
    pub known: i128,
    /// Days of the window with a settled result.
    pub days: u32,
    /// Of these with an OEE.
    pub oee_days: u32,
    /// Pieces, good pieces and energy of the days that have both of a pair.
    pub amounts: Amounts,
}

/// Sums over days, under the convention, of those days on which both of a pair are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Good pieces and produced pieces.
    pub quality: Option<(Rational, Rational)>,
    /// Energy in kWh and produced pieces.
    pub energy: Option<(Rational, Rational)>,
}

/// A source of an agent: one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFact {
    /// Its protocol, as people call it.
    pub protocol: String,
    /// Whether it is authenticated or encrypted.
    pub is_protected: bool,
}

/// The blocks of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockFacts {
    /// Stored, each with a signature that was verified.
    pub stored: u64,
    /// Missing and not accounted for.
    pub missing: u64,
    /// Stretches of time that are disputed.
    pub disputed: u64,
}

/// What can be said about an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The item.
    pub item: Item,
    /// How far it is known.
    pub state: State,
    /// The fact in words.
    pub value: Option<Text>,
    /// Share of the planned time of the window that the fact rests on.
    pub coverage: Option<Ratio>,
    /// What would settle it, or settle more of it.
    pub settle: Option<Text>,
}

/// What the facts say about each item of a model, in the order of the model.
pub fn assess(model: &Model, facts: &Facts) -> Vec<Answer> {
    model.items.iter().map(|item| answer(item, facts)).collect()
}

struct Said {
    state: State,
    value: Option<Text>,
    coverage: Option<Ratio>,
    settle: Option<Text>,
}

fn answer(item: &Item, facts: &Facts) -> Answer {
    let said = say(item.fact, facts);
    let settle = said.settle.or_else(|| item.settle.clone());
    Answer { item: item.clone(), state: said.state, value: said.value, coverage: said.coverage, settle }
}

fn say(fact: Fact, facts: &Facts) -> Said {
    let units: Vec<&UnitFacts> = facts.units.iter().collect();
    match fact {
        Fact::Tags => tags(facts, &units),
        Fact::Oee => oee(facts, &units),
        Fact::Coverage => over_window(facts, &units, coverage_text(&units), None),
        Fact::KeyCounts => key(facts, Role::Produced, &Text::new("自动计数", "counted automatically")),
        Fact::KeyScrap => key(facts, Role::Scrap, &Text::new("自动统计不良品", "with automatic scrap counts")),
        Fact::KeyNetworked => three(facts.register.key_process, true),
        Fact::Networked | Fact::Digital => three(facts.register.counts, false),
        Fact::Protocols => protocols(&facts.sources),
        Fact::Integrity => integrity(facts.blocks),
        Fact::Roles => roles(facts, &units),
        Fact::Sources => sources(&facts.sources),
        Fact::Security => security(&facts.sources),
        Fact::Meters => with_role(facts, &[Role::Energy], &Text::new("有电能表数据", "with meter readings"))
            .but_settle(Text::new(
                "在台账登记应装的计量器具，才知道是否装齐",
                "register the meters that should exist, so that it is known whether all are there",
            )),
        Fact::UnitEnergy => {
            quotient(facts, &units, |unit| unit.amounts.energy, Unit::KwhPerPiece, &[Role::Energy, Role::Produced])
        }
        Fact::Counts => with_role(facts, &[Role::Produced], &Text::new("产量自动采集", "with output counts")),
        Fact::Scrap => with_role(facts, &[Role::Scrap], &Text::new("不良品自动采集", "with scrap counts")),
        Fact::States => with_role(facts, &TELLS_STATE, &Text::new("状态自动采集", "with states")),
        Fact::Quality => {
            quotient(facts, &units, |unit| unit.amounts.quality, Unit::Share, &[Role::Produced, Role::Scrap])
        }
        Fact::None => unknown(None),
    }
}

/// Roles that tell what a machine does.
const TELLS_STATE: [Role; 3] = [Role::State, Role::Running, Role::Power];

fn unknown(settle: Option<Text>) -> Said {
    Said { state: State::Unknown, value: None, coverage: None, settle }
}

impl Said {
    fn but_settle(mut self, settle: Text) -> Self {
        self.settle = self.settle.or(Some(settle));
        self
    }
}

fn data_first() -> Text {
    Text::new("先要有一个已结算的完整日的数据", "data of a full day that has settled come first")
}

fn role_first(roles: &[Role]) -> Text {
    let zh: Vec<&str> = roles.iter().map(|role| role_zh(*role)).collect();
    let en: Vec<&str> = roles.iter().map(|role| role.code()).collect();
    Text::new(format!("接入{}点位", zh.join("、")), format!("connect tags for {}", en.join(", ")))
}

fn whole_days() -> Text {
    Text::new(
        "计数器全天读数无缺口的日子才计入，至少要有一天",
        "days on which the counters were read without a gap count, and there is none yet",
    )
}

const fn role_zh(role: Role) -> &'static str {
    match role {
        Role::State | Role::Mode | Role::Running | Role::Fault | Role::Setup => "状态",
        Role::Produced => "产量",
        Role::Scrap => "不良品数",
        Role::Energy => "电能",
        Role::Power => "功率",
        Role::Product => "产品",
    }
}

fn coverage(units: &[&UnitFacts]) -> Option<Ratio> {
    let sum = |of: fn(&UnitFacts) -> i128| units.iter().map(|unit| of(unit)).sum::<i128>();
    Ratio::new(Rational::integer(sum(|unit| unit.known)), Rational::integer(sum(|unit| unit.planned)))
}

fn coverage_text(units: &[&UnitFacts]) -> Option<Text> {
    let share = display::percent(coverage(units)?.value(), PERCENT_DIGITS);
    Some(Text::new(
        format!("计划生产时间中 {share} 有已知状态"),
        format!("the state is known for {share} of the planned time"),
    ))
}

/// A fact of some work units over the window: measured if enough of their planned time in it is known. What is
/// measured over a shorter window than a requirement needs says so.
fn over_window(facts: &Facts, units: &[&UnitFacts], value: Option<Text>, more: Option<Text>) -> Said {
    let Some(found) = coverage(units) else { return unknown(Some(data_first())) };
    let minimum = Rational::new(COVERAGE_MINIMUM.0, COVERAGE_MINIMUM.1).unwrap_or(Rational::ONE);
    let days = facts.days;
    if found.value() >= minimum {
        let short = (days < WINDOW_DAYS).then(|| {
            Text::new(
                format!("已有 {days} 天，满 {WINDOW_DAYS} 天才成立"),
                format!("{days} days so far; it takes {WINDOW_DAYS} days to hold"),
            )
        });
        return Said { state: State::Measured, value, coverage: Some(found), settle: more.or(short) };
    }
    let (have, need) = (display::percent(found.value(), PERCENT_DIGITS), display::plain_percent(minimum));
    let settle = Text::new(
        format!("连续 {WINDOW_DAYS} 天覆盖率达到 {need}（{days} 天中现为 {have}）"),
        format!("{WINDOW_DAYS} days on end with a coverage of {need} (now {have} of {days} days)"),
    );
    Said { state: State::Unknown, value, coverage: Some(found), settle: Some(settle) }
}

fn tags(facts: &Facts, units: &[&UnitFacts]) -> Said {
    let (tags, machines) = (units.iter().map(|unit| unit.roles.len()).sum::<usize>(), units.len());
    let value = Text::new(format!("{machines} 台设备，{tags} 个点位"), format!("{machines} machines, {tags} tags"));
    over_window(facts, units, Some(value), None)
}

fn oee(facts: &Facts, units: &[&UnitFacts]) -> Said {
    let with: Vec<&UnitFacts> = units.iter().copied().filter(|unit| unit.oee_days > 0).collect();
    if with.is_empty() {
        let roles = [Role::Produced, Role::Scrap];
        let counts = units.iter().any(|unit| roles.iter().all(|role| unit.roles.contains(role)));
        return unknown(Some(if units.is_empty() || counts { data_first() } else { role_first(&roles) }));
    }
    let days: u32 = with.iter().map(|unit| unit.oee_days).sum();
    let (have, all) = (with.len(), units.len());
    let value = Text::new(
        format!("{all} 台设备中 {have} 台有结果，共 {days} 个设备日"),
        format!("{have} of {all} machines have results, {days} machine-days"),
    );
    let more = (have < all).then(|| role_first(&[Role::Produced, Role::Scrap]));
    over_window(facts, &with, Some(value), more)
}

/// Key-process machines of the register whose work unit has a role. The register says how many there are.
fn key(facts: &Facts, role: Role, what: &Text) -> Said {
    let all = facts.register.key_process.total();
    if all == 0 {
        return unknown(Some(Text::new("在台账标明关键工序设备", "mark the key-process machines in the register")));
    }
    let with: Vec<_> = facts.units.iter().filter(|unit| unit.key_process && unit.roles.contains(&role)).collect();
    counted(facts, &with, all, what, &[role])
}

/// Work units with one of the roles, of all machines of the register.
fn with_role(facts: &Facts, roles: &[Role], what: &Text) -> Said {
    let has = |unit: &&UnitFacts| roles.iter().any(|role| unit.roles.contains(role));
    let with: Vec<_> = facts.units.iter().filter(has).collect();
    counted(facts, &with, facts.register.counts.total(), what, &roles[..1])
}

fn counted(facts: &Facts, with: &[&UnitFacts], all: u32, what: &Text, roles: &[Role]) -> Said {
    if with.is_empty() {
        return unknown(Some(role_first(roles)));
    }
    let have = with.len();
    let value =
        Text::new(format!("台账 {all} 台中 {have} 台{}", what.zh), format!("{have} of {all} machines {}", what.en));
    let left = usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(have);
    let more = (left > 0).then(|| {
        let roles = role_first(roles);
        Text::new(format!("其余 {left} 台{}", roles.zh), format!("{} of the other {left}", roles.en))
    });
    over_window(facts, with, Some(value), more)
}

/// Three counts: what others say is declared, whatever was seen of the rest.
fn three(counts: Counts, key: bool) -> Said {
    let Counts { verified, declared, .. } = counts;
    if counts.total() == 0 {
        let settle = if key {
            Text::new("在台账标明关键工序设备", "mark the key-process machines in the register")
        } else {
            Text::new("导入设备台账", "import the equipment register")
        };
        return unknown(Some(settle));
    }
    let state = if declared == 0 && verified > 0 { State::Measured } else { State::Attested };
    let settle = (declared > 0).then(|| {
        Text::new(
            format!("{declared} 台已申报的设备向本系统发来数据"),
            format!("data of the {declared} declared machines arrive here"),
        )
    });
    Said { state, value: Some(counts.text()), coverage: None, settle }
}

fn protocols(sources: &[SourceFact]) -> Said {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        *counts.entry(&source.protocol).or_default() += 1;
    }
    if counts.is_empty() {
        return unknown(Some(data_first()));
    }
    let list = |of: &str| counts.iter().map(|(name, count)| format!("{name} {count} {of}")).collect::<Vec<_>>();
    let value = Text::new(list("个数据源").join("，"), list("sources").join(", "));
    Said { state: State::Measured, value: Some(value), coverage: None, settle: None }
}

fn sources(sources: &[SourceFact]) -> Said {
    if sources.is_empty() {
        return unknown(Some(data_first()));
    }
    let n = sources.len();
    let value = Text::new(format!("{n} 个数据源有数据"), format!("data of {n} sources arrive"));
    let settle = Text::new(
        "接入 MES、ERP 等系统的工单，才能看到跨系统的数据流",
        "connect orders of MES or ERP to see flows between systems",
    );
    Said { state: State::Measured, value: Some(value), coverage: None, settle: Some(settle) }
}

fn security(sources: &[SourceFact]) -> Said {
    if sources.is_empty() {
        return unknown(Some(data_first()));
    }
    let (all, safe) = (sources.len(), sources.iter().filter(|source| source.is_protected).count());
    let value = Text::new(
        format!("{all} 个数据源中 {safe} 个有鉴别或加密"),
        format!("{safe} of {all} sources are authenticated or encrypted"),
    );
    let settle = (safe < all).then(|| {
        Text::new(
            "为其余数据源启用鉴别或加密，或说明网络隔离",
            "protect the other sources, or show that their network is apart",
        )
    });
    Said { state: State::Measured, value: Some(value), coverage: None, settle }
}

fn integrity(blocks: BlockFacts) -> Said {
    let BlockFacts { stored, missing, disputed } = blocks;
    if stored == 0 {
        return unknown(Some(data_first()));
    }
    let value = Text::new(
        format!("{stored} 个数据块签名有效，缺 {missing} 个，有争议 {disputed} 段"),
        format!("{stored} blocks with valid signatures, {missing} missing, {disputed} stretches disputed"),
    );
    let whole = missing == 0 && disputed == 0;
    let settle =
        (!whole).then(|| Text::new("补齐或说明缺失与争议", "deliver or account for what is missing or disputed"));
    let state = if whole { State::Measured } else { State::Unknown };
    Said { state, value: Some(value), coverage: None, settle }
}

fn roles(facts: &Facts, units: &[&UnitFacts]) -> Said {
    let with = |roles: &[Role]| units.iter().filter(|unit| roles.iter().any(|role| unit.roles.contains(role))).count();
    let (states, pieces, energy) = (with(&TELLS_STATE), with(&[Role::Produced]), with(&[Role::Energy]));
    let value = Text::new(
        format!("{states} 台设备的状态、{pieces} 台的产量、{energy} 台的电能自动采集"),
        format!("states of {states} machines, output of {pieces}, energy of {energy} are acquired automatically"),
    );
    over_window(facts, units, Some(value), None)
}

/// Sums over sums of the work units that have both.
fn quotient(
    facts: &Facts,
    units: &[&UnitFacts],
    of: fn(&UnitFacts) -> Option<(Rational, Rational)>,
    unit: Unit,
    roles: &[Role],
) -> Said {
    let with: Vec<&UnitFacts> = units.iter().copied().filter(|unit| of(unit).is_some()).collect();
    let sum = with.iter().filter_map(|unit| of(unit)).map(Some).reduce(|a, b| {
        let ((a, c), (b, d)) = (a?, b?);
        Some((a.checked_add(b)?, c.checked_add(d)?))
    });
    let ratio = sum.flatten().and_then(|(num, den)| Ratio::new(num, den));
    let Some(ratio) = ratio else {
        let reads = units.iter().any(|unit| roles.iter().all(|role| unit.roles.contains(role)));
        return unknown(Some(if reads { whole_days() } else { role_first(roles) }));
    };
    let (figure, n) = (display::figure(ratio.value(), unit), with.len());
    let value = Text::new(format!("{}（{n} 台设备）", figure.zh), format!("{} ({n} machines)", figure.en));
    over_window(facts, &with, Some(value), None)
}

#[cfg(test)]
mod tests {
    use super::super::models;
    use super::*;

    fn unit(known: i128, roles: &[Role]) -> UnitFacts {
        let whole = |n: i128| Rational::integer(n);
        UnitFacts {
            id: "grinder-01".parse().unwrap(),
            key_process: true,
            roles: roles.iter().copied().collect(),
            planned: 1000,
            known,
            days: 30,
            oee_days: 22,
            amounts: Amounts { quality: Some((whole(990), whole(1000))), energy: Some((whole(125), whole(1000))) },
        }
    }

    fn facts(known: i128) -> Facts {
        let counts = Counts { verified: 1, declared: 2, none: 0 };
        let key_process = Counts { verified: 1, declared: 0, none: 0 };
        Facts {
            days: 30,
            units: vec![unit(known, &[Role::State, Role::Produced, Role::Scrap, Role::Energy])],
            register: Register { counts, key_process, ..Register::default() },
            sources: vec![SourceFact { protocol: "Modbus TCP".into(), is_protected: false }],
            blocks: BlockFacts { stored: 100, missing: 0, disputed: 0 },
        }
    }

    fn find(facts: &Facts, id: &str) -> Answer {
        let answers = models().iter().flat_map(|model| assess(model, facts)).collect::<Vec<_>>();
        answers.into_iter().find(|answer| answer.item.id == id).unwrap()
    }

    #[test]
    fn a_fact_holds_over_the_window_or_says_what_is_missing() {
        let answer = find(&facts(950), "equipment-oee");
        assert_eq!((answer.state, answer.settle), (State::Measured, None));
        assert_eq!(answer.value.unwrap().zh, "1 台设备中 1 台有结果，共 22 个设备日");
        let answer = find(&facts(949), "equipment-oee");
        assert_eq!(answer.state, State::Unknown);
        assert_eq!(answer.settle.unwrap().zh, "连续 30 天覆盖率达到 95 %（30 天中现为 94.90 %）");
        let short = find(&Facts { days: 4, ..facts(950) }, "equipment-oee");
        assert_eq!(short.state, State::Measured);
        assert_eq!(short.settle.unwrap().zh, "已有 4 天，满 30 天才成立");
    }

    #[test]
    fn what_others_say_is_declared_and_never_one_share() {
        let answer = find(&facts(1000), "equipment-networked");
        assert_eq!(answer.state, State::Attested);
        let value = answer.value.unwrap();
        assert_eq!(value.zh, "1 已核验 / 2 已申报 / 0 未联网（共 3 台）");
        assert!(!value.zh.contains('%'));
        assert_eq!(find(&facts(1000), "equipment-key-networked").state, State::Measured);
    }

    #[test]
    fn nothing_known_is_unknown_and_says_what_comes_first() {
        for model in models() {
            for answer in assess(&model, &Facts::default()) {
                assert_eq!(answer.state, State::Unknown, "{}", answer.item.id);
                assert!(answer.settle.is_some() && answer.value.is_none(), "{}", answer.item.id);
            }
        }
    }

    #[test]
    fn sums_are_divided_once_and_missing_blocks_are_not_whole() {
        assert_eq!(find(&facts(1000), "outcome-quality").value.unwrap().zh, "99.00 %（1 台设备）");
        assert_eq!(find(&facts(1000), "energy-per-piece").value.unwrap().en, "0.1250 kWh/piece (1 machines)");
        let mut lossy = facts(1000);
        lossy.blocks.missing = 3;
        let answer = find(&lossy, "network-integrity");
        assert_eq!(answer.state, State::Unknown);
        assert!(answer.value.unwrap().zh.contains("缺 3 个"));
    }

    #[test]
    fn no_answer_of_an_unverified_model_has_a_level_or_a_total() {
        for facts in [Facts::default(), facts(1000), facts(10)] {
            for model in models() {
                let shown = format!("{:?}", assess(&model, &facts));
                for word in ["一级", "二级", "三级", "四级", "五级", "等级", "总分", "得分", "达标", "level ", "score"]
                {
                    assert!(!shown.contains(word), "{word}");
                }
            }
        }
    }
}
