//! Unexplained closes: the server hung up on purpose and no line says why. What do these requests
//! have in common that answered ones have not?

use super::Population;
use super::compared::{Compared, Values};
use super::late::{Late, Lateness};
use super::times::{self, Shut};
use crate::contrast::{Counts, Split, split};
use crate::join::front;
use crate::join::world::World;
use cfray_model::time::MILLI;
use cfray_model::{LineKind, Sig, Stack, key};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Error-log messages that explain why a request ended in 444.
pub const EXPLAINS_CLOSE: &[Sig] = &[
    Sig::ConnectQueueFull,
    Sig::ConnectFailed,
    Sig::UpstreamTimedOut,
    Sig::UpstreamClosed,
    Sig::UpstreamReset,
    Sig::UpstreamNotHttp,
    Sig::UpstreamBigHeader,
    Sig::UpstreamBadHeader,
    Sig::UpstreamNone,
    Sig::PhpFatal,
    Sig::PhpMemory,
    Sig::PhpTime,
    Sig::LimitRequests,
    Sig::LimitConnections,
    Sig::ClientCert,
    Sig::WorkerConnectionsUpstream,
    Sig::FileIo,
    Sig::AllocFailed,
];

/// A property that closes may be a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// `EdgeServerIP`.
    EdgeAddress,
    /// Its /24 or /48.
    EdgeNetwork,
    /// `ClientIP`.
    Client,
    /// User agent.
    Agent,
    /// Host and path.
    Page,
    /// Kind of path.
    Shape,
    /// Host.
    Host,
    /// Method.
    Method,
}

impl Property {
    /// All, those that explain in fewest words first.
    pub const ALL: [Self; 8] =
        [Self::EdgeAddress, Self::EdgeNetwork, Self::Agent, Self::Client, Self::Host, Self::Method, Self::Shape, Self::Page];

    /// Is it where the request came in?
    pub const fn is_edge(self) -> bool {
        matches!(self, Self::EdgeAddress | Self::EdgeNetwork)
    }

    /// For sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdgeAddress => "Cloudflare edge address",
            Self::EdgeNetwork => "Cloudflare edge network",
            Self::Client => "visitor address",
            Self::Agent => "user agent",
            Self::Page => "page",
            Self::Shape => "kind of path",
            Self::Host => "host",
            Self::Method => "method",
        }
    }
}

/// The best explanation of one server's unexplained closes.
#[derive(Clone, Debug)]
pub struct Best {
    /// Which property.
    pub property: Property,
    /// How it splits.
    pub split: Split,
    /// Share of the closed requests whose kind of path others reach.
    pub paths_answered: f64,
    /// What these closes took beyond one round trip, where the edge measured both.
    pub late: Option<Late>,
    /// The values are addresses that were banned: it holds from then on, and what was answered before does not count.
    pub since: bool,
}

/// A time in which a server closed on everybody, see [`times::shut`].
#[derive(Clone, Debug)]
pub struct Down {
    /// The time.
    pub shut: Shut,
    /// Files of kinds that web servers send themselves, and requests that this web server's own error log shows it to
    /// answer itself, among the closed ones of all such times.
    pub files: usize,
    /// See `files`.
    pub own: usize,
    /// See [`Best::late`].
    pub late: Option<Late>,
}

/// Answered requests that are compared at most.
pub const ENOUGH: usize = 50_000;
/// Fewer answered requests than this tell nothing.
pub const FEWEST: usize = 20;

/// By server.
#[derive(Debug, Default)]
pub struct Drops {
    best: BTreeMap<usize, Vec<Best>>,
    values: BTreeMap<u32, Values>,
    /// Closes of times in which a server closed on everybody.
    down: BTreeMap<u32, Arc<Down>>,
    counts: BTreeMap<usize, usize>,
    /// Visitors that a limit on connections hit.
    limited: BTreeMap<usize, BTreeSet<u32>>,
    /// Servers with enough answered requests to compare with.
    compared: BTreeSet<usize>,
    /// Servers whose closes can be told apart by edge address.
    by_edge_address: BTreeSet<usize>,
    /// Servers that close on whoever shows no certificate: how many lines closed without, and answered with one.
    by_certificate: BTreeMap<usize, (usize, usize)>,
}

