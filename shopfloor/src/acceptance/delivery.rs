//! Delivery, line by line: is what the contract lists really there, and do its data arrive here?

use jiff::civil::Date;

use super::Standing;
use crate::id::{ContractLineId, EquipmentId, WorkUnitId};
use crate::oee::Ratio;
use crate::plant::Networked;
use crate::project::{ContractLine, Project};
use crate::remark::Remark;
use crate::time::Timestamp;
use crate::unit::Rational;

/// What is known of one line of the equipment register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EquipmentFact {
    /// The line of the register.
    pub id: EquipmentId,
    /// Chinese name.
    pub name: String,
    /// What the register says.
    pub networked: Networked,
    /// Who attested it.
    pub attested_by: Option<String>,
    /// When.
    pub attested_at: Option<Date>,
    /// The work unit it is, if it is measured here.
    pub work_unit: Option<WorkUnitId>,
    /// First sample that ever arrived for it.
    pub first_data: Option<Timestamp>,
    /// Newest sample.
    pub last_data: Option<Timestamp>,
    /// Coverage of the window after as far as it is over; `None` while it has not begun.
    pub after_coverage: Option<Ratio>,
}

/// One piece of equipment of a contract line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EquipmentDelivery {
    /// The line of the register.
    pub id: EquipmentId,
    /// What is known of it.
    pub standing: Standing,
    /// First sample that ever arrived for it.
    pub first_data: Option<Timestamp>,
    /// Newest sample.
    pub last_data: Option<Timestamp>,
    /// Coverage of the window after.
    pub coverage: Option<Ratio>,
}

/// One line of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineDelivery {
    /// The line.
    pub line: ContractLineId,
    /// Its equipment, in the order of the file.
    pub equipment: Vec<EquipmentDelivery>,
    /// How many of them are online.
    pub online: u32,
    /// Whether as many are online as the contract says.
    pub delivered: bool,
    /// Why it counts as delivered, or what is missing.
    pub reason: Remark,
}

/// The whole contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Line by line, in the order of the file.
    pub lines: Vec<LineDelivery>,
    /// Whether every line is delivered.
    pub complete: bool,
}

/// Which contract lines are really online. Only data that arrive here count: what another system is said to have
/// networked stays declared.
pub fn deliver(project: &Project, facts: &[EquipmentFact]) -> Delivery {
    let lines: Vec<LineDelivery> = project.contract_lines.iter().map(|line| line_delivery(line, facts)).collect();
    let complete = lines.iter().all(|line| line.delivered);
    Delivery { lines, complete }
}

fn line_delivery(line: &ContractLine, facts: &[EquipmentFact]) -> LineDelivery {
    let one = |id: &EquipmentId| {
        let fact = facts.iter().find(|fact| fact.id == *id);
        EquipmentDelivery {
            id: id.clone(),
            standing: standing(fact),
            first_data: fact.and_then(|fact| fact.first_data),
            last_data: fact.and_then(|fact| fact.last_data),
            coverage: fact.and_then(|fact| fact.after_coverage),
        }
    };
    let equipment: Vec<EquipmentDelivery> = line.equipment.iter().map(one).collect();
    let online = equipment.iter().filter(|item| item.standing == Standing::Online).count();
    let online = u32::try_from(online).unwrap_or(u32::MAX);
    let delivered = online >= line.quantity;
    let reason = if delivered { delivered_in_full(line) } else { missing(line, &equipment, online) };
    LineDelivery { line: line.id.clone(), equipment, online, delivered, reason }
}

fn standing(fact: Option<&EquipmentFact>) -> Standing {
    let Some(fact) = fact else { return Standing::Missing };
    let dark = fact.after_coverage.is_some_and(|coverage| coverage.num <= Rational::ZERO);
    match (fact.first_data, fact.networked) {
        (Some(_), _) if dark => Standing::Silent,
        (Some(_), _) => Standing::Online,
        (None, Networked::Verified | Networked::Declared) => Standing::Declared,
        (None, Networked::None) => Standing::NeverOnline,
    }
}

