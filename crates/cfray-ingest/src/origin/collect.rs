//! What accumulates while a source is read. Parts merge in any order.

use super::coverage::{Counted, Coverage, same};
use super::event::idle;
use super::wanted::Wanted;
use crate::blocks::{Block, trim_cr};
use crate::discover::OriginPlan;
use crate::options::Options;
use cfray_formats::ClfMemo;
use cfray_formats::own::OwnPatterns;
use cfray_model::edge::Reject;
use cfray_model::{LineRef, SourceId, SourceInfo, SourceScan};
use memchr::memchr_iter;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rejected lines that are kept as a sample.
const REJECTS: usize = 5;

/// What one source, or a part of it, has left behind.
#[derive(Debug, Default)]
pub struct Collector {
    lines: u64,
    bytes: u64,
    rejected: u64,
    rejects: BTreeSet<Reject>,
    /// By syslog host; lines without one under the empty name. Most sources have one entry.
    hosts: Vec<(Vec<u8>, Coverage)>,
    by_host: HashMap<Vec<u8>, usize>,
    memo: ClfMemo,
    /// Level of thinning, for hosts to come.
    level: usize,
}

impl Collector {
    /// Takes a block in.
    pub fn block(&mut self, source: SourceId, plan: &OriginPlan, wanted: &Wanted<'_>, options: &Options, block: &Block) {
        let bytes = block.bytes();
        self.lines += block.lines + block.long_lines.len() as u64;
        self.bytes += bytes.len() as u64;
        for long in &block.long_lines {
            self.bytes += long.bytes + 1;
            let at = LineRef { source, line: long.line, offset: long.offset };
            self.reject(at, || format!("line of {} bytes is longer than the limit of {} bytes", long.bytes, options.max_line));
        }
        // Where every line is a record, nothing needs counting.
        let plain = block.starts.len() as u64 == block.lines;
        let count = |part: &[u8]| if plain { 1 } else { memchr_iter(b'\n', part).count() as u64 };
        let mut line = block.first_line;
        match block.starts.first() {
            Some(0) => {}
            Some(&first) => line += memchr_iter(b'\n', bytes.get(..first).unwrap_or_default()).count() as u64,
            None => return,
        }
        for (i, &start) in block.starts.iter().enumerate() {
            let end = block.starts.get(i + 1).copied().unwrap_or(bytes.len());
            let part = bytes.get(start..end).unwrap_or_default();
            let lines = count(part).max(1);
            let at = LineRef { source, line, offset: block.offset + start as u64 };
            self.record(part.get(..options.max_record).unwrap_or(part), at, lines, plan, wanted, &options.own);
            line += lines;
        }
    }

    fn reject(&mut self, at: LineRef, reason: impl FnOnce() -> String) {
        self.rejected += 1;
        if self.rejects.len() < REJECTS || self.rejects.last().is_some_and(|last| at < last.at) {
            self.rejects.insert(Reject { at, reason: reason() });
            if self.rejects.len() > REJECTS {
                self.rejects.pop_last();
            }
        }
    }

    /// Takes one record in: physical lines joined by newlines, as they stand in the file.
    fn record(&mut self, raw: &[u8], at: LineRef, lines: u64, plan: &OriginPlan, wanted: &Wanted<'_>, own: &OwnPatterns) {
        let record = if lines == 1 { Cow::Borrowed(tidy_line(raw)) } else { tidy(raw) };
        if record.is_empty() {
            return;
        }
        // Nearly every line is one that nobody asks about: what it counts for is read without the rest.
        if own.is_empty()
            && let Some(glance) = plan.parser.glance(&record, &mut self.memo)
            && idle(&glance, wanted)
        {
            let coverage = self.coverage(b"");
            if !wanted.answers() || !coverage.answers.wants(at) {
                return coverage.count(&Counted::glance(&glance, plan), lines);
            }
        }
        let line = match plan.parser.parse(&record) {
            Ok(line) => line,
            Err(error) => {
                let first = record.split(|&b| b == b'\n').next().unwrap_or_default();
                let begins = plan.parser.starts_record(first);
                return self
                    .reject(at, || if begins { error.to_string() } else { "continues a record that is not in this file".to_owned() });
            }
        };
        let coverage = self.coverage(line.syslog_host.as_deref().unwrap_or_default());
        coverage.count(&Counted::line(&line, plan), lines);
        coverage.count_writer(&line);
        coverage.keep(&line, &record, at, plan, wanted, own.find(&record));
    }

