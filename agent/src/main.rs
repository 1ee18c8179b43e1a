//! `plumbline-agent`: arguments, logging, signals; then the library.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use agent::Agent;
use agent::command::{self, Answer, Format};
use agent::config::{self, Config, Lang};
use agent::recorder::error_chain;
use agent::wait::RealTime;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Reads equipment, keeps what it read on disk, publishes it; never writes to equipment.
#[derive(Parser)]
#[command(name = "plumbline-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Configuration file.
    #[arg(long, global = true, default_value = "agent.toml", env = "PLUMBLINE_AGENT_CONFIG")]
    config: PathBuf,
    /// How answers are written.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// Language of answers.
    #[arg(long, global = true, value_enum, default_value_t)]
    lang: Lang,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT.
    Run,
    /// Show the configuration as understood, or everything that is wrong with it.
    Check,
    /// Make the key, print the lines for the collector's configuration.
    Init,
    /// Show which requests fetch which tags.
    Plan,
    /// Show what waits in the queue (of an agent that is not running).
    Queue,
    /// Look at key, queue, broker and the ports of the sources.
    Doctor,
}

/// What is logged unless RUST_LOG says otherwise. The OPC UA client complains at every connect that it has no
/// certificate, which it needs for no connection that this agent makes; what fails is reported by the source itself.
const LOG: &str = "info,opcua_crypto::certificate_store=off,opcua_core::comms::secure_channel=off,\
                   opcua_client::session::client=off,opcua_client::config=off";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 64 } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(74) };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOG.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let name = arguments.config.display().to_string();
    let text = match std::fs::read_to_string(&arguments.config) {
        Ok(text) => text,
        Err(error) => return say(&Answer { text: String::new(), code: 78 }, &format!("reading {name}: {error}\n")),
    };
    let config = match config::parse(&text, &name) {
        Ok(config) => config,
        Err(errors) => {
            return say(&Answer { text: String::new(), code: 78 }, &format!("{}\n", errors.render(arguments.lang)));
        }
    };
    // One thread reads all equipment: its wake-ups are what an agent costs. Disk and publisher have threads of their own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(&Answer { text: String::new(), code: 74 }, &format!("starting threads: {error}\n")),
    };
    let answer = match arguments.command {
        Command::Run => runtime.block_on(run(config)),
        Command::Check => command::check(&config, arguments.format, arguments.lang),
        Command::Init => command::init(&config, arguments.format),
        Command::Plan => command::plan(&config, arguments.format),
        Command::Queue => command::queue(&config, arguments.format),
        Command::Doctor => runtime.block_on(command::doctor(&config, arguments.format)),
    };
    say(&answer, "")
}

async fn run(config: Config) -> Answer {
    let stop = CancellationToken::new();
    let agent = match Agent::start(config, Arc::new(RealTime::new()), stop.clone()).await {
        Ok(agent) => agent,
        Err(error) => return Answer { text: format!("{}\n", error_chain(&error)), code: 74 },
    };
    tracing::info!(key = %agent.public_key(), health = ?agent.health_addr(), "running");
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    if let (Ok(mut terminate), Ok(mut interrupt)) = signals {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tracing::info!("stopping");
    stop.cancel();
    agent.join().await;
    Answer { text: String::new(), code: 0 }
}

fn say(answer: &Answer, notice: &str) -> ExitCode {
    let out = std::io::stdout().write_all(answer.text.as_bytes());
    let err = std::io::stderr().write_all(notice.as_bytes());
    if out.and(err).is_ok() { ExitCode::from(answer.code) } else { ExitCode::from(74) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_chinese_unless_english_is_asked_for() {
        let lang = |arguments: &[&str]| Arguments::try_parse_from(arguments).unwrap().lang;
        assert_eq!(lang(&["plumbline-agent", "check"]), Lang::Zh);
        assert_eq!(lang(&["plumbline-agent", "check", "--lang", "en"]), Lang::En);
    }
}