fn delivered_in_full(line: &ContractLine) -> Remark {
    let (id, quantity) = (&line.id, line.quantity);
    Remark::new(
        "line-delivered",
        format!("合同行 {id}：合同 {quantity} 台，{quantity} 台已联网有数据"),
        format!("contract line {id}: {quantity} contracted, all online with data here"),
    )
}

fn missing(line: &ContractLine, equipment: &[EquipmentDelivery], online: u32) -> Remark {
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    for item in equipment.iter().filter(|item| item.standing != Standing::Online) {
        let standing = item.standing.text();
        zh.push(format!("{} {}", item.id, standing.zh));
        en.push(format!("{} {}", item.id, standing.en));
    }
    let listed = u32::try_from(equipment.len()).unwrap_or(u32::MAX);
    if listed < line.quantity {
        let unlisted = line.quantity - listed;
        zh.push(format!("{unlisted} 台未对应到设备台账"));
        en.push(format!("{unlisted} not matched to the equipment register"));
    }
    let (id, quantity) = (&line.id, line.quantity);
    Remark::new(
        "line-incomplete",
        format!("合同行 {id}：合同 {quantity} 台，{online} 台已联网有数据；{}", zh.join("，")),
        format!("contract line {id}: {quantity} contracted, {online} online with data here; {}", en.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::project;

    fn project(quantity: u32, equipment: &str) -> Project {
        let text = include_str!("../../project.example.toml")
            .replace("quantity = 2", &format!("quantity = {quantity}"))
            .replace("equipment = [\"eq-0001\"]", &format!("equipment = [{equipment}]"));
        project::parse(&text, "project.toml").unwrap()
    }

    fn fact(id: &str, networked: Networked, data: bool, coverage: Option<i128>) -> EquipmentFact {
        let at = data.then(|| Timestamp::from_secs(1));
        EquipmentFact {
            id: id.parse().unwrap(),
            name: id.into(),
            networked,
            attested_by: None,
            attested_at: None,
            work_unit: None,
            first_data: at,
            last_data: at,
            after_coverage: coverage.and_then(|percent| Ratio::new(Rational::integer(percent), Rational::integer(100))),
        }
    }

    fn standings(delivery: &Delivery) -> Vec<&'static str> {
        delivery.lines[0].equipment.iter().map(|item| item.standing.code()).collect()
    }

    #[test]
    fn only_data_that_arrive_here_deliver_a_line() {
        let facts = [
            fact("a", Networked::Verified, true, Some(97)),
            fact("b", Networked::Declared, false, None),
            fact("c", Networked::None, false, None),
            fact("d", Networked::Verified, true, Some(0)),
            fact("e", Networked::None, true, None),
        ];
        let delivery = deliver(&project(6, r#""a", "b", "c", "d", "e", "f""#), &facts);
        assert_eq!(standings(&delivery), ["online", "declared", "never-online", "silent", "online", "missing"]);
        let line = &delivery.lines[0];
        assert!(!line.delivered && !delivery.complete);
        assert_eq!(line.online, 2);
        assert_eq!(line.reason.code, "line-incomplete");
        assert_eq!(
            line.reason.zh,
            "合同行 1.3：合同 6 台，2 台已联网有数据；b 已申报联网，本系统无数据，c 从未联网，d 曾有数据，改造后窗口内无数据，f 台账中没有"
        );
    }

    #[test]
    fn a_line_is_delivered_when_as_many_are_online_as_were_contracted() {
        let facts = [fact("a", Networked::Verified, true, Some(97)), fact("b", Networked::Verified, true, Some(1))];
        let delivery = deliver(&project(2, r#""a", "b""#), &facts);
        assert!(delivery.complete);
        assert_eq!(delivery.lines[0].reason.en, "contract line 1.3: 2 contracted, all online with data here");
        // One that nobody matched to the register is not delivered.
        let delivery = deliver(&project(3, r#""a", "b""#), &facts);
        assert!(!delivery.complete);
        assert!(delivery.lines[0].reason.zh.ends_with("1 台未对应到设备台账"), "{}", delivery.lines[0].reason.zh);
    }
}
