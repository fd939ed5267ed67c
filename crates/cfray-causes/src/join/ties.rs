//! Who owns an origin line: ties by ray, by request and by connection.

use super::index::{ClientColumn, ComboKeys, FactIndex, agrees, may_have_reached_origin};
use super::owned::OfFact;
use super::world::{EdgeKind, Ev, Span};
use cfray_model::time::SECOND;
use cfray_model::{Fact, Facts, LineKind, Sig, SigHit, Stack, Tie};
use foldhash::{HashMap, HashSet};
use rayon::prelude::*;

/// Owners of events and events of owners.
#[derive(Debug, Default)]
pub struct Ties {
    /// For each event the fact it belongs to, and how.
    pub owner: Vec<Option<(u32, Tie)>>,
    /// For each fact its events, in event order.
    pub of_fact: OfFact,
    /// Events whose request fits several rows of different outcome equally well: they prove neither
    /// presence nor absence.
    pub open: HashSet<u32>,
}

impl Ties {
    /// Servers that wrote a line, and the fact it belongs to. A line that may as well be somebody else's tells nothing of who answers for an
    /// address: it is left out.
    pub fn certain<'a>(&'a self, evs: &'a [Ev]) -> impl Iterator<Item = (usize, u32)> {
        let owned = evs.iter().zip(&self.owner).zip(0u32..).filter_map(|((ev, owner), i)| Some((ev.server, (*owner)?.0, i)));
        owned.filter(|(.., i)| !self.open.contains(i)).map(|(server, fact, _)| (server, fact))
    }

    fn set(&mut self, event: usize, fact: u32, tie: Tie) {
        if let Some(slot) = self.owner.get_mut(event)
            && slot.is_none()
        {
            *slot = Some((fact, tie));
        }
    }

    fn gather(&self) -> OfFact {
        OfFact::of(self.owner.iter().map(|owner| owner.map(|(fact, _)| fact)))
    }
}

/// Slack around a request's lifetime on top of the clock's own error.
const SLACK: i64 = SECOND;

/// How well a line's status explains a row: 0 best, `None` impossible.
fn explains(ev: &Ev, f: &Fact, kind: EdgeKind) -> Option<u8> {
    let e = &ev.e;
    if e.kind == LineKind::Error {
        return Some(error_explains(e.sig.as_deref(), f));
    }
    if e.kind == LineKind::Other {
        // An application warns of requests that it answers, too.
        return Some(1);
    }
    if e.hung_up() {
        return (f.edge_status == 520).then_some(0).or((f.edge_status >= 499).then_some(3));
    }
    let status = e.status?;
    if f.edge_status == 520 {
        let closing =
            matches!(status, 9 | 0 | 520) || (matches!(status, 408 | 499 | 500) && sent_nothing(ev)) || e.details().bytes_sent == Some(0);
        let large = e.details().bytes_sent.or(e.size.get()).is_some_and(|n| n > 120_000);
        return Some(match status {
            _ if closing || large => 0,
            200..=399 if kind != EdgeKind::Full => 3,
            200..=399 => 2,
            _ => 1,
        });
    }
    if status == f.edge_status || (f.origin_status != u16::MAX && status == f.origin_status) {
        return Some(0);
    }
    // The edge gave up or rewrote: 499 and 52x rows may own a line of any status; a Worker or the
    // cache may change a valid answer (304 for 200).
    match f.edge_status {
        499..=599 => Some(3),
        304 if status == 200 => Some(1),
        200 if matches!(status, 206 | 304) => Some(1),
        _ if f.origin_status == u16::MAX => Some(3),
        _ => None,
    }
}

fn sent_nothing(ev: &Ev) -> bool {
    ev.e.sent().unwrap_or(0) == 0
}

