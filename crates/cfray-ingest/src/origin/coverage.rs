//! What one writer covers, and its events: counters that merge by addition, minimum and union.

use super::answers::Answers;
use super::event::{Texts, event, mere_noise, odd_access, request_of, seldom_shown, stack_of};
use super::fold::Fold;
use super::wanted::Wanted;
use crate::discover::OriginPlan;
use cfray_formats::Glance;
use cfray_model::time::MINUTE;
use cfray_model::{Level, Line, LineKind, LineRef, LogTime, SourceScan, Stack, key};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Hosts that are counted by name in one source; of more, those with the smallest keys.
const MAX_HOSTS: usize = 10_000;
/// Writers that are counted in one source; of more, those with the smallest process ids.
const MAX_WRITERS: usize = 4096;

/// Coverage and events of one writer.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Physical lines.
    pub lines: u64,
    /// Records.
    pub parsed: u64,
    minutes: BTreeMap<i64, u32>,
    minute: (i64, u32),
    zones: BTreeMap<i32, u64>,
    zone: (i32, u64),
    /// Earliest and latest time with a year, and without.
    span: [Option<(i64, i64)>; 2],
    /// Kind, stack and level of the last lines, and how many they are.
    sort: (Option<(LineKind, Stack, Option<Level>)>, u64),
    kinds: BTreeMap<LineKind, u64>,
    stacks: BTreeMap<Stack, u64>,
    levels: BTreeMap<Level, u64>,
    with_ray: u64,
    edge_clients: u64,
    with_wire_size: u64,
    names: BTreeMap<u64, u64>,
    name: (u64, u64),
    /// Text that [`Self::name`] is the key of.
    host: Vec<u8>,
    lowest_cid: Option<(u64, i64)>,
    /// By process id: lines about a connection, lines about a process.
    writers: BTreeMap<u64, (u64, u64)>,
    unstamped: u64,
    fold: Fold,
    texts: Texts,
    /// A choice of ordinary answers, where the index asks for one.
    pub answers: Answers,
}

/// What a line counts for.
pub struct Counted<'a> {
    kind: LineKind,
    stack: Stack,
    level: Option<Level>,
    time: Option<LogTime>,
    /// Connection, in nginx's own numbering.
    nginx_cid: Option<u64>,
    ray: bool,
    wire_size: bool,
    client: Option<&'a [u8]>,
    client_v4: Option<Ipv4Addr>,
    host: Option<&'a [u8]>,
}

impl<'a> Counted<'a> {
    /// Of a parsed line.
    pub fn line(line: &'a Line<'_>, plan: &OriginPlan) -> Self {
        Self {
            kind: line.kind,
            stack: stack_of(line.kind, line.stack, plan),
            level: line.level,
            time: line.time,
            nginx_cid: line.cid.filter(|_| line.stack == Stack::Nginx),
            ray: line.ray.is_some(),
            wire_size: line.bytes_sent.is_some(),
            client: line.client.as_deref(),
            client_v4: None,
            host: line.host.as_deref(),
        }
    }

    /// Of one that was only glanced at.
    pub fn glance(glance: &Glance<'a>, plan: &OriginPlan) -> Self {
        Self {
            kind: LineKind::Access,
            stack: stack_of(LineKind::Access, glance.stack, plan),
            level: None,
            time: Some(glance.time),
            nginx_cid: glance.cid.filter(|_| glance.stack == Stack::Nginx),
            ray: glance.ray.is_some(),
            wire_size: glance.bytes_sent.is_some(),
            client: glance.client,
            client_v4: glance.client_v4,
            host: glance.host,
        }
    }
}

