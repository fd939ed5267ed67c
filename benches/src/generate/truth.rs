//! What is true about the failing rows, in the form of the recordings' `truth.csv`.

use super::plan::{Fate, Plan};
use super::row::Row;
use super::text::Text;
use std::ops::Range;

/// First line of the file.
pub const HEADER: &str = "ray_id,edge_status,cause,accept,evidence_substring\n";

/// One line for each failing row of a range.
pub fn lines(plan: &Plan, rows: Range<u64>) -> Text {
    let mut out = Text::default();
    let mut row = Row::default();
    for (number, fate) in plan.failing(rows) {
        row.fill(plan, number);
        let (cause, accept, proof) = match fate {
            Fate::Race { .. } => ("keepalive-race", "", ""),
            Fate::Crash { .. } => ("worker-crash", "", "exited on signal 11"),
            Fate::Dropped => ("rule-dropped", "", "444 0 "),
            Fate::Blocked { .. } => ("client-blocked", "", "444 0 "),
            Fate::HeadersTooLarge => ("headers-too-large", "malformed-response", "200 "),
            Fate::PoolFull => (
                "pool-exhausted",
                "",
                "connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable)||server reached pm.max_children setting",
            ),
            Fate::Timeout => ("timeout-kill", "", "execution timed out"),
            Fate::Ordinary | Fate::BeforeRace { .. } | Fate::Retry { .. } => continue,
        };
        out.hex(row.ray, 16).s(",520,").s(cause).s(",").s(accept).s(",");
        if matches!(fate, Fate::Dropped | Fate::Blocked { .. } | Fate::HeadersTooLarge) {
            // The request line stands in quotes, which CSV doubles.
            out.s("\"\"\"").s(row.method).s(" ").s(&row.uri.bytes).s(" HTTP/1.1\"\" ").s(proof).s("\"\n");
        } else {
            out.s(proof).s("\n");
        }
    }
    out
}
