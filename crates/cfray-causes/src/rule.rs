//! What a cause rule sees and what it says.

use crate::doc::CauseDoc;
use crate::join::coverage::Covered;
use crate::join::front;
use crate::join::world::{Ev, Span, World};
use crate::population::Population;
use cfray_model::report::{LINES, TiedLine};
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{Cause, EdgeRow, Evidence, EvidenceKind, Fact, LineKind, Sig, Stack, Text, Tie, Verdict, key};
use std::borrow::Cow;

/// A cause rule: documentation and check. One file each, listed in `registry.rs`.
pub struct Rule {
    /// The documented parts.
    pub doc: &'static CauseDoc,
    /// Looks at one incident; `None` when nothing speaks for the cause.
    pub check: fn(&Case<'_>) -> Option<Finding>,
}

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// Estimated probability that it is the right label.
    pub score: f64,
    /// Strongest tie used.
    pub tie: Tie,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
    /// What would have made it surer.
    pub missing: Vec<Cow<'static, str>>,
    /// A cause that the same evidence would fit next best.
    pub alternative: Option<(Cause, f64)>,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(cause: Cause, score: f64, tie: Tie) -> Self {
        Self { cause, score, tie, evidence: Vec::new(), missing: Vec::new(), alternative: None }
    }

    /// Adds an item.
    #[must_use]
    pub fn with(mut self, item: Evidence) -> Self {
        self.evidence.push(item);
        self
    }

    /// Adds items.
    #[must_use]
    pub fn with_all(mut self, items: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(items);
        self
    }

    /// Says what would have been needed.
    #[must_use]
    pub fn lacking(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.missing.push(what.into());
        self
    }

    /// Names the next best reading.
    #[must_use]
    pub fn or_else(mut self, cause: Cause, score: f64) -> Self {
        self.alternative = Some((cause, score));
        self
    }
}

/// An owned line: its index, the event and the tie.
pub type Owned<'w> = (u32, &'w Ev, Tie);

/// One incident with everything that was tied to it.
pub struct Case<'w> {
    /// The joined world.
    pub w: &'w World,
    /// What the incidents share and do not share with succeeding requests.
    pub p: &'w Population,
    /// Index of the incident.
    pub i: usize,
    /// The edge row.
    pub row: &'w EdgeRow,
    /// Its fact.
    pub fact: Option<Fact>,
    /// The fact's index.
    pub fact_id: Option<u32>,
    /// When the edge saw the request end: `[end, end + tick]`.
    pub end: Option<Span>,
    /// The whole life of the request.
    pub life: Option<Span>,
    /// Server whose logs answer for it.
    pub server: Option<usize>,
    /// Access line of this request.
    pub access: Option<Owned<'w>>,
    /// Error and other lines of this request.
    pub lines: Vec<Owned<'w>>,
    /// Does the server's access log cover the moment?
    pub covered: Covered,
    /// An ordinary line may or may not be this request's.
    pub open: bool,
    /// Round trip between the colo and the origin, milliseconds.
    pub rtt_ms: Option<f64>,
}

impl<'w> Case<'w> {
    /// Gathers what belongs to incident `i`.
    pub fn build(w: &'w World, p: &'w Population, i: usize) -> Option<Self> {
        let row = w.edge.incidents.get(i)?;
        let fact_id = w.incident_fact.get(i).copied().flatten();
        let fact = fact_id.and_then(|f| w.edge.facts.get(f as usize));
        let tick = row.precision_ns.max(MILLI);
        let end = row.end.or(row.start).map(|t| Span { lo: t.0, hi: t.0 + tick });
        let life = row.start.map(|s| Span { lo: s.0, hi: end.map_or(s.0 + tick, |e| e.hi) });
        let mut owned: Vec<Owned<'w>> = fact_id
            .and_then(|f| w.ties.of_fact.get(&f))
            .into_iter()
            .flatten()
            .filter_map(|&e| Some((e, w.evs.get(e as usize)?, w.ties.owner.get(e as usize).copied().flatten()?.1)))
            .collect();
        // A Worker subrequest's lines may carry the parent's ray.
        owned.sort_by_key(|(id, _, tie)| (std::cmp::Reverse(*tie), *id));
        // A line that may as well be somebody else's proves neither presence nor absence.
        let open = owned.iter().any(|o| w.ties.open.contains(&o.0));
        owned.retain(|o| !w.ties.open.contains(&o.0));
        let edge = fact.and_then(|f| w.keys.get(f.combo as usize)).map_or(0, |k| k.edge_ip);
        let visitor = fact.map_or(0, |f| f.client);
        let served = owned.iter().filter(|o| o.1.e.kind == LineKind::Access && o.1.e.stack != Stack::Fpm);
        let access = served.min_by_key(|o| front::rank(o.1, edge, visitor)).copied();
        let lines: Vec<Owned<'w>> = owned.into_iter().filter(|o| access.is_none_or(|a| a.0 != o.0)).collect();
        let server = access.or(lines.first().copied()).map(|o| o.1.server).or_else(|| p.server_of(w, row));
        let covered = match (server, end) {
            (Some(s), Some(end)) => p.coverage.at(s, end, row.host.as_deref().map_or(0, |h| key::host_key(h.as_bytes()))),
            _ => Covered::No,
        };
        let rtt_ms = w.rtt_of(row).or(row.tcp_ms.filter(|t| *t > 0).map(|t| t as f64));
        Some(Self { w, p, i, row, fact, fact_id, end, life, server, access, lines, covered, open, rtt_ms })
    }

