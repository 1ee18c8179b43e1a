//! `[[work_unit]]` and `[[state_rule]]`: roles, bindings, counters and ideal cycles of a machine.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::super::definition;
use super::super::document::{Table, nearest};
use super::super::duration;
use super::check::Names;
use super::{need_label, optional, when};
use crate::id::{ProductId, TagName, WorkUnitId};
use crate::oee;
use crate::plant::{Binding, CounterPolicy, IdealCycle, ResetPolicy, Role, WorkUnit};
use crate::remark::Remark;
use crate::state::{StateRule, catalog};
use crate::unit::Rational;

/// What a work unit's table needs to know of the rest of the file.
pub struct Context<'c> {
    pub zone: &'c TimeZone,
    pub state_rules: &'c [StateRule],
}

/// The state rules that are written in the file.
pub fn state_rules(root: &Table<'_, '_>, names: &mut Names<'_, '_>) -> Vec<StateRule> {
    let one = |table: &Table<'_, '_>, names: &mut Names<'_, '_>| {
        let rule = definition::state_rule_table(table)?;
        if let Some((id, span)) = table.text("id") {
            names.define_text("state_rule", &id, span);
            if catalog::names().any(|known| known == id) {
                table.problem(
                    "id",
                    format!("state_rule `{id}` is the name of a rule that ships; give this one another"),
                );
            }
        }
        Some(rule)
    };
    root.tables("state_rule").iter().filter_map(|table| one(table, names)).collect()
}

/// Every work unit of the file.
pub fn work_units(
    root: &Table<'_, '_>,
    context: &Context<'_>,
    names: &mut Names<'_, '_>,
    remarks: &mut Vec<Remark>,
) -> Vec<WorkUnit> {
    root.tables("work_unit").iter().filter_map(|table| one(table, context, names, remarks)).collect()
}

fn one(
    table: &Table<'_, '_>,
    context: &Context<'_>,
    names: &mut Names<'_, '_>,
    remarks: &mut Vec<Remark>,
) -> Option<WorkUnit> {
    let id: Option<WorkUnitId> = names.define("work_unit", table);
    let name = need_label(table, "name");
    let name_en = optional(table, "name_en");
    let work_center = table.from_str("work_center");
    names.refer("work_center", work_center.as_ref());
    let calendar = table.need_text("calendar");
    names.refer("calendar", calendar.as_ref());
    let profile = profile(table);
    let state_rule = state_rule(table, context);
    let nanos = |key| table.parsed(key, "a duration such as \"2min\"", duration::parse_nanos).map(|(nanos, _)| nanos);
    let (micro_stop, stale_after) = (nanos("micro_stop"), nanos("stale_after"));
    let roles = roles(table);
    let bindings = table.tables("binding").iter().filter_map(|table| binding(table, context.zone)).collect();
    let counters = counters(table, &roles);
    let ideal_cycles: Vec<IdealCycle> =
        table.tables("ideal_cycle").iter().filter_map(|table| ideal_cycle(table, context.zone, names)).collect();
    table.refuse_others();
    let unit = WorkUnit {
        id: id?,
        name: name?,
        name_en,
        work_center: work_center.map(|(center, _)| center),
        calendar: calendar?.0,
        profile: profile?,
        state_rule: state_rule?,
        roles,
        bindings,
        micro_stop: micro_stop.unwrap_or(0),
        stale_after,
        counters,
        ideal_cycles,
    };
    remarks.extend(notice(&unit));
    Some(unit)
}

fn profile(table: &Table<'_, '_>) -> Option<String> {
    let Some((name, _)) = table.text("profile") else { return Some("iso22400".to_owned()) };
    if oee::profile_names().any(|known| known == name) {
        return Some(name);
    }
    let known: Vec<_> = oee::profile_names().collect();
    table.problem("profile", format!("profile `{name}` does not exist; there is {}", known.join(", ")));
    None
}

fn state_rule(table: &Table<'_, '_>, context: &Context<'_>) -> Option<StateRule> {
    let (name, _) = table.need_text("state_rule")?;
    let own = context.state_rules.iter().find(|rule| rule.id == name).cloned();
    let found = own.or_else(|| catalog::builtin(&name));
    if found.is_none() {
        let own = context.state_rules.iter().map(|rule| rule.id.as_str());
        let known: Vec<&str> = own.chain(catalog::names().map(|name: &str| name)).collect();
        let hint = nearest(&name, known.iter().copied())
            .map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        table.problem("state_rule", format!("state_rule `{name}` does not exist or has problems of its own; {hint}"));
    }
    found
}

fn roles(table: &Table<'_, '_>) -> BTreeMap<Role, TagName> {
    let Some(table) = table.table("role") else { return BTreeMap::new() };
    let found = Role::ALL.into_iter().filter_map(|role| table.from_str(role.code()).map(|(tag, _)| (role, tag)));
    let found = found.collect();
    table.refuse_others();
    found
}

fn binding(table: &Table<'_, '_>, zone: &TimeZone) -> Option<Binding> {
    let agent = super::need_id(table, "agent");
    let (from, until) = (when(table, "from", zone), when(table, "until", zone));
    if let (Some((from, _)), Some((until, _))) = (&from, &until)
        && until <= from
    {
        table.problem("until", "until is not after from");
    }
    table.refuse_others();
    Some(Binding { agent: agent?, from: from.map(|(at, _)| at), until: until.map(|(at, _)| at) })
}

