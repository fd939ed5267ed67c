//! The command `cfray`. Everything it knows about logs, causes and reports is in the other crates;
//! here are options, messages, exit statuses, and the order in which things happen.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod config;
mod diag;
mod exit;
mod inputs;
mod output;
mod pipeline;
mod plan;
mod progress;
mod rays;
mod signals;
mod text;
mod values;

use clap::Parser;
use exit::Status;
use std::process::ExitCode;

fn main() -> ExitCode {
    cfray_ingest::memory::settle_allocator();
    signals::install();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    commands::run(cli).unwrap_or_else(|failure| diag::error(&failure)).into()
}

/// Help and version go to standard output and are no error; the rest is bad usage.
fn usage(error: &clap::Error) -> Status {
    if error.use_stderr() {
        // `cfray` without a verb asks for help: that text is no message of its own.
        let help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        diag::stderr(&format!("{}{}", if help { "" } else { "cfray: " }, error.render()));
        return Status::Failed;
    }
    match diag::stdout(&error.render().to_string()) {
        Ok(()) => Status::Done,
        Err(failure) => diag::error(&failure),
    }
}