/// For error lines: rows with the status the message leads to come first, then 520s.
fn error_explains(hit: Option<&SigHit>, f: &Fact) -> u8 {
    use Sig::*;
    let s = f.edge_status;
    let num = hit.and_then(|h| h.num);
    let expected = match hit.map(|h| h.sig) {
        Some(ConnectQueueFull | ConnectFailed | UpstreamClosed | UpstreamReset | UpstreamNone | UpstreamBigHeader | UpstreamBadHeader) => {
            s == 502 || s == 503
        }
        Some(UpstreamTimedOut) => s == 504 || s == 502,
        Some(ProxyStatusLine | ProxyErrorSent | ProxyDispatch) => matches!(s, 502..=504),
        Some(LimitRequests | LimitConnections) => s == 503 || s == 429,
        Some(AccessForbidden | ModsecDeny) => s == 403,
        Some(PhpFatal | PhpMemory | PhpTime) => s == 500,
        // A missing file is a 404, not an I/O fault.
        Some(FileIo) if num == Some(2) => s == 404,
        Some(CgiMalformed | WorkerConnectionsUpstream) => s == 500,
        Some(ClientCert | ClientBadRequest) => s == 400,
        Some(UpstreamNotHttp | ModsecDrop) => return u8::from(s != 520),
        _ => return u8::from(s < 500),
    };
    if expected {
        0
    } else if s == 520 {
        1
    } else if s >= 500 {
        2
    } else {
        3
    }
}

/// Finds owners. Ray ties first, then connections that are known, then requests one to one.
pub fn tie(evs: &[Ev], facts: &Facts, keys: &[ComboKeys], index: &FactIndex, columns: &[ClientColumn], kind: EdgeKind) -> Ties {
    let mut ties = Ties::default();
    by_ray(evs, facts, index, &mut ties);
    by_connection(evs, facts, &mut ties);
    by_request(evs, facts, keys, index, columns, kind, &mut ties);
    by_connection(evs, facts, &mut ties);
    by_page(evs, &mut ties);
    by_dropped_page(evs, facts, keys, &mut ties);
    ties.of_fact = ties.gather();
    ties
}

fn in_life(ev: &Ev, f: &Fact, slack: i64) -> bool {
    match (ev.utc, super::World::life(f)) {
        (Some(t), Some(life)) => t.meets(Span { lo: life.lo - slack, hi: life.hi + slack }),
        _ => true,
    }
}

fn by_ray(evs: &[Ev], facts: &Facts, index: &FactIndex, ties: &mut Ties) {
    let best = |ev: &Ev| {
        if ev.e.ray == 0 || ev.e.raw_text {
            return None;
        }
        let best = index
            .ray(ev.e.ray)
            .filter_map(|f| Some((f, facts.get(f as usize)?)))
            .filter(|(_, f)| !ev.e.unsure_ray || (f.request != 0 && ev.e.request as u32 == f.request))
            // Rays are not guaranteed unique: time or request must agree as well.
            .filter(|(_, f)| in_life(ev, f, 10 * SECOND) || (ev.e.request != 0 && ev.e.request as u32 == f.request && ev.utc.is_none()))
            .min_by_key(|(id, f)| (ev.e.request as u32 != f.request, *id));
        best.map(|(fact, _)| (fact, Tie::Ray))
    };
    // No line's ray depends on another's tie.
    evs.par_iter().map(best).collect_into_vec(&mut ties.owner);
}

/// Error lines of a connection (nginx CID, Apache %L) that an owned line names as well.
fn by_connection(evs: &[Ev], facts: &Facts, ties: &mut Ties) {
    let names = |ev: &Ev| {
        let log_id = ev.e.details().log_id;
        [ev.e.cid.get().map(|c| (ev.server, 0u8, c)), (log_id != 0).then_some((ev.server, 1, log_id))].into_iter().flatten()
    };
    let all = || evs.iter().zip(&ties.owner);
    // Most connections have no line without an owner: those that do are asked for.
    let asked = all().filter(|(_, owner)| owner.is_none()).flat_map(|(ev, _)| names(ev));
    let mut owned: HashMap<(usize, u8, u64), Vec<u32>> = asked.map(|name| (name, Vec::new())).collect();
    for (ev, owner) in all() {
        let Some((fact, _)) = owner else { continue };
        for name in names(ev) {
            if let Some(facts) = owned.get_mut(&name) {
                facts.push(*fact);
            }
        }
    }
    for (i, ev) in evs.iter().enumerate() {
        if ties.owner.get(i).is_some_and(Option::is_some) {
            continue;
        }
        let best = names(ev)
            .filter_map(|name| owned.get(&name))
            .flatten()
            .filter_map(|&f| Some((f, facts.get(f as usize)?)))
            // A keep-alive connection serves many requests: the moment and, where named, the request decide.
            .filter(|(_, f)| ev.utc.is_some() && in_life(ev, f, SLACK / 2) && (ev.e.request == 0 || ev.e.request as u32 == f.request))
            .min_by_key(|(id, f)| (distance_to_end(ev, f), *id));
        if let Some((fact, _)) = best {
            ties.set(i, fact, Tie::Chain);
        }
    }
}