    /// [`key::addr_key`] of the edge address; 0 when the row does not tell it.
    pub fn edge_key(&self) -> u64 {
        self.row.edge_ip.as_deref().map_or(0, |ip| key::addr_key(ip.as_bytes()))
    }

    /// Status of the access line.
    pub fn access_status(&self) -> Option<u16> {
        self.access.and_then(|a| a.1.e.status)
    }

    /// True when the origin wrote no access line for this request although its log covers the moment.
    pub fn silent(&self) -> bool {
        self.access.is_none() && !self.open && self.covered == Covered::Yes
    }

    /// No access line, and nothing speaks against that being meaningful.
    pub fn no_line(&self) -> bool {
        self.access.is_none()
    }

    /// The server closed on purpose. nginx logs 444 where a `return 444` or a named location closes, and
    /// the first status with no byte where an `error_page` leads to a location that does.
    pub fn closed_by_rule(&self) -> bool {
        self.access.is_some_and(|a| a.1.e.hung_up() || (matches!(a.1.e.status, Some(500..=504)) && a.1.e.sent() == Some(0)))
    }

    /// An error line of the request counts although no access line tells how it was answered: the
    /// edge row itself says that no valid header came.
    pub fn hidden_failure(&self) -> bool {
        self.closed_by_rule() || (self.access.is_none() && self.lines.iter().any(|l| l.1.e.kind == LineKind::Error))
    }

    /// The status of the server behind the one that closed, where a line tells.
    pub fn answered_behind(&self) -> Option<u16> {
        front::behind(self.access?.1, self.lines.iter().map(|o| o.1))
    }

