//! The commands of `plumbline-collector`. Results go to stdout, notices to stderr, and the exit code is the answer:
//! 0 fine, 1 the answer is no, 2 incomplete, 64 usage, 65 bad input, 69 unreachable, 74 I/O, 78 bad configuration.

mod agents;
mod check;
mod doctor;
mod import;
mod mirror;
mod project;
mod rebuild;
mod serve;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;
use shopfloor::id::SiteId;
use shopfloor::time::Clock;

use crate::CollectorError;
use crate::config::{self, Config};

/// Takes signed measurements from agents, keeps them, evaluates them and serves them.
#[derive(Debug, Parser)]
#[command(name = "plumbline-collector", version, about)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, default_value = "collector.toml", value_name = "FILE")]
    config: PathBuf,
    /// Form of the answer.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Language of the answer.
    #[arg(long, global = true, value_enum, default_value_t = Lang::Zh)]
    lang: Lang,
    #[command(subcommand)]
    command: Command,
}

/// Form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Language of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// 中文.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The sentence in this language.
    fn say(self, zh: impl Into<String>, en: impl Into<String>) -> String {
        match self {
            Self::Zh => zh.into(),
            Self::En => en.into(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector until it is told to stop.
    Run,
    /// Check the configuration and print the lines that agents need.
    Check,
    /// Import a plant.toml, or an equipment register as XLSX: checked as a whole, compared with the version in force,
    /// appended to the log.
    Import {
        /// The file.
        plant: PathBuf,
        /// Whose register it is, where the file is a spreadsheet.
        #[arg(long, value_name = "ID")]
        site: Option<SiteId>,
        /// Check and compare only.
        #[arg(long)]
        dry_run: bool,
    },
    /// Projects: registration, criteria, verdicts, sheets.
    Project {
        #[command(subcommand)]
        command: project::ProjectCommand,
    },
    /// Write something out for people.
    Export {
        #[command(subcommand)]
        command: ExportCommand,
    },
    /// Say for each agent what is in the log, what is missing, and whether the log holds together.
    Doctor,
    /// Delete what is derived and read the whole log again: hashes, signatures, tree, checkpoints.
    Rebuild,
    /// The copy of samples and results for Grafana users.
    Mirror {
        #[command(subcommand)]
        command: mirror::MirrorCommand,
    },
    /// Agents.
    Agent {
        #[command(subcommand)]
        command: AgentCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    /// The equipment register (设备台账) of a site, as the XLSX sheet that can be imported again.
    Register {
        /// The site.
        #[arg(long, value_name = "ID")]
        site: SiteId,
        /// The file to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// List the enrolled agents.
    List,
}

/// The lines of an answer for people.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

/// What a command answers.
struct Answer {
    exit: u8,
    text: Text,
    json: Value,
}

/// Why a command has no answer.
struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<CollectorError> for Failure {
    fn from(error: CollectorError) -> Self {
        let exit = match &error {
            CollectorError::Broker(_) => 69,
            CollectorError::Key(_) => 78,
            CollectorError::Mirror(error) => mirror::exit(error),
            _ => 74,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<crate::log::LogError> for Failure {
    fn from(error: crate::log::LogError) -> Self {
        Self::new(74, error.to_string())
    }
}

/// Runs a command and gives the exit code.
pub fn run(arguments: &Arguments) -> u8 {
    let answer = match &arguments.command {
        Command::Run => return serve::run(arguments),
        Command::Check => check::check(arguments),
        Command::Import { plant, site, dry_run } => import::run(arguments, plant, site.as_ref(), *dry_run),
        Command::Export { command: ExportCommand::Register { site, output } } => {
            import::export_register(arguments, site, output)
        }
        Command::Project { command } => project::run(arguments, command),
        Command::Doctor => doctor::doctor(arguments),
        Command::Rebuild => rebuild::rebuild(arguments),
        Command::Mirror { command } => mirror::run(arguments, command),
        Command::Agent { command: AgentCommand::List } => agents::list(arguments),
    };
    match answer {
        Ok(answer) => {
            let text = match arguments.format {
                Format::Text => answer.text.0,
                Format::Json => format!("{:#}\n", answer.json),
            };
            print(&text);
            answer.exit
        }
        Err(failure) => fail(arguments, &failure),
    }
}

/// Prints a failure; gives its exit code.
fn fail(arguments: &Arguments, failure: &Failure) -> u8 {
    if arguments.format == Format::Json {
        print(&format!("{:#}\n", serde_json::json!({ "error": failure.message, "exit": failure.exit })));
    }
    // Nothing can be done if stderr is closed.
    drop(writeln!(std::io::stderr(), "plumbline-collector: {}", failure.message));
    failure.exit
}

fn print(text: &str) {
    // A reader that went away, as `head` does, is no failure of ours.
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Reads the configuration file.
fn read_config(path: &Path) -> Result<Config, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(78, format!("read the configuration {name}: {error}; name another with --config"))
    })?;
    config::parse(&text, &name).map_err(|errors| Failure::new(78, errors.to_string()))
}

/// Opens log and ledger beside whatever else runs; nothing is made.
fn open_existing(config: &Config) -> Result<crate::store::Store, Failure> {
    if !config.state_dir.join("origin").exists() {
        let message = format!("no log in {}: run the collector once", config.state_dir.display());
        return Err(Failure::new(74, message));
    }
    Ok(crate::open_store(config, crate::wait::RealWait::new().now())?)
}

/// Ranges as people write them: `4 to 6, 9`.
fn ranges(ranges: &[(u64, u64)]) -> String {
    let one = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}