fn distance_to_end(ev: &Ev, f: &Fact) -> i64 {
    match (ev.utc, super::World::life(f)) {
        (Some(t), Some(life)) => {
            let moment = if ev.e.time_is_start { life.lo } else { life.hi };
            (t.mid() - moment).abs()
        }
        _ => 0,
    }
}

/// Of a request with a body, Apache cannot read what is left from a connection that was dropped: it logs 400 and the size of a
/// page that nobody gets (`%b`, `%B`); only a count of bytes on the wire (`%O`) would show one that was sent.
fn unread(access: &Ev) -> bool {
    access.e.status == Some(400) && access.e.details().bytes_sent.unwrap_or(0) == 0
}

/// ModSecurity on Apache names address and path, but no method: such a line goes with the owned access
/// line of the same server, client and path nearest to it.
fn by_page(evs: &[Ev], ties: &mut Ties) {
    let mut pages: HashMap<(usize, &str), Vec<u32>> = HashMap::default();
    for (i, ev) in evs.iter().enumerate() {
        let closing = matches!(ev.e.status, Some(403 | 406 | 408 | 444)) || unread(ev);
        if ev.e.kind == LineKind::Access && closing && ties.owner.get(i).is_some_and(Option::is_some) {
            pages.entry((ev.server, ev.e.path.as_str())).or_default().push(i as u32);
        }
    }
    // By request: an access log may be written twice.
    let owner = |ties: &Ties, access: u32| Some(ties.owner.get(access as usize).copied().flatten()?.0);
    let mut used: HashSet<u32> = HashSet::default();
    for (i, ev) in evs.iter().enumerate() {
        let named = matches!(ev.e.sig.as_ref().map(|h| h.sig), Some(Sig::ModsecDrop | Sig::ModsecDeny));
        if !named || ties.owner.get(i).is_some_and(Option::is_some) {
            continue;
        }
        let dropped = ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::ModsecDrop);
        let text = ev.e.text();
        let path = if ev.e.path.is_empty() { modsec_path(&text) } else { ev.e.path.as_str() };
        let best = pages
            .get(&(ev.server, path))
            .into_iter()
            .flatten()
            .filter_map(|&a| Some((a, evs.get(a as usize)?)))
            .filter(|(a, _)| owner(ties, *a).is_some_and(|fact| !used.contains(&fact)))
            // What was answered with a valid 400 was not dropped, unless the rule says so.
            .filter(|(_, access)| !unread(access) || dropped || ev.e.sig.as_ref().is_some_and(|h| h.num == Some(400)))
            .filter(|(_, access)| ev.e.client == 0 || access.e.client == 0 || ev.e.client == access.e.client)
            .filter_map(|(a, access)| Some((ev.utc?.distance(access.utc?), a)))
            .filter(|(distance, _)| *distance <= 2 * SECOND)
            .min();
        if let Some(fact) = best.and_then(|(_, a)| owner(ties, a)) {
            used.insert(fact);
            ties.set(i, fact, Tie::Chain);
        }
    }
}

