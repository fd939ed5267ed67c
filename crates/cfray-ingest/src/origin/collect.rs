//! What accumulates while a source is read. Parts merge in any order.

use super::answers::Answers;
use super::event::{event, mere_noise, odd_access, placed, request_of};
use super::fold::Fold;
use crate::blocks::{Block, trim_cr};
use crate::discover::OriginPlan;
use crate::options::Options;
use cfray_model::edge::Reject;
use cfray_model::{IncidentIndex, Level, Line, LineKind, LineRef, SourceId, SourceInfo, SourceScan, Stack, key};
use memchr::memchr_iter;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Rejected lines that are kept as a sample.
const REJECTS: usize = 5;
/// Hosts that are counted by name in one source; of more, those with the smallest keys.
const MAX_HOSTS: usize = 10_000;
/// Writers that are counted in one source; of more, those with the smallest process ids.
const MAX_WRITERS: usize = 4096;
/// Nanoseconds in a minute.
const MINUTE: i64 = 60_000_000_000;

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
    /// Level of thinning, for hosts to come.
    level: usize,
}

/// Coverage and events of one writer.
#[derive(Debug, Default)]
struct Coverage {
    lines: u64,
    parsed: u64,
    minutes: BTreeMap<i64, u32>,
    minute: (i64, u32),
    zones: BTreeMap<i32, u64>,
    zone: (i32, u64),
    /// Earliest and latest time with a year, and without.
    span: [Option<(i64, i64)>; 2],
    kinds: BTreeMap<LineKind, u64>,
    stacks: BTreeMap<Stack, u64>,
    levels: BTreeMap<Level, u64>,
    with_ray: u64,
    edge_clients: u64,
    with_wire_size: u64,
    names: BTreeMap<u64, u64>,
    name: (u64, u64),
    lowest_cid: Option<(u64, i64)>,
    writers: BTreeMap<u64, (u64, u64)>,
    unstamped: u64,
    fold: Fold,
    answers: Answers,
}