impl Drops {
    /// Finds the closes and splits them.
    pub fn build(w: &World, p: &Population) -> Self {
        let mut closes: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for fact in w.incident_fact.iter().flatten() {
            if let Some(server) = unexplained(w, *fact).filter(|_| !failed_behind(w, *fact)) {
                closes.entry(server).or_default().push(*fact);
            }
        }
        let late = Lateness::of_incidents(w);
        let mut drops = Self::default();
        for fact in w.incident_fact.iter().flatten() {
            let lines = w.ties.of_fact.get(fact).into_iter().flatten().filter_map(|&e| w.evs.get(e as usize));
            for ev in lines.filter(|ev| ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::LimitConnections)) {
                drops.limited.entry(ev.server).or_default().extend(w.edge.facts.get(*fact as usize).map(|f| f.client));
            }
        }
        drops.by_certificate = by_certificate(w);
        for (server, mut list) in closes {
            list.sort_unstable();
            list.dedup();
            let compared = Compared::of(w, p, server, &list);
            drops.add(server, &list, &compared, &late, &bans(w, server));
            drops.add_down(w, server, &list, &compared, &late);
        }
        drops
    }

    fn add(&mut self, server: usize, list: &[u32], compared: &Compared, late: &Lateness<'_>, bans: &BTreeMap<u64, Vec<i64>>) {
        // Shares are known from a few ten thousand answered requests; every n-th stays.
        let oks: Vec<&Values> = compared.oks.iter().step_by(compared.oks.len() / ENOUGH + 1).collect();
        if oks.len() >= FEWEST {
            self.compared.insert(server);
        }
        if compared.known(Property::EdgeAddress) {
            self.by_edge_address.insert(server);
        }
        let answered_shapes: BTreeSet<u64> = oks.iter().map(|v| v.of(Property::Shape)).collect();
        // Several rules may close at one server: the one that explains most comes first, then what
        // explains most of the rest.
        let counts: Vec<Option<Counts>> = Property::ALL
            .into_par_iter()
            .map(|property| {
                let with = compared.with(property);
                let every = with.len() / ENOUGH + 1;
                compared.known(property).then(|| Counts::of(with.iter().step_by(every).map(|v| v.of(property))))
            })
            .collect();
        let mut rest: Vec<&Values> = compared.closes.iter().collect();
        let mut found: Vec<Best> = Vec::new();
        while rest.len() >= 5 && found.len() < 4 {
            let of_rest = |(property, with): (Property, &Option<Counts>)| {
                let of = |v: &&Values| v.of(property);
                Some((property, split(rest.iter().map(of), with.as_ref()?)))
            };
            let splits: Vec<_> = Property::ALL.into_iter().zip(&counts).filter_map(of_rest).collect();
            // One visitor's edge addresses are his: where he explains as much, nothing speaks of them.
            let his_own = splits.iter().any(|(p, s)| *p == Property::Client && s.is_rule_in_part());
            let best = splits
                .into_iter()
                .filter(|(p, s)| s.is_rule() || (p.is_edge() && !his_own && s.is_rule_in_part()))
                .max_by(|a, b| a.1.share.total_cmp(&b.1.share).then(b.0.cmp(&a.0)));
            // A ban that somebody logged goes before what its closes happen to share besides.
            let banned = since_when(&rest, &oks, compared, bans).filter(|b| best.as_ref().is_none_or(|best| b.1.fail_in >= best.1.fail_in));
            let since = banned.is_some();
            let Some((property, split)) = banned.or(best) else { break };
            let inside = |v: &Values| split.blocked.binary_search(&v.of(property)).is_ok();
            let covered: Vec<&Values> = rest.iter().filter(|v| inside(v)).copied().collect();
            let paths = covered.iter().filter(|v| answered_shapes.contains(&v.of(Property::Shape))).count();
            rest.retain(|v| !inside(v));
            let late = late.of(list.iter().zip(&compared.closes).filter(|(_, v)| inside(v)).map(|(fact, _)| *fact));
            found.push(Best { property, split, paths_answered: paths as f64 / covered.len().max(1) as f64, late, since });
        }
        for (&fact, values) in list.iter().zip(&compared.closes) {
            self.values.insert(fact, *values);
        }
        self.counts.insert(server, list.len());
        self.best.insert(server, found);
    }

    /// Finds the times in which the server closed on everybody.
    fn add_down(&mut self, w: &World, server: usize, list: &[u32], compared: &Compared, late: &Lateness<'_>) {
        if compared.oks.len() < FEWEST {
            return;
        }
        let open: Vec<usize> = (0..list.len()).filter(|&i| list.get(i).is_some_and(|f| self.explains(server, *f).is_none())).collect();
        let closes: Vec<&Values> = open.iter().filter_map(|&i| compared.closes.get(i)).collect();
        let oks: Vec<&Values> = compared.oks.iter().step_by(compared.oks.len() / ENOUGH + 1).collect();
        let shuts = times::shut(&closes, &oks);
        if shuts.is_empty() {
            return;
        }
        let own = own_pages(w, server);
        let paths: BTreeMap<u32, &str> =
            w.incident_fact.iter().zip(&w.edge.incidents).filter_map(|(f, row)| Some(((*f)?, row.uri.as_deref()?))).collect();
        // One switch turns all of these times on and off: what they show of it counts together.
        let of = |shut: &Shut| -> Vec<usize> { shut.closes.iter().filter_map(|&i| open.get(i).copied()).collect() };
        let all: Vec<u32> = shuts.iter().flat_map(of).filter_map(|i| list.get(i).copied()).collect();
        let uris = || all.iter().filter_map(|f| paths.get(f).copied());
        let files = uris().filter(|uri| is_file(uri)).count();
        let own = uris().filter(|uri| own.contains(&key::shape_key(uri.as_bytes()))).count();
        for mut shut in shuts {
            let at = of(&shut);
            let late = late.of(at.iter().filter_map(|&i| list.get(i).copied()));
            shut.closes.clear();
            let down = Arc::new(Down { shut, files, own, late });
            self.down.extend(at.iter().filter_map(|&i| list.get(i)).map(|f| (*f, Arc::clone(&down))));
        }
    }

    /// The time in which the server closed on everybody, if this close lies in one.
    pub fn down(&self, fact: u32) -> Option<&Down> {
        self.down.get(&fact).map(Arc::as_ref)
    }

    /// How many closes of a server nothing explains.
    pub fn closes(&self, server: usize) -> usize {
        self.counts.get(&server).copied().unwrap_or(0)
    }

    /// How many visitors a server's limits on connections hit.
    pub fn limited_visitors(&self, server: usize) -> usize {
        self.limited.get(&server).map_or(0, BTreeSet::len)
    }

    /// Are there answered requests to compare a server's closes with?
    pub fn compared(&self, server: usize) -> bool {
        self.compared.contains(&server)
    }

    /// Do edge rows or lines tell through which edge address a server's requests came?
    pub fn knows_edge_addresses(&self, server: usize) -> bool {
        self.by_edge_address.contains(&server)
    }

    /// Where closes of a server follow the client's certificate: how many lines closed without an accepted one, and
    /// how many answered with one.
    pub fn by_certificate(&self, server: usize) -> Option<(usize, usize)> {
        self.by_certificate.get(&server).copied()
    }

    /// Splits of a server's closes, best first.
    pub fn of(&self, server: usize) -> &[Best] {
        self.best.get(&server).map_or(&[], Vec::as_slice)
    }

    /// The first split whose blocked values hold this request.
    pub fn explains(&self, server: usize, fact: u32) -> Option<&Best> {
        let values = self.values.get(&fact)?;
        self.of(server).iter().find(|b| b.split.blocked.binary_search(&values.of(b.property)).is_ok())
    }
}

