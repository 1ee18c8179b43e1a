//! `plumbline-audit`: the formulas of shopfloor on an evaluator's laptop. Files in, an answer out, no network.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = match audit::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { audit::exit::USAGE } else { audit::exit::FINE };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(audit::exit::IO) };
        }
    };
    match audit::run(&arguments) {
        Ok(answer) => match std::io::stdout().write_all(answer.text.as_bytes()) {
            Ok(()) => ExitCode::from(answer.code),
            Err(_) => ExitCode::from(audit::exit::IO),
        },
        Err(error) => {
            // With stderr gone as well there is nobody left to tell; the exit code still says it.
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::from(error.code())
        }
    }
}
