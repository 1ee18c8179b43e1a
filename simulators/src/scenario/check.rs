//! What a scenario must keep to, so that it can be played and its truth is unambiguous: everything on the quantum,
//! short stops shorter than the threshold, long ones not, every address once.

use std::collections::BTreeSet;

use shopfloor::time::MINUTE;

use super::{Behaviour, Kind, MachineSpec, Scenario, shift_span, within};

impl Scenario {
    /// What is wrong, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_site()?;
        self.check_calendar()?;
        let mut ids = BTreeSet::new();
        let mut units = BTreeSet::new();
        for machine in &self.machines {
            if !ids.insert(machine.id.as_str()) {
                return Err(format!("machine {} stands twice", machine.id));
            }
            if !machine.kind.is_opcua() {
                let taken = if machine.kind == Kind::Dumb { 2 } else { 1 };
                for unit in machine.unit..machine.unit.saturating_add(taken) {
                    if !(1..=247).contains(&unit) || !units.insert((machine.server.as_str(), unit)) {
                        return Err(format!("machine {}: unit id {unit} is taken or outside 1 to 247", machine.id));
                    }
                }
            }
            self.check_machine(machine).map_err(|problem| format!("machine {}: {problem}", machine.id))?;
        }
        let servers = self.servers();
        if servers.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a server holds machines of both protocols; give them servers of their own".into());
        }
        self.check_line_faults(&servers)
    }

    fn check_line_faults(&self, servers: &[(String, bool)]) -> Result<(), String> {
        for fault in &self.line_faults {
            if !servers.iter().any(|(server, _)| *server == fault.server) {
                return Err(format!("line_fault: there is no server {:?}", fault.server));
            }
            if !(0 < fault.lasts && fault.lasts < fault.every) {
                return Err(format!("line_fault of {}: needs 0 < lasts < every", fault.server));
            }
        }
        Ok(())
    }

    fn check_site(&self) -> Result<(), String> {
        if self.schema != 1 {
            return Err(format!("schema {} is unknown; this program reads 1", self.schema));
        }
        if self.site.time_zone != "Asia/Shanghai" {
            return Err(format!("time zone {:?} is not Asia/Shanghai", self.site.time_zone));
        }
        if self.machines.is_empty() || self.shifts.is_empty() {
            return Err("it has no machine or no shift".into());
        }
        if self.quantum_seconds < 1 || MINUTE % self.quantum() != 0 {
            return Err(format!("a quantum of {} s does not divide a minute", self.quantum_seconds));
        }
        Ok(())
    }

    fn check_calendar(&self) -> Result<(), String> {
        for shift in &self.shifts {
            for pause in &shift.breaks {
                let (start, end) = shift_span(shift.start, shift.end);
                let (from, until) = within(start, *pause);
                if until > end || from >= until {
                    return Err(format!("shift {}: a break lies outside it", shift.id));
                }
            }
            if shift.weekdays.iter().any(|day| !(1..=7).contains(day)) {
                return Err(format!("shift {}: weekdays are 1 to 7", shift.id));
            }
        }
        match self.maintenance.iter().find(|m| !(1..=7).contains(&m.weekday) || m.span.end <= m.span.start) {
            Some(_) => Err("maintenance needs a weekday of 1 to 7 and an end after its start on the same day".into()),
            None => Ok(()),
        }
    }

    fn check_machine(&self, machine: &MachineSpec) -> Result<(), String> {
        if machine.products.is_empty() {
            return Err("it makes no product".into());
        }
        for product in &machine.products {
            if product.ideal_seconds == 0 || product.ideal_items == 0 || product.cycle_ms == 0 {
                return Err(format!("product {}: ideal and real cycle must be longer than nothing", product.id));
            }
            if product.scrap_per_mille >= 1000 {
                return Err(format!("product {}: scrap_per_mille is 0 to 999", product.id));
            }
            let number = product.id.as_str().parse::<u16>();
            if matches!(machine.kind, Kind::BearingGrinder | Kind::Loom | Kind::Cell) && number.is_err() {
                return Err(format!("product {} is shown in a register and must be a number up to 65535", product.id));
            }
        }
        if machine.kind == Kind::Dumb && machine.products.len() > 1 {
            return Err("a machine without a protocol cannot tell products apart; give it one".into());
        }
        self.check_behaviour(machine)
    }

    fn check_behaviour(&self, machine: &MachineSpec) -> Result<(), String> {
        let own = machine.behaviour.as_ref();
        for behaviour in [own.unwrap_or(&self.behaviour)].into_iter().chain(self.improved.as_ref()) {
            self.check_spans(machine, behaviour)?;
        }
        Ok(())
    }

    fn check_spans(&self, machine: &MachineSpec, behaviour: &Behaviour) -> Result<(), String> {
        let quantum = self.quantum_seconds;
        let threshold = machine.micro_stop_seconds;
        let span = |what: &str, weight: u32, min: i64, max: i64| {
            if weight > 0 && (min < quantum || max < min || min % quantum != 0 || max % quantum != 0) {
                return Err(format!("{what}: min and max must be multiples of {quantum} s, at least one, in order"));
            }
            Ok(())
        };
        span("run", 1, behaviour.run.min, behaviour.run.max)?;
        let long = [behaviour.breakdown, behaviour.waiting, behaviour.setup, behaviour.no_order];
        for (what, stop) in ["breakdown", "waiting", "setup", "no_order"].into_iter().zip(long) {
            span(what, stop.weight, stop.min, stop.max)?;
            if stop.weight > 0 && stop.min < threshold.max(2 * quantum) {
                return Err(format!("{what}: a stop shorter than {threshold} s would be a minor stop"));
            }
        }
        let short = behaviour.micro_stop;
        span("micro_stop", short.weight, short.min, short.max)?;
        if short.weight > 0 && short.max >= threshold {
            return Err(format!("micro_stop: must be shorter than {threshold} s"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shopfloor::time::SECOND;

    use super::*;
    use crate::scenario::BUILTIN;

    #[test]
    fn a_line_is_cut_in_the_middle_of_its_turn_and_never_before_the_go_live() {
        let scenario = Scenario::builtin("plastics").unwrap();
        let fault = &scenario.line_faults[0];
        let cut = |second: i64| fault.is_cut(second * SECOND);
        assert_eq!(
            [-600, 0, 1499, 1500, 2099, 2100, 3600 + 1500].map(cut),
            [false, false, false, true, true, false, true]
        );
    }

    #[test]
    fn a_line_fault_without_a_server_or_a_whole_stretch_is_refused() {
        let (_, text) = BUILTIN.iter().find(|(name, _)| *name == "plastics").unwrap();
        let refused = |from: &str, to: &str| Scenario::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        let fault = "[[line_fault]]\nserver = \"modbus-a\"";
        let nowhere = refused(fault, "[[line_fault]]\nserver = \"modbus-z\"");
        assert!(nowhere.contains("there is no server \"modbus-z\""), "{nowhere}");
        let always = refused("lasts = 600", "lasts = 3600");
        assert!(always.contains("needs 0 < lasts < every"), "{always}");
    }
}