    fn coverage(&mut self, host: &[u8]) -> &mut Coverage {
        let slot = match self.hosts.last() {
            Some((name, _)) if same(name, host) => self.hosts.len() - 1,
            _ => match self.by_host.get(host) {
                Some(&slot) => slot,
                None => {
                    let slot = self.hosts.len();
                    self.by_host.insert(host.to_vec(), slot);
                    let mut coverage = Coverage::default();
                    coverage.thin(self.level);
                    self.hosts.push((host.to_vec(), coverage));
                    slot
                }
            },
        };
        &mut self.hosts[slot].1
    }

    /// Memory that the events would take at a level, about.
    pub fn needs(&self, level: usize) -> u64 {
        self.hosts.iter().map(|(_, coverage)| coverage.needs(level)).sum()
    }

    /// Keeps no more events and text than a level allows.
    pub fn thin(&mut self, level: usize) {
        self.level = self.level.max(level);
        self.hosts.iter_mut().for_each(|(_, coverage)| coverage.thin(level));
    }

    /// Adds another part of the same source.
    pub fn merge(&mut self, other: Self) {
        self.level = self.level.max(other.level);
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.rejected += other.rejected;
        self.rejects.extend(other.rejects);
        while self.rejects.len() > REJECTS {
            self.rejects.pop_last();
        }
        for (host, part) in other.hosts {
            self.coverage(&host).merge(part);
        }
    }

    /// The scans of a source: one, or one a server when hosts of several servers write in it.
    pub fn finish(self, info: &SourceInfo, server: &dyn Fn(&[u8]) -> String, problems: Vec<String>) -> Vec<SourceScan> {
        let mut servers: BTreeMap<String, (BTreeMap<String, u64>, Coverage)> = BTreeMap::new();
        let named = self.hosts.iter().filter(|(host, _)| !host.is_empty()).count();
        for (host, coverage) in self.hosts {
            // A single host is the source's own, whatever name discovery found for the server.
            let name = if named > 1 && !host.is_empty() { server(&host) } else { info.server.clone() };
            let (hosts, all) = servers.entry(name).or_default();
            if !host.is_empty() {
                *hosts.entry(String::from_utf8_lossy(&host).into_owned()).or_default() += coverage.parsed;
            }
            all.merge(coverage);
        }
        if servers.is_empty() {
            servers.insert(info.server.clone(), Default::default());
        }
        let split = servers.len() > 1;
        let others: u64 = servers.values().skip(1).map(|(_, c)| c.lines).sum();
        let mut scans: Vec<SourceScan> = Vec::new();
        for (name, (hosts, coverage)) in servers {
            let mut scan = coverage.finish();
            scan.info = info.clone();
            scan.syslog_hosts = hosts;
            if split {
                scan.info.name = format!("{} [{name}]", info.name);
                scan.info.server = name;
            }
            scans.push(scan);
        }
        if let Some(first) = scans.first_mut() {
            first.lines = self.lines.saturating_sub(others);
            first.bytes = self.bytes;
            first.rejected = self.rejected;
            first.rejects = self.rejects.into_iter().collect();
            first.problems = problems;
        }
        scans
    }
}

/// A line without its end and leading NUL bytes; empty when blank.
fn tidy_line(raw: &[u8]) -> &[u8] {
    let line = trim_cr(raw.strip_suffix(b"\n").unwrap_or(raw));
    match line.first() {
        Some(b' ' | b'\t') if line.trim_ascii().is_empty() => b"",
        Some(0) => line.get(line.iter().position(|&b| b != 0).unwrap_or(line.len())..).unwrap_or_default(),
        _ => line,
    }
}

/// A record without carriage returns, leading NUL bytes and trailing blank lines.
fn tidy(raw: &[u8]) -> Cow<'_, [u8]> {
    let start = raw.iter().position(|&b| b != 0).unwrap_or(raw.len());
    let raw = raw.get(start..).unwrap_or_default();
    let end = raw.iter().rposition(|&b| !matches!(b, b'\n' | b'\r' | b' ' | b'\t')).map_or(0, |at| at + 1);
    // Blanks at the end of the last line belong to it; a blank record is none.
    if end == 0 {
        return Cow::Borrowed(b"");
    }
    let stop = raw.get(end..).and_then(|rest| memchr::memchr2(b'\n', b'\r', rest)).map_or(raw.len(), |at| end + at);
    let raw = raw.get(..stop).unwrap_or_default();
    if memchr::memmem::find(raw, b"\r\n").is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    for (i, line) in raw.split(|&b| b == b'\n').enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(trim_cr(line));
    }
    Cow::Owned(out)
}
