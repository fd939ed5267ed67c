//! What happened to one request, in time order.

use cfray_causes::join::{Ev, Span, World};
use cfray_model::report::Row;
use cfray_model::time::SECOND;
use cfray_model::{Cause, EvidenceKind, LineKind, RayId, Sig, Stamp, Tie};
use std::collections::{BTreeMap, BTreeSet};

/// How a line came into the timeline, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Link {
    /// It is the edge row.
    Edge,
    /// The ray stands in the line's ray position.
    Ray,
    /// Same request by method, URI, addresses and time.
    Request,
    /// Same connection or log id, or otherwise reached from a tied line.
    Chain,
    /// About the process that served the request, near in time.
    Process,
    /// Names the same method and URI, near in time; no edge row tells whether it is this request.
    Same,
    /// Named by the verdict.
    Evidence,
    /// The ray stands somewhere in the text.
    Mention,
}

impl Link {
    /// A word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Ray => "by ray",
            Self::Request => "by request",
            Self::Chain => "by connection",
            Self::Process => "same process",
            Self::Same => "same method and URI",
            Self::Evidence => "near in time",
            Self::Mention => "mentions the ray",
        }
    }

    const fn of(tie: Tie) -> Self {
        match tie {
            Tie::Ray => Self::Ray,
            Tie::Request => Self::Request,
            Tie::Chain => Self::Chain,
            Tie::Window | Tie::None => Self::Evidence,
        }
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// True time; `None` when the clock is not known.
    pub utc: Option<Span>,
    /// Stated time in nanoseconds, digits as written.
    pub stated: Option<i64>,
    /// How it belongs to the request.
    pub link: Link,
    /// Who says so: `web1 nginx error log`.
    pub who: String,
    /// `FILE:LINE`; empty for what the edge row says.
    pub place: String,
    /// The raw line, or a sentence.
    pub text: String,
}

/// Lines about a process count this long before and after the request.
const PROCESS_BEFORE: i64 = SECOND;
const PROCESS_AFTER: i64 = 5 * SECOND;

/// A connection id starts again when the server does: same id, but not hours apart.
const CONNECTION_SPAN: i64 = 120 * SECOND;

/// The steps of the request and of its subrequests.
pub fn build(ray: RayId, worlds: &[World], rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rows.iter().flat_map(edge_steps).collect();
    for world in worlds {
        let linked = linked(ray, world);
        entries.extend(linked.iter().filter_map(|(event, how)| Some(step(world, world.evs.get(*event as usize)?, *how))));
    }
    let mut seen: BTreeSet<String> = entries.iter().filter(|e| e.link != Link::Edge).map(|e| e.place.clone()).collect();
    for row in rows.iter().filter(|row| super::failed(row)) {
        entries.extend(from_evidence(row, worlds).into_iter().filter(|entry| seen.insert(entry.place.clone())));
    }
    entries.sort_by(|a, b| order(a).cmp(&order(b)));
    entries
}

/// Events that belong to the ray, and how.
fn linked(ray: RayId, world: &World) -> BTreeMap<u32, Link> {
    let mut linked: BTreeMap<u32, Link> = BTreeMap::new();
    let mut link = |event: u32, how: Link| {
        let slot = linked.entry(event).or_insert(how);
        *slot = how.min(*slot);
    };
    for (at, row) in world.edge.incidents.iter().enumerate() {
        if row.ray != Some(ray) && row.parent_ray != Some(ray) {
            continue;
        }
        let Some(fact) = world.incident_fact.get(at).copied().flatten() else { continue };
        for &event in world.ties.of_fact.get(&fact).into_iter().flatten() {
            if let Some((_, tie)) = world.ties.owner.get(event as usize).copied().flatten() {
                link(event, Link::of(tie));
            }
        }
    }
    for (event, ev) in numbered(world) {
        if ev.e.ray == ray.0 {
            link(event, Link::Ray);
        }
    }
    let no_row = world.edge.incidents.iter().all(|row| row.ray != Some(ray));
    follow(world, &mut linked, no_row);
    linked
}

/// Status of the ray's access line, and causes at which signatures of its lines are found: a hint where no edge row is there.
pub fn signs(ray: RayId, worlds: &[World]) -> (Option<u16>, Vec<Cause>) {
    let mut status = None;
    let mut causes = BTreeSet::new();
    for world in worlds {
        for event in linked(ray, world).into_keys() {
            let Some(ev) = world.evs.get(event as usize) else { continue };
            if ev.e.ray == ray.0 && ev.e.kind == LineKind::Access {
                status = status.or(ev.e.status);
            }
            causes.extend(ev.e.sig.as_ref().and_then(|hit| sign_of(hit.sig)));
        }
    }
    (status, causes.into_iter().collect())
}

