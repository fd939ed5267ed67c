//! lighttpd's error log: how the server starts and stops (`src/server.c` of 1.4.15 to 1.4.85).
//!
//! SIGTERM closes every connection at once. SIGINT, SIGUSR1 and SIGHUP with restart say `graceful shutdown started`
//! first, let requests end, and then say that the server stopped, too.

use super::table::{Pattern, Table, process};
use cfray_model::{Line, Sig, SigHit};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of a lighttpd error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    TABLE.find(line, &line.message)
}

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    process(Sig::LighttpdStop, r"^server stopped(?: by UID ?= ?\d+,? PID ?= ?\d+| after idle timeout)? *$"),
    process(Sig::LighttpdGraceful, r"^\[note\] graceful shutdown started(?: by UID ?= ?\d+,? PID ?= ?\d+)? *$"),
    process(Sig::LighttpdStart, r"^server started(?: \([!-'*-~]+\))? *$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }
}