/// Addresses that a server's logs tell to be banned, and when, in milliseconds since the epoch.
fn bans(w: &World, server: usize) -> BTreeMap<u64, Vec<i64>> {
    let mut bans: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for ev in w.by_sig.get(&(server, Sig::Ban)).into_iter().flatten().filter_map(|&i| w.evs.get(i as usize)) {
        if let Some(at) = ev.utc.filter(|_| ev.e.client != 0) {
            bans.entry(ev.e.client).or_default().push(at.mid().div_euclid(MILLI));
        }
    }
    bans
}

/// Nothing is closed on always: who is closed on since a ban names them?
fn since_when(rest: &[&Values], oks: &[&Values], compared: &Compared, bans: &BTreeMap<u64, Vec<i64>>) -> Option<(Property, Split)> {
    if bans.is_empty() {
        return None;
    }
    // Visitors are known by half of their hash.
    let visitors = bans.iter().map(|(addr, moments)| (addr & 0xFFFF_FFFF, moments.clone())).collect();
    let known = [(Property::EdgeAddress, bans), (Property::Client, &visitors)].into_iter().filter(|(p, _)| compared.known(*p));
    let splits = known.filter_map(|(p, bans)| Some((p, times::since(rest, oks, p, bans)?)));
    let (property, split) = splits.max_by(|a, b| a.1.fail_in.cmp(&b.1.fail_in).then(b.0.cmp(&a.0)))?;
    let covered: Vec<&Values> = rest.iter().filter(|v| split.blocked.binary_search(&v.of(property)).is_ok()).copied().collect();
    times::goes_by_who(&covered, property).then_some((property, split))
}