/// A drop of ModSecurity that no access line goes with (Apache writes it when it gives up reading the body, 20 s later, or it
/// was not collected): such a line goes with the 520 of the same client, host and path nearest to it that has no line.
fn by_dropped_page(evs: &[Ev], facts: &Facts, keys: &[ComboKeys], ties: &mut Ties) {
    let free = |ties: &Ties, i: usize| ties.owner.get(i).is_some_and(Option::is_none);
    let dropped = |ev: &Ev| ev.e.client != 0 && ev.utc.is_some() && ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::ModsecDrop);
    let mut pages: HashMap<u32, Vec<u32>> = HashMap::default();
    for (_, ev) in evs.iter().enumerate().filter(|(i, ev)| dropped(ev) && free(ties, *i)) {
        pages.entry(modsec_page(&ev.e.text())).or_default();
    }
    if pages.is_empty() {
        return;
    }
    let before = ties.gather();
    let mut taken: HashSet<u32> = HashSet::default();
    let lined = |f: u32| {
        let mut lines = before.get(&f).into_iter().flatten().filter_map(|&e| evs.get(e as usize));
        lines.any(|ev| ev.e.kind == LineKind::Access || dropped(ev))
    };
    for (f, fact) in facts.iter().enumerate().filter(|(_, fact)| fact.edge_status == 520) {
        if let Some(list) = pages.get_mut(&fact.page) {
            list.push(f as u32);
        }
    }
    for (i, ev) in evs.iter().enumerate().filter(|(_, ev)| dropped(ev)) {
        if !free(ties, i) {
            continue;
        }
        let list = pages.get(&modsec_page(&ev.e.text())).map_or(&[][..], Vec::as_slice);
        let fits = list.iter().filter_map(|&f| Some((f, facts.get(f as usize)?))).filter(|&(f, fact)| {
            let edge = keys.get(fact.combo as usize).map_or(0, |k| k.edge_ip);
            (ev.e.client == edge || ev.e.client as u32 == fact.client) && in_life(ev, &fact, SLACK) && !taken.contains(&f) && !lined(f)
        });
        if let Some((fact, _)) = fits.min_by_key(|(id, fact)| (distance_to_end(ev, fact), *id)) {
            taken.insert(fact);
            ties.set(i, fact, Tie::Chain);
        }
    }
}

/// Low half of [`cfray_model::key::page_key`] of host and path in ModSecurity's message.
fn modsec_page(text: &str) -> u32 {
    cfray_model::key::page_key(modsec_value(text, "[hostname \"").as_bytes(), modsec_path(text).as_bytes()) as u32
}

/// What stands between a name with its opening quote and the closing one. Quotes of a client's are escaped.
fn modsec_value<'a>(text: &'a str, name: &str) -> &'a str {
    let Some(at) = text.find(name) else { return "" };
    text.get(at + name.len()..).unwrap_or_default().split('"').next().unwrap_or_default()
}

/// The value of `[uri "..."]`, without its query.
fn modsec_path(text: &str) -> &str {
    modsec_value(text, "[uri \"").split('?').next().unwrap_or_default()
}

struct Candidate {
    rank: u8,
    distance: i64,
    ev: u32,
    fact: u32,
}

