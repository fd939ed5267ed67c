//! One file a verb.

pub mod analyze;
pub mod audit;
pub mod bundle;
pub mod completions;
pub mod explain;
pub mod formats;
pub mod har;
pub mod man;
pub mod ray;

use crate::args::{Cli, Command};
use crate::exit::{Outcome, Status};

/// Runs the verb.
pub fn run(cli: Cli) -> Outcome<Status> {
    match cli.command {
        Command::Analyze(args) => analyze::run(&args),
        Command::Ray(args) => ray::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Formats(args) => formats::run(&args),
        Command::Har(args) => har::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man => man::run(),
    }
}
