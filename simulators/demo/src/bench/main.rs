//! The bench: what one sample costs the agent, the collector and the wire, beside floors measured in the same run.
//!
//! Each part is a process of its own (this program, run again in a hidden role), so that the kernel says what it
//! used. The first phase polls one hundred tags at a pace and sends blocks down the whole road; the second hands
//! sealed blocks to a collector as fast as it acknowledges them. See `docs/figures.md` for what the figures mean.

mod child;
mod cpu;
mod flat_out;
mod floor;
mod mqtt;
mod paced;
mod plc;
mod report;
mod roles;
mod site;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

/// CPU-seconds per million samples of agent and collector beside a floor, and bytes per sample on the wire.
#[derive(Parser)]
#[command(name = "cargo xtask bench", version)]
struct Arguments {
    /// Seconds that the paced phase is measured for, after a warm-up of five
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many times faster than one scan a second the device, its clock and the agent run: 1, 2, 5 or 10
    #[arg(long, default_value_t = 10)]
    pace: u32,
    /// Behind how many devices the 100 tags are: 1 controller, or 10 cells with a unit id and a connection each
    #[arg(long, default_value_t = 1)]
    devices: u8,
    /// Blocks of 1000 samples that the collector takes in flat out
    #[arg(long, default_value_t = 2000)]
    blocks: u64,
    /// Blocks published and not yet acknowledged by the collector, at most
    #[arg(long, default_value_t = 128)]
    window: u64,
    /// What happens in the factory is drawn from this seed
    #[arg(long, default_value_t = 100)]
    seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<roles::Role>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error,rumqttd=off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match run(arguments) {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<bool> {
    if let Some(role) = arguments.role {
        roles::play(role)?;
        return Ok(true);
    }
    ensure!([1, 2, 5, 10].contains(&arguments.pace), "--pace is 1, 2, 5 or 10, not {}", arguments.pace);
    ensure!([1, 10].contains(&arguments.devices), "--devices is 1 or 10, not {}", arguments.devices);
    ensure!((5..=3600).contains(&arguments.seconds), "--seconds is 5 to 3600, not {}", arguments.seconds);
    ensure!((10..=16_000).contains(&arguments.blocks), "--blocks is 10 to 16000, not {}", arguments.blocks);
    ensure!((1..=150).contains(&arguments.window), "--window is 1 to 150, not {}", arguments.window);
    let site = site::Site::new(arguments.seed, arguments.pace, arguments.devices);
    let paced = paced::measure(&site, arguments.seconds)?;
    let flat_out = flat_out::measure(&site, arguments.blocks, arguments.window)?;
    let report = report::Report::new(&site, &paced, &flat_out);
    report.print(arguments.json)?;
    Ok(report.passed())
}