/// The cause that a signature in a request's own lines speaks for, if the answer did not go out.
const fn sign_of(sig: Sig) -> Option<Cause> {
    Some(match sig {
        Sig::NginxWorkerSignal | Sig::ApacheChildSignal | Sig::HaProxyWorkerSignal | Sig::KernelFault | Sig::FpmChildSignal => {
            Cause::WorkerCrash
        }
        Sig::OomKill => Cause::OomKill,
        Sig::WorkerConnections | Sig::ConnectQueueFull | Sig::FpmMaxChildren => Cause::PoolExhausted,
        Sig::FpmTimeout => Cause::TimeoutKill,
        Sig::FileIo | Sig::AllocFailed => Cause::ServerIo,
        Sig::PhpFatal | Sig::PhpMemory | Sig::PhpTime => Cause::AppFatal,
        Sig::UpstreamNotHttp => Cause::MalformedResponse,
        Sig::ProxyStatusLine => Cause::BackendClosed,
        Sig::ModsecDrop | Sig::LimitRequests => Cause::RuleDropped,
        Sig::LimitConnections | Sig::LiteSpeedThrottle => Cause::Throttled,
        Sig::StreamForbidden => Cause::EdgeIpBlocked,
        Sig::Http2TooLarge => Cause::RequestRejected,
        Sig::ClientCert | Sig::ApacheClientCert | Sig::PeerClientCert => Cause::OriginPullRejected,
        Sig::ProxyProtocol => Cause::ProxyProtocol,
        Sig::H2Preface | Sig::Http2Error => Cause::Http2Fault,
        _ => return None,
    })
}

/// Lines that hold the ray's digits somewhere in their text, and that are no step.
pub fn mentions(ray: RayId, worlds: &[World], entries: &[Entry]) -> Vec<Entry> {
    let digits = ray.to_string();
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.place.as_str()).collect();
    let holds = |ev: &Ev| ev.e.text().to_ascii_lowercase().contains(&digits);
    let steps = worlds.iter().flat_map(|world| world.evs.iter().filter(|ev| holds(ev)).map(|ev| step(world, ev, Link::Mention)));
    steps.filter(|entry| !known.contains(entry.place.as_str())).collect()
}

fn numbered(world: &World) -> impl Iterator<Item = (u32, &Ev)> {
    (0u32..).zip(&world.evs)
}

/// From tied lines to others of the same connection, log id or process on the same server; without
/// an edge row also to those that name the same request.
fn follow(world: &World, linked: &mut BTreeMap<u32, Link>, no_row: bool) {
    let tied: Vec<&Ev> = linked.keys().filter_map(|event| world.evs.get(*event as usize)).collect();
    let near = |a: &Ev, b: &Ev, before: i64, after: i64| match (a.utc, b.utc) {
        (Some(a), Some(b)) => b.hi >= a.lo - before && b.lo <= a.hi + after,
        // Without a clock only lines of one file can be compared, by the digits.
        _ => a.scan == b.scan && a.e.time().zip(b.e.time()).is_some_and(|(a, b)| (-before..=after).contains(&(b.civil_ns - a.civil_ns))),
    };
    for (event, ev) in numbered(world) {
        for anchor in tied.iter().filter(|anchor| anchor.server == ev.server) {
            let same_connection = anchor.e.cid.get().is_some() && anchor.e.cid == ev.e.cid && anchor.e.stack == ev.e.stack;
            let same_log_id = anchor.e.details().log_id != 0 && anchor.e.details().log_id == ev.e.details().log_id;
            // A line that names another request is that request's.
            let others = ev.e.request != 0 && anchor.e.request != 0 && ev.e.request != anchor.e.request;
            let about = ev.e.sig.as_ref().and_then(|hit| hit.pid);
            let how = if (same_connection || same_log_id) && !others && near(anchor, ev, CONNECTION_SPAN, CONNECTION_SPAN) {
                Link::Chain
            } else if about.is_some() && about == anchor.e.pid.get() && near(anchor, ev, PROCESS_BEFORE, PROCESS_AFTER) {
                Link::Process
            } else if no_row && ev.e.ray == 0 && anchor.e.request != 0 && ev.e.request == anchor.e.request {
                let took = anchor.e.details().duration_us.map_or(0, |us| i64::try_from(us).unwrap_or(0).saturating_mul(1000));
                if !near(anchor, ev, took.saturating_add(PROCESS_BEFORE), PROCESS_BEFORE) {
                    continue;
                }
                Link::Same
            } else {
                continue;
            };
            let slot = linked.entry(event).or_insert(how);
            *slot = how.min(*slot);
        }
    }
}

