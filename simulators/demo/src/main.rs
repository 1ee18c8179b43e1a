//! The demo program. Alone it plays a factory; `agent` and `collector` are what the kill test and the
//! bench run as processes of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use collector::wait::RealWait;
use demo::play;
use tokio_util::sync::CancellationToken;

/// What the demo logs unless `RUST_LOG` says otherwise: our own warnings. The OPC UA and broker libraries call every
/// connection that ends an error; what it means for data the agent and the collector say themselves.
const QUIET: &str = "warn,opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_server=off,rumqttd=off";

/// Twelve simulated factories with everything that Plumbline is, in one process.
#[derive(Parser)]
#[command(name = "cargo xtask demo", version)]
struct Arguments {
    /// What happens in the factories is drawn from this seed
    #[arg(long, default_value_t = 20_261_125)]
    seed: u64,
    /// How many factories, 1 to 12
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=12))]
    factories: u8,
    /// Days of history that fill in behind the live data, half before the projects' go-live and half after; the
    /// factories without a project to judge have at most the last full day; 0 for none
    #[arg(long, default_value_t = 4.0)]
    days: f64,
    /// Where the pages are served; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where everything is kept; a folder that is gone at the end unless this names one
    #[arg(long)]
    state: Option<PathBuf>,
    /// Print `ready ADDRESS` only when the history is filled in (for tests)
    #[arg(long)]
    ready_when_filled: bool,
    #[command(subcommand)]
    command: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// An agent alone
    #[command(hide = true)]
    Agent {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// A collector alone
    #[command(hide = true)]
    Collector {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| QUIET.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    let wait = Arc::new(RealWait::new());
    match arguments.command {
        Some(Role::Agent { config }) => {
            let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
            let config = agent::config::parse(&text, &config.display().to_string())?;
            agent::Agent::start(config, wait, stop.clone()).await?.join().await;
            Ok(())
        }
        Some(Role::Collector { config }) => {
            let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
            let config = collector::config::parse(&text, &config.display().to_string())?;
            collector::Collector::start(config, wait, stop.clone()).await?.join().await;
            Ok(())
        }
        None => {
            let options = play::Options {
                seed: arguments.seed,
                factories: arguments.factories.into(),
                days: arguments.days,
                listen: arguments.listen,
                state: arguments.state,
                ready_when_filled: arguments.ready_when_filled,
            };
            play::play(options, stop).await
        }
    }
}

async fn cancel_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
