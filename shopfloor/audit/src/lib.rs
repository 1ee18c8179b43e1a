//! What `plumbline-audit` does: reads a plant.toml and samples from files, and answers with the one calculation.
//!
//! The collector answers the same question by calling the same [`shopfloor::evaluate::work_unit`]; this program
//! exists so that someone who does not trust the collector can ask it elsewhere.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use shopfloor::evaluate::{self, EvaluateError};
use shopfloor::file::duration;
use shopfloor::file::plant::{self, PlantErrors};
use shopfloor::id::WorkUnitId;
use shopfloor::time::{Interval, Timestamp};

mod print;
mod samples;

pub use samples::SampleError;

/// Exit codes, as every Plumbline program uses them.
pub mod exit {
    /// All is well.
    pub const FINE: u8 = 0;
    /// Evidence is incomplete: the OEE is refused or coverage is below the minimum.
    pub const INCOMPLETE: u8 = 2;
    /// Valid, with remarks.
    pub const REMARKS: u8 = 3;
    /// Wrong arguments.
    pub const USAGE: u8 = 64;
    /// Bad input data.
    pub const DATA: u8 = 65;
    /// A file cannot be read or written.
    pub const IO: u8 = 74;
    /// Bad configuration: the plant.toml.
    pub const CONFIGURATION: u8 = 78;
}

/// The formulas of Plumbline on files, offline.
#[derive(Debug, Parser)]
#[command(name = "plumbline-audit", version, about = "Computes from files what the collector computes, offline")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Times, counts and OEE of a work unit over a window.
    Oee(Oee),
}

/// Which window of which work unit, from which files.
#[derive(Debug, clap::Args)]
struct Oee {
    /// The plant.toml of the site.
    #[arg(long)]
    plant: PathBuf,
    /// The work unit, by its id.
    #[arg(long)]
    work_unit: WorkUnitId,
    /// Samples: CSV with a header (tag, at, value; status, stale_after if there) or JSON lines with these keys.
    /// Include what lies before and after the window, or its edges have wide bounds.
    #[arg(long)]
    samples: PathBuf,
    /// First instant of the window, with its offset: 2026-11-25T08:00:00+08:00.
    #[arg(long, value_parser = instant)]
    from: Timestamp,
    /// First instant after the window.
    #[arg(long, value_parser = instant)]
    to: Timestamp,
    /// What is known: samples after this instant are not looked at. Default: everything in the file.
    #[arg(long, value_parser = instant)]
    now: Option<Timestamp>,
    /// How long a sample holds at most where its line does not say, such as 30s.
    #[arg(long, value_parser = nanos)]
    stale_after: Option<i64>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Language of the answer.
    #[arg(long, value_enum, default_value = "zh")]
    lang: Language,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: exact parts beside every value.
    Json,
}

/// Language of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Chinese.
    Zh,
    /// English.
    En,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("{text:?} is no instant; write it with its offset: 2026-11-25T08:00:00+08:00"))
}

fn nanos(text: &str) -> Result<i64, String> {
    duration::parse_nanos(text).ok_or_else(|| format!("{text:?} is no duration; write for example 30s"))
}

/// What to print on stdout, and with which code to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file that cannot be read.
    #[error("read {path}: {source}; give the path of a file that can be read")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A plant.toml with problems.
    #[error("{0}")]
    Plant(#[from] PlantErrors),
    /// A file of samples with a problem.
    #[error("{0}")]
    Samples(#[from] SampleError),
    /// An unknown work unit, or sums that do not fit.
    #[error("{0}")]
    Evaluate(#[from] EvaluateError),
    /// A window that ends before it begins.
    #[error("window from {0} to {1}: it ends before it begins; exchange --from and --to")]
    Window(Timestamp, Timestamp),
}

impl AuditError {
    /// The exit code that says it.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Read { .. } => exit::IO,
            Self::Plant(_) => exit::CONFIGURATION,
            Self::Samples(_) | Self::Evaluate(EvaluateError::Overflow(_)) => exit::DATA,
            Self::Evaluate(_) | Self::Window(..) => exit::USAGE,
        }
    }
}

/// Answers what the arguments ask.
pub fn run(arguments: &Arguments) -> Result<Answer, AuditError> {
    match &arguments.command {
        Command::Oee(oee) => answer(oee),
    }
}

fn answer(oee: &Oee) -> Result<Answer, AuditError> {
    let interval = Interval::new(oee.from, oee.to).ok_or(AuditError::Window(oee.from, oee.to))?;
    let plant = plant::parse(&read(&oee.plant)?, &name(&oee.plant))?;
    let unit = plant.work_unit(&oee.work_unit).ok_or_else(|| EvaluateError::UnknownWorkUnit(oee.work_unit.clone()))?;
    let default = unit.stale_after.or(oee.stale_after);
    let samples = samples::read(&read(&oee.samples)?, &name(&oee.samples), default)?;
    let window = evaluate::span(&plant, interval);
    let now = oee.now.unwrap_or(Timestamp::from_nanos(i64::MAX));
    let result = evaluate::work_unit(&plant, &oee.work_unit, &samples, &window, now)?;
    let text = match oee.format {
        Format::Text => print::text(&result, &plant, oee.lang),
        Format::Json => print::json(&result),
    };
    let incomplete = result.oee.is_refused() || result.remarks.iter().any(|remark| remark.code == "low-coverage");
    let code = match (incomplete, result.remarks.is_empty()) {
        (true, _) => exit::INCOMPLETE,
        (false, false) => exit::REMARKS,
        (false, true) => exit::FINE,
    };
    Ok(Answer { text, code })
}

fn read(path: &Path) -> Result<String, AuditError> {
    std::fs::read_to_string(path).map_err(|source| AuditError::Read { path: name(path), source })
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
