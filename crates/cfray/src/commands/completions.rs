//! `cfray completions SHELL`.

use crate::args::Cli;
use crate::diag;
use crate::exit::{Outcome, Status};
use clap::CommandFactory;
use std::io;

/// Writes the script to standard output.
pub fn run(shell: clap_complete::Shell) -> Outcome<Status> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cfray", &mut script);
    diag::write_all(&mut io::stdout().lock(), &script)?;
    Ok(Status::Done)
}