/// A line of an origin log.
fn step(world: &World, ev: &Ev, link: Link) -> Entry {
    let server = world.servers.get(ev.server).map_or("", |s| s.name.as_str());
    let format = world.scans.get(ev.scan).map_or("", |s| s.info.format.as_str());
    Entry {
        utc: ev.utc,
        stated: ev.e.time().map(|t| t.civil_ns),
        link,
        who: [server, format].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(" "),
        place: format!("{}:{}", world.source_name(ev), ev.e.at.line),
        text: ev.e.text().to_string(),
    }
}

/// What the edge row says happened, with its times.
fn edge_steps(row: &Row) -> Vec<Entry> {
    let edge = &row.edge;
    let tick = edge.precision_ns.max(1) - 1;
    let at = |time: Option<Stamp>| time.map(|t| Span { lo: t.0, hi: t.0 + tick });
    let colo = edge.colo.as_deref().filter(|c| !c.is_empty()).map(|c| format!(" at {c}")).unwrap_or_default();
    let what = if edge.parent_ray.is_some() { "subrequest begins" } else { "request arrives" };
    let request = [edge.method.as_deref(), edge.uri.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let entry = |utc: Option<Span>, text: String| Entry {
        utc,
        stated: utc.map(|s| s.lo),
        link: Link::Edge,
        who: "Cloudflare".to_owned(),
        place: row.source.to_string(),
        text,
    };
    let mut steps = vec![entry(at(edge.start), format!("{what}{colo}: {request}"))];
    let origin = match (edge.contacted(), edge.reused(), edge.tcp_ms, edge.tls_ms) {
        (Some(false), ..) => ", origin not contacted".to_owned(),
        (_, Some(true), ..) => ", on a reused connection".to_owned(),
        (_, Some(false), tcp, tls) => format!(", on a new connection (TCP {} ms, TLS {} ms)", tcp.unwrap_or(0), tls.unwrap_or(0)),
        _ => String::new(),
    };
    if let Some(end) = edge.end {
        let took = edge.start.map(|start| format!(" after {} ms", (end.0 - start.0) / 1_000_000)).unwrap_or_default();
        let origin_status = edge.origin_status.map(|s| format!(", origin status {s}")).unwrap_or_default();
        steps.push(entry(at(Some(end)), format!("answers {}{took}{origin_status}{origin}", edge.edge_status)));
    }
    steps
}

/// Lines that the verdict rests on and that are tied by time only.
fn from_evidence(row: &Row, worlds: &[World]) -> Vec<Entry> {
    let lines = row.verdict.evidence.iter().filter(|item| item.kind == EvidenceKind::Line);
    lines
        .map(|item| {
            let place = item.line.map_or_else(|| item.source.to_string(), |line| format!("{}:{line}", item.source));
            let known = worlds.iter().find_map(|world| {
                let ev = world.evs.iter().find(|ev| Some(ev.e.at.line) == item.line && world.source_name(ev) == item.source)?;
                Some(step(world, ev, Link::Evidence))
            });
            let ns = item.time_ms.map(|ms| ms.saturating_mul(1_000_000));
            known.unwrap_or_else(|| Entry {
                utc: ns.map(|ns| Span { lo: ns, hi: ns }),
                stated: None,
                link: Link::Evidence,
                who: row.server.to_string(),
                place,
                text: item.text.to_string(),
            })
        })
        .collect()
}

/// True time first, of a coarse stamp the middle; then what has no clock, as logged. A request's begin
/// goes before its end even where both stamps are whole seconds.
fn order(entry: &Entry) -> (bool, i64, i64, Link, &str, &str) {
    let (mid, hi) = entry.utc.map_or((entry.stated.unwrap_or(0), 0), |s| (s.mid(), s.hi));
    // Steps of one row come in their own order, also where whole-second stamps make them one moment.
    let text = if entry.link == Link::Edge { "" } else { entry.text.as_str() };
    (entry.utc.is_none(), mid, hi, entry.link, &entry.place, text)
}