impl Collector {
    /// Takes a block in.
    pub fn block(&mut self, source: SourceId, plan: &OriginPlan, index: &IncidentIndex, options: &Options, block: &Block) {
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
            self.record(part.get(..options.max_record).unwrap_or(part), at, lines, plan, index);
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
    fn record(&mut self, raw: &[u8], at: LineRef, lines: u64, plan: &OriginPlan, index: &IncidentIndex) {
        let record = if lines == 1 { Cow::Borrowed(tidy_line(raw)) } else { tidy(raw) };
        if record.is_empty() {
            return;
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
        coverage.count(&line, lines, plan);
        coverage.keep(&line, &record, at, plan, index);
    }

    fn coverage(&mut self, host: &[u8]) -> &mut Coverage {
        let slot = match self.hosts.last() {
            Some((name, _)) if name == host => self.hosts.len() - 1,
            _ => match self.by_host.get(host) {
                Some(&slot) => slot,
                None => {
                    let slot = self.hosts.len();
                    self.by_host.insert(host.to_vec(), slot);
                    let mut coverage = Coverage::default();
                    coverage.fold.thin(self.level);
                    self.hosts.push((host.to_vec(), coverage));
                    slot
                }
            },
        };
        &mut self.hosts[slot].1
    }

    /// Memory that the events would take at a level, about.
    pub fn needs(&self, level: usize) -> u64 {
        self.hosts.iter().map(|(_, coverage)| coverage.fold.needs(level)).sum()
    }

    /// Keeps no more events and text than a level allows.
    pub fn thin(&mut self, level: usize) {
        self.level = self.level.max(level);
        self.hosts.iter_mut().for_each(|(_, coverage)| coverage.fold.thin(level));
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

impl Coverage {
    fn count(&mut self, line: &Line<'_>, lines: u64, plan: &OriginPlan) {
        self.lines += lines;
        self.parsed += 1;
        *self.kinds.entry(line.kind).or_default() += 1;
        *self.stacks.entry(placed(line, plan).0).or_default() += 1;
        if let Some(level) = line.level {
            *self.levels.entry(level).or_default() += 1;
        }
        if let Some(time) = &line.time {
            let minute = time.civil_ns.div_euclid(MINUTE);
            if self.minute.0 != minute {
                self.flush_minute();
                self.minute.0 = minute;
            }
            self.minute.1 += 1;
            let zone = time.offset_s.unwrap_or(i32::MIN);
            if self.zone.0 != zone {
                self.flush_zone();
                self.zone.0 = zone;
            }
            self.zone.1 += 1;
            let t = time.civil_ns;
            let span = &mut self.span[usize::from(time.yearless)];
            *span = Some(span.map_or((t, t), |(from, to)| (from.min(t), to.max(t))));
            if let (Some(cid), Stack::Nginx) = (line.cid, line.stack) {
                self.lowest_cid = Some(self.lowest_cid.map_or((cid, t), |low| low.min((cid, t))));
            }
        }
        self.unstamped += u64::from(line.time.is_none());
        if let (LineKind::Error, Some(pid), false) = (line.kind, line.pid, line.raw_text) {
            let (connections, processes) = self.writers.entry(pid).or_default();
            let about_connection = line.cid.is_some() || line.client.is_some();
            *if about_connection { connections } else { processes } += 1;
            self.cap_writers();
        }
        if line.kind == LineKind::Access {
            self.with_ray += u64::from(line.ray.is_some());
            self.with_wire_size += u64::from(line.bytes_sent.is_some());
            self.edge_clients += u64::from(line.client.as_deref().is_some_and(from_cloudflare));
            let name = line.host.as_deref().map_or(0, key::host_key);
            if self.name.0 != name {
                self.flush_name();
                self.name.0 = name;
            }
            self.name.1 += 1;
        }
    }

    fn keep(&mut self, line: &Line<'_>, record: &[u8], at: LineRef, plan: &OriginPlan, index: &IncidentIndex) {
        let ray = line.ray.map(|r| r.0).filter(|r| index.rays.contains(r)).unwrap_or(0);
        // The request key costs a hash: it is made where somebody may ask for it. A line with a ray of its
        // own belongs to that ray's row, whoever else asked for the same.
        let ask = line.ray.is_none() && !index.requests.is_empty() && !index.only_rays;
        let mut request = if ask || ray != 0 { request_of(line) } else { 0 };
        let wanted = if ask && index.wants(0, request) { request } else { 0 };
        let sig = match line.kind {
            LineKind::Access => {
                if index.answers {
                    self.answers.add(line, at, plan.json);
                }
                let odd = odd_access(line);
                if !odd && ray == 0 && wanted == 0 {
                    return;
                }
                if odd { cfray_formats::signature(line) } else { None }
            }
            _ => {
                let sig = cfray_formats::signature(line);
                if sig.is_none() && ray == 0 && wanted == 0 {
                    return;
                }
                sig
            }
        };
        if request == 0 {
            request = request_of(line);
        }
        if ray == 0 && wanted == 0 && !index.only_rays && sig.as_ref().is_some_and(|s| mere_noise(s, request)) {
            return;
        }
        self.fold.add(event(line, record, at, sig, request, plan), ray, wanted);
    }

    fn flush_minute(&mut self) {
        let (minute, n) = std::mem::take(&mut self.minute);
        if n > 0 {
            let count = self.minutes.entry(minute).or_default();
            *count = count.saturating_add(n);
        }
    }

    fn flush_zone(&mut self) {
        let (zone, n) = std::mem::take(&mut self.zone);
        if n > 0 {
            *self.zones.entry(zone).or_default() += n;
        }
    }

    fn flush_name(&mut self) {
        let (name, n) = std::mem::take(&mut self.name);
        if n > 0 {
            *self.names.entry(name).or_default() += n;
            self.cap_names();
        }
    }

    /// Drops the largest keys over the cap. A key among the smallest of all is among the smallest of
    /// every part, so its count is complete.
    fn cap_names(&mut self) {
        while self.names.len() > MAX_HOSTS {
            self.names.pop_last();
        }
    }

    /// See [`Self::cap_names`].
    fn cap_writers(&mut self) {
        while self.writers.len() > MAX_WRITERS {
            self.writers.pop_last();
        }
    }

    fn flush(&mut self) {
        self.flush_minute();
        self.flush_zone();
        self.flush_name();
    }

    fn merge(&mut self, mut other: Self) {
        fn add<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (k, n) in from {
                *to.entry(k).or_default() += n;
            }
        }
        self.flush();
        other.flush();
        self.lines += other.lines;
        self.parsed += other.parsed;
        for (minute, n) in other.minutes {
            let count = self.minutes.entry(minute).or_default();
            *count = count.saturating_add(n);
        }
        add(&mut self.zones, other.zones);
        add(&mut self.kinds, other.kinds);
        add(&mut self.stacks, other.stacks);
        add(&mut self.levels, other.levels);
        add(&mut self.names, other.names);
        self.cap_names();
        for (pid, (connections, processes)) in other.writers {
            let mine = self.writers.entry(pid).or_default();
            *mine = (mine.0 + connections, mine.1 + processes);
        }
        self.cap_writers();
        self.unstamped += other.unstamped;
        for (mine, theirs) in self.span.iter_mut().zip(other.span) {
            *mine = match (*mine, theirs) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
        }
        self.with_ray += other.with_ray;
        self.edge_clients += other.edge_clients;
        self.with_wire_size += other.with_wire_size;
        self.lowest_cid = match (self.lowest_cid, other.lowest_cid) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.fold.merge(other.fold);
        self.answers.merge(other.answers);
    }

    fn finish(mut self) -> SourceScan {
        self.flush();
        // Times without year stand in 1970: they tell the span only where nothing better does.
        let span = self.span[0].or(self.span[1]);
        let (events, folded) = self.fold.finish();
        SourceScan {
            lines: self.lines,
            parsed: self.parsed,
            minutes: self.minutes,
            zones: self.zones,
            first_ns: span.map(|s| s.0),
            last_ns: span.map(|s| s.1),
            kinds: self.kinds,
            stacks: self.stacks,
            levels: self.levels,
            with_ray: self.with_ray,
            edge_clients: self.edge_clients,
            with_wire_size: self.with_wire_size,
            hosts: self.names,
            lowest_cid: self.lowest_cid,
            writers: self.writers,
            unstamped: self.unstamped,
            events,
            folded,
            answers: self.answers.finish(),
            ..SourceScan::default()
        }
    }
}

fn from_cloudflare(addr: &[u8]) -> bool {
    std::str::from_utf8(addr).ok().and_then(|a| a.trim_matches(['[', ']']).parse::<IpAddr>().ok()).is_some_and(cfray_formats::is_cloudflare)
}
