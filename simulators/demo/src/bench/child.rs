//! A part of the bench as a process of its own, seen from both sides.
//!
//! A part says `ready` and what the others need to know; it answers `count` with how much it has done; it stops
//! when its standard input ends, so none is left behind, however the bench ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::cpu::Meter;

/// How long a part may take to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running part.
pub struct Part {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    meter: Arc<Meter>,
    ready: Vec<String>,
}

impl Part {
    /// Starts a role with its arguments and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let name = arguments.join(" ");
        let program = std::env::current_exe().context("find this program to run it again")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.context("standard output was asked for")?);
        let meter = Meter::of(child.id());
        let mut part = Self { name, child, input, output, meter, ready: Vec::new() };
        let line = part.line()?;
        let Some(words) = line.strip_prefix("ready") else { bail!("{} says {line:?} and not ready", part.name) };
        part.ready = words.split_whitespace().map(ToOwned::to_owned).collect();
        Ok(part)
    }

    /// What it said when it was ready.
    pub fn said(&self, place: usize) -> Result<&str> {
        self.ready.get(place).map(String::as_str).with_context(|| format!("{} said too little", self.name))
    }

    /// How much it has done: samples, messages or reads.
    pub fn count(&mut self) -> Result<u64> {
        let input = self.input.as_mut().context("the part was not stopped")?;
        writeln!(input, "count").and_then(|()| input.flush()).with_context(|| format!("ask {}", self.name))?;
        let line = self.line()?;
        line.parse().with_context(|| format!("{} counts {line:?}", self.name))
    }

    /// Its meter.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).with_context(|| format!("listen to {}", self.name))?;
        if read == 0 {
            bail!("{} ended before it should", self.name);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Stops it in good order.
    pub fn stop(mut self) -> Result<()> {
        self.input = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("{} ended with {status}", self.name) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} did not stop within {PATIENCE:?}", self.name)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Already gone is as good as killed; nothing else can be done about it here.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The part's own side: says that it is ready, answers, and returns when it shall stop.
pub fn answer(ready: &str, count: impl Fn() -> u64) -> Result<()> {
    say(&format!("ready {ready}"))?;
    for line in std::io::stdin().lines() {
        if line.context("read what is asked")? == "count" {
            say(&count().to_string())?;
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("answer on standard output")
}
