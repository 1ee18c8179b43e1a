//! `plumbline-sim`: arguments, logging, signals, exit codes. What it does is in [`simulators::commands`].

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shopfloor::time::{Interval, Timestamp};
use simulators::commands::{self, CommandError, Format, Protocol, ReplayOptions, RunOptions};
use simulators::registers::WordOrder;
use tokio_util::sync::CancellationToken;

/// Simulated factories, with the truth about them; recordings behind servers.
#[derive(Parser)]
#[command(name = "plumbline-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Put a scenario behind Modbus TCP and OPC UA servers in real time.
    Run {
        /// demo, small, hundred, or a file ending in .toml.
        #[arg(default_value = "demo")]
        scenario: String,
        /// Seed; the scenario's own if not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Directory to write plant.toml and agent.toml of the site into.
        #[arg(long)]
        files: Option<PathBuf>,
        /// Directory that the written agent.toml names as the agent's own.
        #[arg(long, default_value = "plumbline-agent-state")]
        state_dir: String,
    },
    /// Put a recording behind a server: a table of energy (with --column) or the output of an MTConnect adapter.
    Replay {
        /// The recording.
        file: PathBuf,
        /// Column of the table that holds energy in kWh; rows are 15 minutes each, in the order of the file.
        #[arg(long)]
        column: Option<String>,
        /// Instant at which the table begins.
        #[arg(long, value_parser = instant, default_value = "2018-01-01T00:00:00+09:00")]
        start: Timestamp,
        /// Data item of the adapter to show; may be repeated; all if not given.
        #[arg(long = "key")]
        keys: Vec<String>,
        /// Protocol of the server.
        #[arg(long, value_enum, default_value = "modbus")]
        protocol: Protocol,
        /// Word order of the meter's 32-bit reading: abcd, cdab, badc, dcba.
        #[arg(long, value_parser = word_order, default_value = "abcd")]
        order: WordOrder,
        /// Times real time.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        speed: u32,
        /// Where to listen; a free loopback port if not given.
        #[arg(long)]
        listen: Option<SocketAddr>,
    },
    /// List the built-in scenarios.
    Scenarios,
    /// Tell what is true of a scenario in a window, as JSON.
    Truth {
        /// demo, small, hundred, or a file ending in .toml.
        scenario: String,
        /// Seed; the scenario's own if not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Start of the world; the start of the window if not given.
        #[arg(long, value_parser = instant)]
        start: Option<Timestamp>,
        /// Start of the window, RFC 3339.
        #[arg(long, value_parser = instant)]
        from: Timestamp,
        /// End of the window, RFC 3339.
        #[arg(long, value_parser = instant)]
        until: Timestamp,
        /// One machine only.
        #[arg(long)]
        machine: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            let asked = !message.use_stderr(); // --help and --version
            let shown = message.print();
            return ExitCode::from(if asked && shown.is_ok() { 0 } else { 64 });
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,opcua_server=error,opcua_core=error,opcua_crypto=off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match play(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn play(arguments: Arguments) -> Result<(), CommandError> {
    let mut out = std::io::stdout();
    let format = arguments.format;
    match arguments.command {
        Command::Scenarios => commands::scenarios(&mut out, format),
        Command::Truth { scenario, seed, start, from, until, machine } => {
            let window =
                Interval::new(from, until).ok_or_else(|| CommandError::Usage("--until is before --from".into()))?;
            commands::tell_truth(&mut out, &scenario, seed, start, window, machine.as_deref())
        }
        Command::Run { scenario, seed, files, state_dir } => serve(async |cancel| {
            let options = RunOptions { scenario, seed, files, state_dir, format };
            commands::run(&mut out as &mut dyn Write, &options, cancel).await
        }),
        Command::Replay { file, column, start, keys, protocol, order, speed, listen } => serve(async |cancel| {
            let options = ReplayOptions { file, column, start, keys, protocol, order, speed, listen, format };
            commands::replay(&mut out as &mut dyn Write, &options, cancel).await
        }),
    }
}

/// Runs a server until it ends or somebody interrupts it.
fn serve(work: impl AsyncFnOnce(CancellationToken) -> Result<(), CommandError>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CommandError::Io { what: "start the runtime".into(), source })?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let interrupted = cancel.clone();
        tokio::spawn(async move {
            if let Err(error) = interruption().await {
                tracing::warn!(%error, "an interrupt cannot be waited for; end the program to stop it");
                std::future::pending::<()>().await;
            }
            interrupted.cancel();
        });
        work(cancel).await
    })
}

/// Waits for the keyboard's interrupt or a request to terminate.
#[cfg(unix)]
async fn interruption() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for the keyboard's interrupt.
#[cfg(not(unix))]
async fn interruption() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("{text:?} is not an instant such as 2026-11-25T08:00:00+08:00"))
}

fn word_order(text: &str) -> Result<WordOrder, String> {
    match text.to_ascii_lowercase().as_str() {
        "abcd" => Ok(WordOrder::Abcd),
        "cdab" => Ok(WordOrder::Cdab),
        "badc" => Ok(WordOrder::Badc),
        "dcba" => Ok(WordOrder::Dcba),
        _ => Err(format!("{text:?} is none of abcd, cdab, badc, dcba")),
    }
}