fn counters(table: &Table<'_, '_>, roles: &BTreeMap<Role, TagName>) -> BTreeMap<Role, CounterPolicy> {
    let group = table.table("counter");
    let counter = |role: Role| {
        let table = group.as_ref()?.table(role.code())?;
        let policy = counter(&table, role);
        table.refuse_others();
        Some((role, policy))
    };
    let found: BTreeMap<_, _> = [Role::Produced, Role::Scrap, Role::Energy].into_iter().filter_map(counter).collect();
    if let Some(group) = &group {
        group.refuse_others();
    }
    if roles.contains_key(&Role::Energy) && !found.contains_key(&Role::Energy) {
        let message =
            "an energy tag needs [work_unit.counter.energy] with unit = \"kWh\" (or Wh, MWh); there is no default";
        table.problem("role", message);
    }
    found
}

fn counter(table: &Table<'_, '_>, role: Role) -> CounterPolicy {
    let positive = |text: &str| Rational::parse(text).filter(|number| *number > Rational::ZERO);
    let number = |key, expected| table.parsed(key, expected, positive).map(|(number, _)| number);
    let modulus = number("modulus", "a number above zero such as 65536");
    let mut per_increment = number("per_increment", "a number above zero such as 1").unwrap_or(Rational::ONE);
    if role == Role::Energy {
        let expected = "Wh, kWh or MWh";
        let unit = table.need("unit", expected).then(|| table.parsed("unit", expected, kwh)).flatten();
        per_increment = unit.and_then(|(unit, _)| per_increment.checked_mul(unit)).unwrap_or(per_increment);
    }
    // A counter of pieces steps by one; a meter that shows hundredths says so.
    let resolution = number("resolution", "a number above zero such as 0.01").unwrap_or(Rational::ONE);
    let resolution = resolution.checked_mul(per_increment).unwrap_or(per_increment);
    let maximum_rate = table.table("maximum_rate").and_then(|table| {
        let amount = table.need("amount", "how many").then(|| table.parsed("amount", "a number above zero", positive));
        let per = table
            .need("per", "in what time")
            .then(|| table.parsed("per", "a duration such as \"1min\"", duration::parse));
        table.refuse_others();
        let ((amount, _), (per, _)) = (amount.flatten()?, per.flatten()?);
        let rate = amount.checked_div(per).filter(|rate| *rate > Rational::ZERO);
        if rate.is_none() {
            table.problem("per", "`per` must be longer than nothing");
        }
        rate
    });
    let reset = table.parsed("reset", "never, shift, order or operator", reset).map(|(reset, _)| reset);
    CounterPolicy { modulus, per_increment, resolution, maximum_rate, reset: reset.unwrap_or_default() }
}

fn kwh(unit: &str) -> Option<Rational> {
    match unit {
        "Wh" => Rational::new(1, 1000),
        "kWh" => Some(Rational::ONE),
        "MWh" => Some(Rational::integer(1000)),
        _ => None,
    }
}

fn reset(word: &str) -> Option<ResetPolicy> {
    Some(match word {
        "never" => ResetPolicy::Never,
        "shift" => ResetPolicy::Shift,
        "order" => ResetPolicy::Order,
        "operator" => ResetPolicy::Operator,
        _ => return None,
    })
}

fn ideal_cycle(table: &Table<'_, '_>, zone: &TimeZone, names: &mut Names<'_, '_>) -> Option<IdealCycle> {
    let product = table.need("product", "a product, or \"*\" for all others");
    let product = product.then(|| table.parsed("product", "a product id or \"*\"", any_or_product)).flatten();
    let named = product.clone().and_then(|(product, span)| product.map(|product| (product, span)));
    names.refer("product", named.as_ref());
    let expected = "a duration such as \"4.5s\"";
    let time = table.need("time", expected).then(|| table.parsed("time", expected, duration::parse)).flatten();
    let items = table.integer("items").map_or(1, |(items, _)| items);
    let from = when(table, "from", zone).map(|(from, _)| from);
    table.refuse_others();
    // Zero and negative times are kept: they refuse the indicator, not the collection.
    let per_item = time?.0.checked_div(Rational::integer(i128::from(items)));
    if per_item.is_none() {
        table.problem("items", "`items` must not be zero");
    }
    Some(IdealCycle { product: product?.0, from, per_item: per_item? })
}

#[allow(clippy::option_option)] // no id, and the id of all others
fn any_or_product(text: &str) -> Option<Option<ProductId>> {
    if text == "*" { Some(None) } else { ProductId::from_str(text).ok().map(Some) }
}

/// What a work unit lacks that does not stop collecting.
fn notice(unit: &WorkUnit) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let id = &unit.id;
    if !unit.is_connected() {
        return remarks;
    }
    if unit.bindings.is_empty() {
        let zh = format!("设备 {id} 有点位角色，但没有绑定采集代理");
        remarks.push(Remark::new("no-binding", zh, format!("work unit {id} has roles but no [[work_unit.binding]]")));
    }
    if unit.roles.contains_key(&Role::Produced) && unit.ideal_cycles.is_empty() {
        remarks.push(Remark::new(
            "no-planned-run-time",
            format!("设备 {id} 没有单件计划时间，性能率与 OEE 将无法计算"),
            format!("work unit {id} has no [[work_unit.ideal_cycle]]: effectiveness and OEE will be refused"),
        ));
    }
    for cycle in unit.ideal_cycles.iter().filter(|cycle| cycle.per_item <= Rational::ZERO) {
        let product = cycle.product.as_ref().map_or("*", |product| product.as_str());
        remarks.push(Remark::new(
            "planned-run-time-not-positive",
            format!("设备 {id} 产品 {product} 的单件计划时间为零或负数，性能率与 OEE 将无法计算"),
            format!("work unit {id}, product {product}: the planned run time per item is zero or negative; effectiveness and OEE will be refused"),
        ));
    }
    remarks
}