/// Kinds of path that the web server's own error log shows it to answer itself: files that it looks for, and what it refuses.
fn own_pages(w: &World, server: usize) -> BTreeSet<u16> {
    let looked_for = |text: &str| text.contains(" open() \"") && text.contains("\" failed (2: ");
    let here = w.evs.iter().filter(|ev| ev.server == server && ev.e.kind == LineKind::Error && !ev.e.path.is_empty());
    let own = here.filter(|ev| match &ev.e.sig {
        Some(hit) => hit.sig == Sig::AccessForbidden,
        None => ev.e.stack == Stack::Nginx && looked_for(&ev.e.text()),
    });
    own.map(|ev| key::shape_key(ev.e.path.as_bytes())).collect()
}

/// Endings of files that stand on a disk; nobody's application makes one anew for each request.
const FILES: [&str; 14] =
    [".css", ".js", ".mjs", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico", ".woff", ".woff2", ".map"];

fn is_file(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    FILES.iter().any(|end| {
        path.len() > end.len()
            && path.is_char_boundary(path.len() - end.len())
            && path.get(path.len() - end.len()..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    })
}

/// Fewer closes without a certificate than this are no rule.
const CERTIFICATES: usize = 3;

/// Servers whose access log tells of client certificates and that close where none was accepted and answer where one was.
fn by_certificate(w: &World) -> BTreeMap<usize, (usize, usize)> {
    let mut counts: BTreeMap<usize, [usize; 4]> = BTreeMap::new();
    for ev in w.evs.iter().filter(|ev| ev.e.kind == LineKind::Access) {
        let Some(verified) = ev.e.details().verified else { continue };
        // A server's own failures tell nothing of whom it turns away.
        let answered = match ev.e.status {
            _ if ev.e.hung_up() => false,
            Some(200..=499) => true,
            _ => continue,
        };
        let at = usize::from(verified) + 2 * usize::from(answered);
        if let Some(n) = counts.entry(ev.server).or_default().get_mut(at) {
            *n += 1;
        }
    }
    let follows = |&[bare_closed, shown_closed, bare_answered, shown_answered]: &[usize; 4]| {
        let closes = bare_closed >= CERTIFICATES && bare_answered * 10 <= bare_closed;
        (closes && shown_closed * 2 <= bare_closed && shown_answered * 2 >= shown_closed).then_some((bare_closed, shown_answered))
    };
    counts.iter().filter_map(|(server, n)| Some((*server, follows(n)?))).collect()
}

/// Does a line say that the server behind answered the request with an error of its own? The close hid that: it is no rule's.
fn failed_behind(w: &World, fact: u32) -> bool {
    let lines = || w.ties.of_fact.get(&fact).into_iter().flatten().filter_map(|&e| w.evs.get(e as usize));
    let front = lines().find(|ev| ev.e.hung_up());
    front.and_then(|front| front::behind(front, lines())).is_some_and(front::is_failure)
}

/// The server, if a fact's access line says that the server hung up and no line says why.
pub fn unexplained(w: &World, fact: u32) -> Option<usize> {
    let lines = w.ties.of_fact.get(&fact)?;
    let evs = || lines.iter().filter_map(|&e| w.evs.get(e as usize));
    if evs().any(|ev| ev.e.sig.as_ref().is_some_and(|h| EXPLAINS_CLOSE.contains(&h.sig))) {
        return None;
    }
    // The application names the request in a warning and logs no answer to it.
    let unanswered = evs().all(|ev| ev.e.kind != LineKind::Access);
    let closing = |sig| sig == Sig::ModsecDrop || (sig == Sig::AppUnanswered && unanswered);
    evs().find(|ev| ev.e.hung_up() || ev.e.sig.as_ref().is_some_and(|h| closing(h.sig))).map(|ev| ev.server)
}
