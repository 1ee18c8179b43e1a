//! The figures, their floors and their gates, as a table or as JSON.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::flat_out::FlatOut;
use super::paced::Paced;
use super::site::{SCANS, Site, TAGS};

/// CPU-seconds per million samples of the agent, at most.
const AGENT: f64 = 2.0;
/// CPU-seconds per million samples of ingest, at most.
const INGEST: f64 = 1.0;
/// Bytes per sample of a block with everything in it, at most.
const WIRE: f64 = 1.5;

/// All figures of a run.
#[derive(Serialize)]
pub struct Report {
    run: String,
    figures: Vec<Figure>,
}

/// One figure.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    value: f64,
    /// What cannot be left out, measured beside it.
    floor: Option<f64>,
    /// `value` is not above it; a figure without one is only told.
    gate: Option<f64>,
}

impl Report {
    /// Puts the figures of both phases together.
    pub fn new(site: &Site, paced: &Paced, flat_out: &FlatOut) -> Self {
        let [agent, poll, commit, collector, subscribe, broker, _device] = paced.used;
        let (read, stored, taken) = (paced.samples, paced.stored, flat_out.samples);
        let wire = &paced.wire;
        let bytes = |bytes| number(bytes) / number(wire.samples);
        let figures = vec![
            cpu("agent", agent, read).over(poll, read).gate(AGENT),
            cpu("  two reads, one commit", commit, read).over(poll, read),
            cpu("ingest, flat out", flat_out.collector, taken).over(flat_out.subscriber, taken).gate(INGEST),
            told("wire, whole block", "B/sample", bytes(wire.bytes)).gate(WIRE),
            told("  columns alone", "B/sample", bytes(wire.columns)),
            told("  header and signature", "B/sample", bytes(wire.envelope)),
            told("  MQTT before the block", "B/sample", bytes(wire.framing)),
            cpu("collector, paced", collector, stored).over(subscribe, stored),
            cpu("broker, paced", broker, stored),
            cpu("broker, flat out", flat_out.broker, taken),
            told("agent, of one core", "%", number(agent) / number(paced.seconds) / 1e7),
            told("agent, most memory", "MB", number(paced.agent_memory) / 1000.0),
            told("samples not Good", "%", 100.0 * bytes(wire.not_good)),
            told("ingest, flat out", "samples/s", number(taken) / number(flat_out.wall) * 1e9),
        ];
        let run = format!(
            "{} samples of {TAGS} tags of {} device(s) in {} s at {} times 1 Hz, blocks of {SCANS} scans; \
             {} blocks flat out, {} in flight",
            paced.samples, site.devices, paced.seconds, paced.pace, flat_out.blocks, flat_out.window
        );
        Self { run, figures }
    }

    /// Whether no gate is missed.
    pub fn passed(&self) -> bool {
        self.figures.iter().all(|figure| figure.passed() != Some(false))
    }

    /// Prints them.
    pub fn print(&self, json: bool) -> Result<()> {
        let text = if json { serde_json::to_string_pretty(self)? + "\n" } else { self.table() };
        std::io::stdout().write_all(text.as_bytes()).context("print the figures")
    }

    fn table(&self) -> String {
        let mut out = format!("{}\n\n", self.run);
        let (floor, ratio) = ("floor", "ratio");
        let head = format!("{:<24}{:<10}{:>10}{floor:>10}{ratio:>8}{:>8}\n", "figure", "unit", "value", "gate");
        out += &head;
        let cell = |number: Option<f64>, places: usize| number.map_or_else(String::new, |n| format!("{n:.places$}"));
        for figure in &self.figures {
            let places = if figure.value < 1000.0 { 3 } else { 0 };
            let (value, floor) = (cell(Some(figure.value), places), cell(figure.floor, 3));
            let ratio = cell(figure.floor.map(|floor| figure.value / floor), 1);
            let gate = figure.gate.map_or_else(String::new, |gate| format!("≤ {gate:.1}"));
            let verdict = figure.passed().map_or("", |passed| if passed { "  pass" } else { "  MISS" });
            writeln!(out, "{:<24}{:<10}{value:>10}{floor:>10}{ratio:>8}{gate:>8}{verdict}", figure.name, figure.unit)
                .expect("a String takes any text");
        }
        out
    }
}

impl Figure {
    fn passed(&self) -> Option<bool> {
        self.gate.map(|gate| self.value <= gate)
    }

    fn over(self, nanos: u64, samples: u64) -> Self {
        Self { floor: Some(per_million(nanos, samples)), ..self }
    }

    fn gate(self, gate: f64) -> Self {
        Self { gate: Some(gate), ..self }
    }
}

fn told(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, value, floor: None, gate: None }
}

fn cpu(name: &'static str, nanos: u64, samples: u64) -> Figure {
    told(name, "CPU-s/M", per_million(nanos, samples))
}

/// CPU-seconds per million samples.
fn per_million(nanos: u64, samples: u64) -> f64 {
    number(nanos) / number(samples.max(1)) / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_above_its_gate_is_a_miss_and_one_without_a_gate_is_none() {
        let report = |value| Report { run: String::new(), figures: vec![told("wire", "B/sample", value).gate(WIRE)] };
        assert!(report(1.5).passed() && !report(1.501).passed());
        assert!(report(1.6).table().contains("MISS"));
        assert_eq!(told("memory", "MB", 1e9).passed(), None);
        assert!((per_million(2_000_000_000, 1_000_000) - 2.0).abs() < 1e-12);
    }
}