impl Coverage {
    /// Counts a record of so many physical lines.
    pub fn count(&mut self, line: &Counted<'_>, lines: u64) {
        self.lines += lines;
        self.parsed += 1;
        let sort = (line.kind, line.stack, line.level);
        if self.sort.0 != Some(sort) {
            self.flush_sort();
            self.sort.0 = Some(sort);
        }
        self.sort.1 += 1;
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
            if let Some(cid) = line.nginx_cid {
                self.lowest_cid = Some(self.lowest_cid.map_or((cid, t), |low| low.min((cid, t))));
            }
        }
        if line.kind == LineKind::Access {
            self.with_ray += u64::from(line.ray);
            self.with_wire_size += u64::from(line.wire_size);
            self.edge_clients += u64::from(match line.client_v4 {
                Some(v4) => cfray_formats::is_cloudflare(IpAddr::V4(v4)),
                None => line.client.is_some_and(cfray_formats::reads_cloudflare),
            });
            let host = line.host.unwrap_or_default();
            if !same(&self.host, host) {
                let name = key::host_key(host);
                if self.name.0 != name {
                    self.flush_name();
                    self.name.0 = name;
                }
                self.host = host.to_vec();
            }
            self.name.1 += 1;
        }
    }

    /// Counts what only a parsed record tells: who wrote it, and whether it bears a time.
    pub fn count_writer(&mut self, line: &Line<'_>) {
        self.unstamped += u64::from(line.time.is_none());
        if let (LineKind::Error, Some(pid), false) = (line.kind, line.pid, line.raw_text) {
            let about_connection = line.cid.is_some() || line.client.is_some();
            // Forged reports of deaths must not vouch for each other: other lines show who the parent is.
            if !about_connection && tells_a_death(&line.message) {
                return;
            }
            let (connections, processes) = self.writers.entry(pid).or_default();
            *if about_connection { connections } else { processes } += 1;
            self.cap_writers();
        }
    }

    /// Memory that the events would take at a level, about.
    pub fn needs(&self, level: usize) -> u64 {
        self.fold.needs(level)
    }

    /// Keeps no more events and text than a level allows.
    pub fn thin(&mut self, level: usize) {
        self.fold.thin(level);
    }

    /// Keeps a parsed record if it may matter. `own`: bits of the configuration's own patterns that it matches.
    pub fn keep(&mut self, line: &Line<'_>, record: &[u8], at: LineRef, plan: &OriginPlan, wanted: &Wanted<'_>, own: u64) {
        let index = wanted;
        let ray = line.ray.map(|r| r.0).filter(|r| index.ray(*r)).unwrap_or(0);
        // The request key costs a hash: it is made where somebody may ask for it. A line with a ray of its
        // own belongs to that ray's row, whoever else asked for the same.
        let ask = line.ray.is_none() && index.ask_requests;
        let mut request = if ask || ray != 0 { request_of(line) } else { 0 };
        let wanted = if ask && index.request(request) { request } else { 0 };
        if ray == 0 && wanted == 0 && index.others(line.ray.map(|r| r.0), || request) {
            return;
        }
        let names_request = || line.ray.is_some() || line.method.is_some();
        if ray == 0 && !(wanted != 0 && index.measures()) && !index.in_time(at.source, line.time, names_request) {
            return;
        }
        // A line that names a request speaks for that request alone.
        let names = || line.ray.is_some() || request_of(line) != 0;
        let own = if own != 0 && ray == 0 && wanted == 0 && names() { 0 } else { own };
        let sig = match line.kind {
            LineKind::Access => {
                if index.answers() {
                    self.answers.add(line, at, plan.json);
                }
                let odd = odd_access(line);
                if !odd && ray == 0 && wanted == 0 && own == 0 {
                    return;
                }
                if odd { cfray_formats::signature(line) } else { None }
            }
            _ => {
                let sig = cfray_formats::signature(line);
                if sig.is_none() && ray == 0 && wanted == 0 && own == 0 {
                    return;
                }
                sig
            }
        };
        if request == 0 {
            request = request_of(line);
        }
        let noise = ray == 0 && wanted == 0 && own == 0 && !index.only_rays() && sig.as_ref().is_some_and(mere_noise);
        if noise && request != 0 {
            return;
        }
        // What bears the number of a connection goes with the request that another line of it names.
        let noise = noise && line.cid.is_none() && line.log_id.is_none() && line.client.is_none();
        if noise && !self.fold.noise(line.time, at) {
            return;
        }
        // Of what is kept to compare with hardly anything is ever quoted.
        let compared = line.kind == LineKind::Access && ray != 0 && index.chosen(ray);
        let shown = !compared && !sig.as_ref().is_some_and(seldom_shown);
        let event = event(line, (record, at), sig, (request, own), plan, &mut self.texts, shown);
        if noise {
            return self.fold.add_noise(event);
        }
        self.fold.add(event, ray, wanted);
    }

    fn flush_sort(&mut self) {
        if let (Some((kind, stack, level)), n) = std::mem::take(&mut self.sort) {
            *self.kinds.entry(kind).or_default() += n;
            *self.stacks.entry(stack).or_default() += n;
            if let Some(level) = level {
                *self.levels.entry(level).or_default() += n;
            }
        }
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
        self.host.clear();
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
        self.flush_sort();
        self.flush_minute();
        self.flush_zone();
        self.flush_name();
    }

    /// Adds another part.
    pub fn merge(&mut self, mut other: Self) {
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
        for (pid, (connections, processes)) in other.writers {
            let mine = self.writers.entry(pid).or_default();
            *mine = (mine.0 + connections, mine.1 + processes);
        }
        self.cap_writers();
        self.unstamped += other.unstamped;
        self.fold.merge(other.fold);
        self.answers.merge(other.answers);
    }

    /// What is left of it, without the name of the source.
    pub fn finish(mut self) -> SourceScan {
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

/// Equality that does not call `memcmp` for nothing: with AVX-512 a masked load from the pointer of an
/// empty vector costs more than the rest of a line.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// nginx's and Apache's words for a child that died.
fn tells_a_death(message: &[u8]) -> bool {
    message.starts_with(b"worker process ") || memchr::memmem::find(message, b"child pid ").is_some()
}