    /// The request's own line with one of the signatures.
    pub fn own(&self, sigs: &[Sig]) -> Option<Owned<'w>> {
        self.lines.iter().copied().find(|l| l.1.e.sig.as_ref().is_some_and(|h| sigs.contains(&h.sig)))
    }

    /// Software in front, as far as known.
    pub fn stack(&self) -> Option<Stack> {
        self.server.and_then(|s| self.w.servers.get(s)).and_then(|s| s.stack)
    }

    /// Window around the end of the request: from `before` ms before to `after` ms after.
    pub fn window(&self, before_ms: i64, after_ms: i64) -> Option<Span> {
        self.end.map(|e| Span { lo: e.lo - before_ms * MILLI, hi: e.hi + after_ms * MILLI })
    }

    /// Events of this server with a signature inside a window around the end, nearest first. In a storm
    /// only the nearest few are looked at: more would say nothing new.
    pub fn near(&self, sigs: &[Sig], before_ms: i64, after_ms: i64) -> Vec<(u32, &'w Ev)> {
        self.near_that(sigs, before_ms, after_ms, |_| true)
    }

    /// Those of [`Self::near`] that fit: where most do not, they need not be put in order first.
    pub fn near_that(&self, sigs: &[Sig], before_ms: i64, after_ms: i64, fits: impl Fn(&Ev) -> bool) -> Vec<(u32, &'w Ev)> {
        let (Some(server), Some(window), Some(end)) = (self.server, self.window(before_ms, after_ms), self.end) else { return Vec::new() };
        let found = sigs.iter().flat_map(|&s| self.w.nearest(server, s, window, end)).filter(|(_, ev)| fits(ev));
        let mut out: Vec<(i64, u32, &Ev)> = found.map(|(id, ev)| (ev.utc.map_or(i64::MAX, |u| u.distance(end)), id, ev)).collect();
        out.sort_unstable_by_key(|(distance, id, _)| (*distance, *id));
        out.into_iter().map(|(_, id, ev)| (id, ev)).collect()
    }

    /// The first of [`Self::near`].
    pub fn nearest(&self, sigs: &[Sig], before_ms: i64, after_ms: i64) -> Option<(u32, &'w Ev)> {
        let (server, window, end) = (self.server?, self.window(before_ms, after_ms)?, self.end?);
        let near = sigs.iter().flat_map(|&s| self.w.nearest(server, s, window, end));
        near.min_by_key(|(id, ev)| (ev.utc.map_or(i64::MAX, |u| u.distance(end)), *id))
    }

    /// Milliseconds until failure, where the row tells.
    pub fn failed_after_ms(&self) -> Option<i64> {
        self.row.header_ms.or(self.row.duration_ms)
    }

    /// An origin line as evidence.
    pub fn line(&self, ev: &Ev) -> Evidence {
        let time_ms = ev.utc.map(|u| (u.lo.max(u.mid() - SECOND)).div_euclid(MILLI));
        Evidence {
            kind: EvidenceKind::Line,
            source: self.w.source_text(ev),
            line: Some(ev.e.at.line),
            time_ms,
            offset_ms: time_ms.zip(self.end).map(|(t, e)| t - e.lo.div_euclid(MILLI)),
            text: ev.e.text(),
        }
    }

    /// The request's own lines in order of time, for the timeline of one request. Those that the verdict
    /// quotes are there without their text.
    pub fn tied_lines(&self, verdict: &Verdict) -> Vec<TiedLine> {
        let mut own: Vec<&Owned<'w>> = self.access.iter().chain(&self.lines).filter(|o| o.2 >= Tie::Chain).collect();
        own.truncate(LINES);
        own.sort_by_key(|o| (o.1.utc.map_or(i64::MAX, Span::mid), o.0));
        own.into_iter()
            .map(|(_, ev, tie)| {
                let (source, line) = (self.w.source_text(ev), ev.e.at.line);
                let quoted = verdict.evidence.iter().any(|e| e.line == Some(line) && e.source == source);
                TiedLine {
                    tie: *tie,
                    source,
                    line,
                    time_ms: ev.utc.map(|u| u.mid().div_euclid(MILLI)),
                    error_ms: ev.utc.map_or(0, |u| (u.hi - u.lo).max(0) / (2 * MILLI)),
                    text: if quoted { Text::new() } else { ev.e.text() },
                }
            })
            .collect()
    }

    /// The access line as evidence, if there is one.
    pub fn access_line(&self) -> Option<Evidence> {
        self.access.map(|a| self.line(a.1))
    }

    /// Connection and timing of the edge row in a sentence.
    pub fn timing(&self) -> Evidence {
        let connection = match self.row.reused() {
            Some(true) => "reused connection",
            Some(false) => "new connection",
            None => "connection kind not known",
        };
        let ms = |v: Option<i64>| v.map_or("?".to_owned(), |v| v.to_string());
        let mut text = format!(
            "{connection} (TCP {} ms, TLS {} ms), failed after {} ms",
            ms(self.row.tcp_ms),
            ms(self.row.tls_ms),
            ms(self.failed_after_ms())
        );
        if let Some(rtt) = self.rtt_ms {
            text.push_str(&format!("; one round trip from {} takes about {rtt:.0} ms", self.row.colo.as_deref().unwrap_or("there")));
        }
        sentence(EvidenceKind::Field, text)
    }

    /// "No access line" as evidence.
    pub fn absence(&self) -> Evidence {
        let server = self.server.and_then(|s| self.w.servers.get(s)).map_or("the origin", |s| s.name.as_str());
        sentence(
            EvidenceKind::Absence,
            format!("no access line of this request in the logs of {server}, which hold those of the requests around it"),
        )
    }

    /// Multiplier for how well presence or absence is known.
    pub fn absence_weight(&self) -> f64 {
        match self.covered {
            _ if self.open => 0.85,
            Covered::Yes => 1.0,
            Covered::Unclear => 0.9,
            Covered::No => 0.78,
        }
    }
}

/// An item that is a sentence.
pub fn sentence(kind: EvidenceKind, text: impl Into<Text>) -> Evidence {
    let text = text.into();
    Evidence { kind, source: Text::new(), line: None, time_ms: None, offset_ms: None, text }
}