fn by_request(evs: &[Ev], facts: &Facts, keys: &[ComboKeys], index: &FactIndex, columns: &[ClientColumn], kind: EdgeKind, ties: &mut Ties) {
    // A web server writes one access line a request, so lines and rows are matched one to one; of
    // error lines, one of each signature.
    let mut used: HashSet<(u32, Class)> = HashSet::default();
    for (i, owner) in ties.owner.iter().enumerate() {
        if let (Some((fact, _)), Some(ev)) = (owner, evs.get(i)) {
            used.insert((*fact, class_of(ev)));
        }
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for (i, ev) in evs.iter().enumerate() {
        let logger = || ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::AppUnanswered);
        let servers = matches!(ev.e.kind, LineKind::Access | LineKind::Error | LineKind::Audit);
        let names_request = (servers || logger()) && ev.e.request != 0;
        // A line with a ray of its own belongs to that ray's row or to a row that was not logged.
        if !names_request || ties.owner.get(i).is_some_and(Option::is_some) || ev.e.own_ray().is_some() || ev.e.stack == Stack::Fpm {
            continue;
        }
        let column = columns.get(ev.scan).copied().unwrap_or_default();
        if ev.utc.is_none() && index.requests(ev.e.request) != 1 {
            continue;
        }
        let reach = ev.utc.map(|t| Span { lo: t.lo - SLACK, hi: t.hi + SLACK });
        for fact in index.request_near(ev.e.request, reach) {
            let Some(f) = &facts.get(fact as usize) else { continue };
            if !may_have_reached_origin(f) || !in_life(ev, f, SLACK) {
                continue;
            }
            if !keys.get(f.combo as usize).is_some_and(|k| agrees(&ev.e, f, k, column, true)) {
                continue;
            }
            if let Some(rank) = explains(ev, f, kind) {
                candidates.push(Candidate { rank, distance: distance_to_end(ev, f) / (SECOND / 10), ev: i as u32, fact });
            }
        }
    }
    candidates.sort_unstable_by_key(|c| (c.rank, c.distance, c.ev, c.fact));
    let alike = (kind != EdgeKind::Full).then(|| Alike::count(evs));
    for c in &candidates {
        let Some(ev) = evs.get(c.ev as usize) else { continue };
        let class = class_of(ev);
        if ties.owner.get(c.ev as usize).is_some_and(Option::is_some) || used.contains(&(c.fact, class)) {
            continue;
        }
        used.insert((c.fact, class));
        ties.set(c.ev as usize, c.fact, Tie::Request);
        // With a job that delivers only failures, an ordinary line may as well be somebody else's, unless
        // such lines are too rare to be there by chance.
        if c.rank >= 3
            && let Some(alike) = &alike
            && !alike.rare(evs, ev, facts.get(c.fact as usize).as_ref())
        {
            ties.open.insert(c.ev);
        }
    }
}

/// How often a source logs the same request of the same client, and how long its lines reach.
struct Alike {
    lines: HashMap<(usize, u64, u64, u64), u32>,
    /// First and last moment by source.
    spans: HashMap<usize, (i64, i64)>,
}

impl Alike {
    fn key(ev: &Ev) -> (usize, u64, u64, u64) {
        (ev.scan, ev.e.request, ev.e.client, ev.e.agent)
    }

    fn count(evs: &[Ev]) -> Self {
        let mut alike = Self { lines: HashMap::default(), spans: HashMap::default() };
        for ev in evs.iter().filter(|ev| ev.e.kind == LineKind::Access && ev.e.request != 0) {
            *alike.lines.entry(Self::key(ev)).or_default() += 1;
            let Some(at) = ev.utc.map(Span::mid) else { continue };
            let span = alike.spans.entry(ev.scan).or_insert((at, at));
            *span = (span.0.min(at), span.1.max(at));
        }
        alike
    }

    /// Is a line at this very moment unlikely (below 1 in 20) if it had nothing to do with the row? The line
    /// has to fit the end of the request (its start, for servers that log that) within the clock's error,
    /// so that a repetition of the request after its failure is not taken for it.
    fn rare(&self, evs: &[Ev], ev: &Ev, fact: Option<&Fact>) -> bool {
        const TIGHT: i64 = SECOND / 4;
        let (Some(at), Some(fact)) = (ev.utc, fact) else { return false };
        let Some(life) = super::World::life(fact) else { return false };
        let moment = if ev.e.time_is_start { Span { lo: life.lo, hi: life.lo + fact.precision_ns() } } else { life };
        if !at.meets(Span { lo: moment.lo - TIGHT, hi: moment.hi + TIGHT }) {
            return false;
        }
        let others = f64::from(self.lines.get(&Self::key(ev)).copied().unwrap_or(1).saturating_sub(1));
        let (first, last) = self.spans.get(&ev.scan).copied().unwrap_or_default();
        let reach = (at.hi - at.lo) + (moment.hi - moment.lo) + 2 * TIGHT;
        let known = evs.len() >= 20 && last - first > 20 * reach;
        known && others * reach as f64 <= 0.05 * (last - first) as f64
    }
}

/// A signature, or the number of an access log.
type Class = (Option<Sig>, u32);

/// Lines of one class compete for a row: access lines of one source, lines of one signature, all others.
fn class_of(ev: &Ev) -> Class {
    match (ev.e.kind, &ev.e.sig) {
        (LineKind::Access, _) => (None, ev.scan as u32 + 1),
        (_, Some(hit)) => (Some(hit.sig), 0),
        _ => (None, 0),
    }
}
