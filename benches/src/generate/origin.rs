//! What the origin writes: nginx access log (combined with the ray) and error log, PHP-FPM log.

use super::plan::{Fate, Happening, LONGEST_NS, Plan};
use super::row::Row;
use super::text::{Clock, Text};
use std::ops::Range;

/// Pieces of the origin's three files.
#[derive(Clone, Debug, Default)]
pub struct OriginText {
    /// nginx access log.
    pub access: Text,
    /// nginx error log.
    pub error: Text,
    /// PHP-FPM log.
    pub fpm: Text,
}

/// What is due at a moment: a request that ends, or a line that names none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Happening(usize),
    Row(u64),
}

/// The lines of the time in which `rows` start. All ranges of a set, one after the other, give its files.
pub fn lines(plan: &Plan, rows: Range<u64>) -> OriginText {
    let first = rows.start == 0;
    let last = rows.end >= plan.spec.rows;
    let from = if first { i64::MIN } else { plan.nominal_ns(rows.start) };
    let to = if last { i64::MAX } else { plan.nominal_ns(rows.end) };
    // Requests of earlier rows that end now.
    let earlier = (LONGEST_NS / plan.step_ns()) as u64 + 1;
    let mut due: Vec<(i64, Due)> = Vec::with_capacity((rows.end - rows.start) as usize);
    let mut row = Row::default();
    for number in rows.start.saturating_sub(earlier)..rows.end {
        row.fill(plan, number);
        let end = row.origin_end_ns();
        if row.origin && (from..to).contains(&end) {
            due.push((end, Due::Row(number)));
        }
    }
    let begin = plan.happenings.partition_point(|h| h.0 < from);
    let end = plan.happenings.partition_point(|h| h.0 < to);
    due.extend((begin..end).filter_map(|i| Some((plan.happenings.get(i)?.0, Due::Happening(i)))));
    due.sort_unstable();

    let mut out = OriginText::default();
    let mut clock = Clock::default();
    if first {
        out.fpm.s("[").s(&clock.set(plan.nominal_ns(0)).fpm).s("] NOTICE: fpm is running, pid 14447\n");
        out.fpm.s("[").s(&clock.fpm).s("] NOTICE: ready to handle connections\n");
    }
    for (ns, what) in due {
        clock.set(ns);
        match what {
            Due::Row(number) => {
                row.fill(plan, number);
                out.request(&row, &clock);
            }
            Due::Happening(i) => {
                if let Some((_, happening)) = plan.happenings.get(i) {
                    out.happening(*happening, &clock);
                }
            }
        }
    }
    out
}

impl OriginText {
    fn happening(&mut self, what: Happening, clock: &Clock) {
        match what {
            Happening::WorkerDied { pid } => {
                self.error.s(&clock.error).s(" [alert] 14460#14460: worker process ").n(pid).s(" exited on signal 11 (core dumped)\n");
            }
            Happening::PoolReached => {
                let text = "] WARNING: [pool www] server reached pm.max_children setting (24), consider raising it\n";
                self.fpm.s("[").s(&clock.fpm).s(text);
            }
        }
    }

    fn request(&mut self, row: &Row, clock: &Clock) {
        match row.fate {
            Fate::PoolFull => {
                self.error_line(
                    row,
                    clock,
                    "connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream",
                    true,
                );
            }
            Fate::Timeout => self.timeout(row, clock),
            _ if row.logged_status == 502 => {
                self.error_line(row, clock, "connect() failed (111: Connection refused) while connecting to upstream", true);
            }
            _ if row.logged_status == 403 => self.error_line(row, clock, "access forbidden by rule", false),
            _ if row.warning => self.warning(row, clock),
            _ => {}
        }
        if row.logged_status == 0 {
            return;
        }
        let out = &mut self.access;
        row.write_visitor(out);
        out.s(" - - [").s(&clock.access).s("] \"").s(row.method).s(" ").s(&row.uri.bytes).s(" HTTP/1.1\" ").n(row.logged_status);
        out.s(" ").n(row.body).s(" \"").s(if row.referrer.is_empty() { "-" } else { row.referrer });
        out.s("\" \"").s(row.agent.text).s("\" \"").hex(row.ray, 16).s("-").s(row.colo.code).s("\"\n");
    }

    fn error_line(&mut self, row: &Row, clock: &Clock, message: &str, upstream: bool) {
        let pid = 14_461 + row.number % 8;
        let out = &mut self.error;
        out.s(&clock.error).s(" [error] ").n(pid).s("#").n(pid).s(": *").n(row.number / 3 + 1).s(" ").s(message).s(", client: ");
        row.write_visitor(out);
        out.s(", server: ").s(row.host).s(", request: \"").s(row.method).s(" ").s(&row.uri.bytes).s(" HTTP/1.1\"");
        if upstream {
            out.s(", upstream: \"fastcgi://unix:/run/php/www.sock:\"");
        }
        out.s(", host: \"").s(row.host).s("\"");
        if !row.referrer.is_empty() {
            out.s(", referrer: \"").s(row.referrer).s("\"");
        }
        out.s("\n");
    }

    fn timeout(&mut self, row: &Row, clock: &Clock) {
        let child = 15_000 + row.number % 900;
        let took = 30_000 + row.header_ms % 400;
        let query = row.uri.bytes.get(row.path_len..).unwrap_or_default();
        self.fpm.s("[").s(&clock.fpm).s("] WARNING: [pool www] child ").n(child);
        self.fpm.s(", script '/var/www/shop/public/index.php' (request: \"").s(row.method).s(" /index.php").s(query);
        self.fpm.s("\") execution timed out (30.").n(100 + took % 900).s("412 sec), terminating\n");
        self.fpm.s("[").s(&clock.fpm).s("] WARNING: [pool www] child ").n(child);
        self.fpm.s(" exited on signal 15 (SIGTERM) after ").n(300 + row.number % 900).s(".104655 seconds from start\n");
        self.fpm.s("[").s(&clock.fpm).s("] NOTICE: [pool www] child ").n(child + 1_000).s(" started\n");
        self.error_line(row, clock, "recv() failed (104: Connection reset by peer) while reading response header from upstream", true);
    }

    fn warning(&mut self, row: &Row, clock: &Clock) {
        let key = row.number % 4_000;
        let warning = format!("PHP message: PHP Warning:  Undefined array key {key} in /var/www/shop/lib/catalog.php on line 4");
        let text = format!("FastCGI sent in stderr: \"{warning}\" while reading response header from upstream");
        self.error_line(row, clock, &text, true);
        self.fpm.s("[").s(&clock.fpm).s("] WARNING: [pool www] child ").n(14_450 + row.number % 24);
        self.fpm.s(" said into stderr: \"NOTICE: ").s(warning).s("\"\n");
    }
}
