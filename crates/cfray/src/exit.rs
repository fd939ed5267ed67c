//! Exit statuses, and failures that say what, where, why and what to do.

use std::fmt;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Done.
    Done,
    /// Done, and what `--fail-on` names was found; for `cfray ray`: the ray is nowhere.
    Found,
    /// Could not do it, or `--strict` found something unreadable.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Found => 1,
            Status::Failed => 2,
        })
    }
}

/// Why a command could not do it. The parts are kept apart so that none is forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What could not be done, and where: "cannot write reports/today.csv".
    what: String,
    /// Why: "no such directory".
    why: String,
    /// What to do about it; empty when the reason says it.
    help: String,
}

impl Failure {
    /// A failure without advice.
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string(), help: String::new() }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        for line in self.help.lines() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// What most of the command returns.
pub type Outcome<T> = Result<T, Failure>;
