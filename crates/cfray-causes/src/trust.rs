//! Which lines may be a client's own words, and what has to stand beside them.
//!
//! nginx, PHP and PHP-FPM write some text as it comes: decoded paths, standard error of applications. Whoever can put a
//! line break into such text can write whole lines that differ in no byte from the server's own. Two things a forger
//! cannot give: other lines of the process that a line claims to be from, and a trace that does not come from text (an
//! access line, silence under coverage, edge timing, the kernel, another file).

use crate::join::World;
use crate::join::world::Ev;
use crate::rule::{Case, Finding};
use cfray_model::{Cause, EvidenceKind, OriginEvent, Sig, SourceScan, Stack};
use std::collections::{BTreeSet, HashSet};

/// Most that is believed of lines that clients can write, as long as nothing else speaks for the cause.
pub const RAW_ALONE: f64 = 0.4;

/// What is said to be missing then.
const SECOND_TRACE: &str = "a second trace: a client may have written the line itself (the kernel's log, further lines of the same process, \
    or an access log that covers the moment would tell)";

/// Messages about a process, which the process or its parent writes under its own id.
const BY_PROCESS: &[Sig] = &[
    Sig::NginxWorkerSignal,
    Sig::NginxWorkerFatal,
    Sig::NginxStop,
    Sig::NginxReload,
    Sig::WorkerConnections,
    Sig::ReusingConnections,
    Sig::AcceptFailed,
    Sig::ApacheChildSignal,
    Sig::ApacheFatal,
    Sig::ApacheMaxWorkers,
    Sig::ApacheStop,
    Sig::ApacheReload,
];
/// Of these, what only the parent of all workers says.
const BY_PARENT: &[Sig] = &[Sig::NginxWorkerSignal, Sig::NginxWorkerFatal, Sig::ApacheChildSignal, Sig::ApacheFatal];
/// Messages of PHP, which repeat what applications pass on.
const BY_APPLICATION: &[Sig] = &[Sig::PhpFatal, Sig::PhpMemory, Sig::PhpTime, Sig::PhpTrace, Sig::PhpOther];

/// Lines that other processes of a server wrote under a process id: about connections, about processes.
fn lines_of<'a>(scans: impl Iterator<Item = &'a SourceScan>, pid: u64) -> (u64, u64) {
    scans.filter_map(|s| s.writers.get(&pid)).fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1))
}

/// Does the line say what only the parent can know, under the id of a process that serves connections? Then it is
/// not the server's.
pub fn contradicted<'a>(e: &OriginEvent, scans: impl Iterator<Item = &'a SourceScan>) -> bool {
    let claims = e.sig.as_ref().is_some_and(|h| BY_PARENT.contains(&h.sig)) && matches!(e.stack, Stack::Nginx | Stack::Apache);
    let Some(pid) = e.pid.get().filter(|_| claims) else { return false };
    let (connections, processes) = lines_of(scans, pid);
    connections > processes
}

/// May the line be a client's own words, as far as its file tells?
fn doubted<'a>(e: &OriginEvent, scan: &SourceScan, scans: impl Iterator<Item = &'a SourceScan>) -> bool {
    let Some(hit) = &e.sig else { return false };
    if BY_APPLICATION.contains(&hit.sig) {
        return e.raw_text;
    }
    if BY_PROCESS.contains(&hit.sig) {
        return e.pid.get().is_some_and(|pid| {
            let (connections, processes) = lines_of(scans, pid);
            // The line itself is one of them, unless it reports a death.
            connections + processes < if BY_PARENT.contains(&hit.sig) { 1 } else { 2 }
        });
    }
    // Where children print raw into FPM's log, they can print lines of FPM's.
    e.stack == Stack::Fpm && scan.unstamped > 0
}

/// Every doubted event that may become evidence, by scan and line.
pub fn all<'a, S: Iterator<Item = &'a SourceScan>>(evs: &[Ev], scans: &[SourceScan], beside: impl Fn(usize) -> S) -> HashSet<(usize, u64)> {
    evs.iter()
        .filter(|ev| scans.get(ev.scan).is_some_and(|scan| doubted(&ev.e, scan, beside(ev.server))))
        .map(|ev| (ev.scan, ev.e.at.line))
        .collect()
}

/// Lowers a finding whose lines may all be a client's own words.
pub fn weigh(c: &Case<'_>, finding: &mut Finding) {
    if finding.score <= RAW_ALONE || c.w.doubted.is_empty() || second_trace(c, finding) {
        return;
    }
    finding.score = RAW_ALONE;
    finding.missing.push(SECOND_TRACE.into());
}

/// Was the finding lowered so?
pub fn alone(finding: &Finding) -> bool {
    finding.missing.iter().any(|what| what == SECOND_TRACE)
}

fn second_trace(c: &Case<'_>, finding: &Finding) -> bool {
    let mut files: BTreeSet<&str> = BTreeSet::new();
    // How the request was logged says what became of it, not why.
    let access = c.access.map(|a| (c.w.source_name(a.1), a.1.e.at.line));
    let is_access = |source: &str, line: Option<u64>| access.is_some_and(|(s, l)| s == source && Some(l) == line);
    for item in finding.evidence.iter().filter(|item| item.kind == EvidenceKind::Line && !is_access(&item.source, item.line)) {
        if !is_doubted(c.w, &item.source, item.line) {
            return true;
        }
        files.insert(&item.source);
    }
    if files.is_empty() || files.len() >= 2 {
        return true;
    }
    // A line about a process is borne out by requests that it cut off; one of an application by what became of
    // its request.
    let about_application = matches!(finding.cause, Cause::AppFatal | Cause::PluginFault);
    c.silent() || if about_application { c.access.is_some() } else { c.access.is_none() && cut_together(c) }
}

fn is_doubted(w: &World, source: &str, line: Option<u64>) -> bool {
    let Some(line) = line else { return false };
    w.scans.iter().enumerate().any(|(i, s)| s.info.name == source && w.doubted.contains(&(i, line)))
}

/// Did other requests to the same origin end in the very same moment?
fn cut_together(c: &Case<'_>) -> bool {
    const SAME_MOMENT_MS: i64 = 300;
    let Some(end) = c.end else { return false };
    let (at, tick) = (end.lo.div_euclid(1_000_000), c.row.precision_ns.div_euclid(1_000_000));
    let list = c.p.origins.cut(c.row.origin_ip.as_deref().unwrap_or_default());
    let reach = SAME_MOMENT_MS.max(tick);
    let near = list.partition_point(|t| *t <= at + reach) - list.partition_point(|t| *t < at - reach);
    near >= 3
}
