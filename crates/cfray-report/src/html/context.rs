//! What the template shows, in words and ready-made numbers.

use super::chart::{Chart, Palette, draw};
use super::data;
use super::impact::{ImpactView, Tile, impact, tiles};
use crate::RenderOptions;
use crate::csv::evidence;
use crate::escape::visible;
use crate::view::View;
use crate::words::{self, count, number, percent, span, sure};
use cfray_model::report::{Breakdown, CauseSummary, Episode, Report, Row, Share, SourceSummary};
use cfray_model::serverconf::ConfigFinding;
use cfray_model::source::Skipped;
use cfray_model::{Cause, Stamp};
use serde::Serialize;

/// Rows that can be read without script.
const PLAIN_ROWS: usize = 50;
/// Episodes shown as cards at once; the others open on demand.
const CARDS: usize = 6;
/// Most episodes on the page.
const EPISODES: usize = 300;
/// Most sources and skipped files listed; hourly Logpush files may be thousands.
const SOURCES: usize = 400;

/// The page.
#[derive(Serialize)]
pub struct Page {
    title: String,
    headline: String,
    /// `520s`.
    name: String,
    found: u64,
    span: String,
    tiles: Vec<Tile>,
    impact: Option<ImpactView>,
    causes: Vec<CauseView>,
    chart: Option<Chart>,
    episodes: Vec<EpisodeView>,
    more_episodes: Vec<EpisodeView>,
    hidden_episodes: usize,
    breakdowns: Vec<BreakdownView>,
    endpoints: Vec<ShareView>,
    rows: Vec<RowView>,
    listed: String,
    capped: String,
    sources: Vec<SourceView>,
    skipped: Vec<Skipped>,
    more_sources: usize,
    origins: Vec<(String, String, String)>,
    neighbours: Vec<(u16, &'static str, String, &'static str)>,
    audit: Vec<AuditView>,
    config_read: String,
    config: Vec<ConfigView>,
    config_problems: Vec<String>,
    /// What the run as a whole read and tied.
    facts: Vec<(&'static str, String)>,
    notes: Vec<String>,
    version: String,
    inputs: Vec<String>,
    options: Vec<String>,
    statuses: String,
    privacy: &'static str,
}

/// Findings in server configuration on the page; the JSON report has all.
const CONFIG: usize = 200;

#[derive(Serialize)]
struct ConfigView {
    weight: &'static str,
    what: String,
    place: String,
    directive: String,
    why: String,
    fix: String,
    causes: String,
}

impl ConfigView {
    fn new(f: &ConfigFinding) -> Self {
        Self {
            weight: f.weight.name(),
            what: show(&f.what),
            place: show(&words::config_place(f)),
            directive: show(&f.directive),
            why: show(&f.why),
            fix: show(&f.fix),
            causes: words::config_causes(f),
        }
    }
}

#[derive(Serialize)]
struct CauseView {
    name: &'static str,
    family: &'static str,
    class: String,
    count: u64,
    shown: String,
    share: String,
    width: u64,
    sure: String,
    says: String,
    fixes: Vec<(&'static str, Prose)>,
}

#[derive(Serialize)]
struct EpisodeView {
    number: i64,
    cause: &'static str,
    class: String,
    sure: String,
    span: String,
    from_ms: i64,
    to_ms: i64,
    count: String,
    of: String,
    peak: String,
    clients: String,
    server: String,
    facts: Vec<(&'static str, String)>,
    decisive: Vec<String>,
    fix: Prose,
    check: Prose,
}

#[derive(Serialize)]
struct BreakdownView {
    dimension: String,
    title: &'static str,
    values: Vec<ShareView>,
}

#[derive(Serialize)]
struct ShareView {
    name: String,
    count: u64,
    shown: String,
    total: String,
    share: String,
    width: u64,
    /// Share of all requests, in words and as a width; empty when not known.
    normal: String,
    normal_width: u64,
    class: String,
    cause: &'static str,
}

#[derive(Serialize)]
struct RowView {
    time: String,
    ray: String,
    method: String,
    target: String,
    client: String,
    colo: String,
    cause: &'static str,
    class: String,
    sure: String,
    evidence: Vec<String>,
}

#[derive(Serialize)]
struct SourceView {
    name: String,
    format: String,
    server: String,
    lines: String,
    rejected: u64,
    first_reject: String,
    span: String,
    uncovered: String,
    about: String,
    clock: String,
    clock_unknown: bool,
    has_ray: bool,
    tied: String,
}

#[derive(Serialize)]
struct AuditView {
    what: String,
    hides: String,
    paste: String,
    server: String,
}

/// Text in pieces: is it code?
type Prose = Vec<(bool, String)>;

/// What stands between backticks is code.
fn prose(text: &str) -> Prose {
    if text.matches('`').count() % 2 == 1 {
        return vec![(false, show(text))];
    }
    text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty()).map(|(at, piece)| (at % 2 == 1, show(piece))).collect()
}

fn show(text: &str) -> String {
    visible(text).into_owned()
}

fn width(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).map_or(0, |percent| percent.min(100).max(u64::from(part > 0)))
}

impl Page {
    /// Everything but the packed rows.
    pub fn new(view: &View<'_>, palette: &Palette, listed: &[usize], options: &RenderOptions) -> Self {
        let report = &view.head;
        let found = report.edge.incidents;
        let mut episodes: Vec<EpisodeView> = report.episodes.iter().take(EPISODES).map(|e| episode(e, report, palette)).collect();
        let more_episodes = episodes.split_off(episodes.len().min(CARDS));
        let c = &report.edge.counters;
        let capped = if listed.len() < view.len() {
            format!(
                "The table holds {} of {} rows, those of the largest and surest episodes; the CSV, Parquet and NDJSON reports hold all.",
                number(listed.len() as u64),
                number(view.len() as u64)
            )
        } else {
            String::new()
        };
        debug_assert!(listed.len() <= data::ROWS);
        Self {
            title: format!("{} — {}", words::incidents(&report.meta.statuses, 2), span(c.first, c.last)),
            headline: show(&report.headline),
            name: words::incidents(&report.meta.statuses, 2),
            found,
            span: span(c.first, c.last),
            tiles: tiles(report),
            impact: impact(report),
            facts: facts(report),
            causes: report.causes.iter().map(|c| cause(c, report, palette)).collect(),
            chart: draw(report, palette),
            hidden_episodes: report.episodes.len().saturating_sub(EPISODES),
            episodes,
            more_episodes,
            breakdowns: breakdowns(report, palette),
            endpoints: shares(&report.endpoints, found, report.edge.origin_requests, palette),
            rows: view.pick(listed.get(..PLAIN_ROWS).unwrap_or(listed)).iter().map(|r| row(r, palette)).collect(),
            listed: number(listed.len() as u64),
            capped,
            sources: report.sources.iter().take(SOURCES).map(source).collect(),
            skipped: report
                .skipped
                .iter()
                .take(SOURCES)
                .map(|s| Skipped { name: show(&s.name), what: show(&s.what), hint: show(&s.hint), failed: s.failed })
                .collect(),
            more_sources: report.sources.len().saturating_sub(SOURCES) + report.skipped.len().saturating_sub(SOURCES),
            origins: report.edge.origins.iter().map(|(origin, server, n)| (show(origin), show(server), number(*n))).collect(),
            neighbours: report
                .edge
                .neighbours
                .iter()
                .map(|(status, cause, n)| (*status, cause.name(), number(*n), words::neighbour(*cause)))
                .collect(),
            audit: report
                .audit
                .iter()
                .map(|a| AuditView { what: show(&a.what), hides: show(&a.hides), paste: show(&a.paste), server: show(&a.server) })
                .collect(),
            config_read: if report.config.is_empty() { String::new() } else { show(&words::config_read(&report.config)) },
            config: report.config.findings.iter().take(CONFIG).map(ConfigView::new).collect(),
            config_problems: words::config_problems(&report.config).iter().take(CONFIG).map(|p| show(p)).collect(),
            notes: report.meta.notes.iter().map(|n| show(n)).collect(),
            version: show(&report.meta.version),
            inputs: report.meta.inputs.iter().chain(Some(&report.meta.input_note).filter(|n| !n.is_empty())).map(|i| show(i)).collect(),
            options: report.meta.options.iter().map(|o| show(o)).collect(),
            statuses: show(&report.meta.statuses),
            privacy: match (options.redact.is_some(), options.show_secrets) {
                (true, _) => "Secrets are masked; addresses and query values are pseudonyms.",
                (false, false) => "Secrets are masked.",
                (false, true) => "Secrets are shown: do not pass this page on.",
            },
        }
    }
}

fn cause(c: &CauseSummary, report: &Report, palette: &Palette) -> CauseView {
    let total: u64 = report.causes.iter().map(|c| c.count).sum();
    let fixes = [
        ("Server administrator", &c.fix_admin),
        ("Site owner", &c.fix_owner),
        ("Developer", &c.fix_developer),
        ("Client", &c.fix_client),
        ("To be surer", &c.check),
    ];
    CauseView {
        name: c.cause.name(),
        family: c.cause.family().title(),
        class: palette.class(c.cause),
        count: c.count,
        shown: number(c.count),
        share: percent(c.count, total),
        width: width(c.count, report.causes.first().map_or(0, |c| c.count)),
        sure: if c.cause == Cause::Unknown { String::new() } else { sure(c.confidence) },
        says: show(&c.says),
        fixes: fixes.into_iter().filter(|(_, fix)| !fix.is_empty()).map(|(role, fix)| (role, prose(fix))).collect(),
    }
}

fn episode(e: &Episode, report: &Report, palette: &Palette) -> EpisodeView {
    let cause = e.cause.unwrap_or(Cause::Unknown);
    let summary = report.causes.iter().find(|c| c.cause == cause);
    let list =
        |names: &[(String, u64)]| names.iter().map(|(name, n)| format!("{} ({})", show(name), number(*n))).collect::<Vec<_>>().join(", ");
    let mut facts = vec![("Hosts", list(&e.hosts)), ("Paths", list(&e.paths)), ("Via", list(&e.colos))];
    facts.retain(|(_, text)| !text.is_empty());
    EpisodeView {
        number: e.number,
        cause: cause.name(),
        class: palette.class(cause),
        sure: if cause == Cause::Unknown { String::new() } else { sure(e.confidence) },
        span: span(e.from, e.to),
        from_ms: e.from.map_or(i64::MIN / 2_000_000, Stamp::millis),
        to_ms: e.to.map_or(i64::MAX / 2_000_000, Stamp::millis),
        count: number(e.count),
        of: if e.requests > 0 { format!("of {} requests ({})", number(e.requests), percent(e.count, e.requests)) } else { String::new() },
        peak: number(e.peak_per_minute),
        clients: if e.clients > 0 { count(e.clients, "client") } else { String::new() },
        server: show(&e.server),
        facts,
        decisive: e.decisive.iter().map(|line| show(line)).collect(),
        fix: summary.map_or(Prose::new(), |c| prose(&c.fix_admin)),
        check: summary.map_or(Prose::new(), |c| prose(&c.check)),
    }
}

fn breakdowns(report: &Report, palette: &Palette) -> Vec<BreakdownView> {
    let all = report.edge.origin_requests;
    let one = |b: &Breakdown| BreakdownView {
        dimension: show(&b.dimension),
        title: match b.dimension.as_str() {
            "host" => "Host",
            "path" => "Path",
            "colo" => "Cloudflare data centre",
            "origin_ip" => "Origin address",
            "method" => "Method",
            "client" => "Client",
            _ => "Other",
        },
        values: shares(&b.values, report.edge.incidents, all, palette),
    };
    report.breakdowns.iter().filter(|b| !b.values.is_empty()).map(one).collect()
}

fn shares(values: &[Share], found: u64, all: u64, palette: &Palette) -> Vec<ShareView> {
    let one = |s: &Share| ShareView {
        name: show(&s.name),
        count: s.count,
        shown: number(s.count),
        total: s.total.map(number).unwrap_or_default(),
        share: percent(s.count, found),
        width: width(s.count, found),
        normal: s.total.map(|total| percent(total, all)).unwrap_or_default(),
        normal_width: s.total.map_or(0, |total| width(total, all)),
        class: palette.class(s.cause.unwrap_or(Cause::Unknown)),
        cause: s.cause.unwrap_or(Cause::Unknown).name(),
    };
    values.iter().map(one).collect()
}

/// The edge log and the ties in a line each.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let (e, c) = (&report.edge, &report.edge.counters);
    let mut edge = format!("{}, {} log", count(c.rows, "request"), e.kind);
    for (n, what) in [(c.duplicates, "left out as duplicates"), (c.rejected, "lines that are no request")] {
        if n > 0 {
            edge.push_str(&format!(", {} {what}", number(n)));
        }
    }
    if c.precision_ns >= cfray_model::time::SECOND {
        edge.push_str(", times in whole seconds");
    }
    let how = |name: &str| match name {
        "ray" => "by ray",
        "request" => "by request",
        "chain" => "by connection or process",
        "window" => "by time alone",
        _ => "not at all",
    };
    let ties: Vec<String> = e.ties.iter().map(|(name, n)| format!("{} {}", number(*n), how(name))).collect();
    let mut facts = vec![("Cloudflare", edge), ("Tied to origin lines", ties.join(", "))];
    if e.uncounted > 0 {
        facts.push(("Not counted", format!("{} of Cloudflare's own internal requests: listed, not in the totals", number(e.uncounted))));
    }
    facts.retain(|(_, text)| !text.is_empty());
    facts
}

fn row(r: &Row, palette: &Palette) -> RowView {
    let e = &r.edge;
    let text = |field: &Option<cfray_model::Text>| show(field.as_deref().unwrap_or_default());
    RowView {
        time: e.start.map(words::moment).unwrap_or_default(),
        ray: e.ray.map(|ray| ray.to_string()).unwrap_or_default(),
        method: text(&e.method),
        target: format!("{}{}", text(&e.host), text(&e.uri)),
        client: text(&e.client_ip),
        colo: text(&e.colo),
        cause: r.verdict.cause.name(),
        class: palette.class(r.verdict.cause),
        sure: sure(r.verdict.confidence),
        evidence: r.verdict.evidence.iter().map(|item| show(&evidence(item))).collect(),
    }
}

/// Whom a source speaks for, and its lowest level.
fn about(s: &SourceSummary) -> String {
    let hosts = (!s.hosts.is_empty()).then(|| format!("of {}", s.hosts.join(", ")));
    let level = (!s.lowest_level.is_empty()).then(|| format!("lowest level {}", s.lowest_level));
    [hosts, level].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn source(s: &SourceSummary) -> SourceView {
    SourceView {
        name: show(&s.info.name),
        format: show(&s.info.format),
        server: show(&s.info.server),
        lines: number(s.lines),
        rejected: s.rejected,
        first_reject: s.rejects.first().map_or(String::new(), |r| format!("line {}: {}", r.at.line, show(&r.reason))),
        span: if s.first.is_none() && s.last.is_none() { String::new() } else { span(s.first, s.last) },
        uncovered: show(&words::uncovered(s)),
        about: show(&about(s)),
        clock: show(&s.clock),
        clock_unknown: s.clock_unknown,
        has_ray: s.has_ray,
        tied: if s.info.server.is_empty() { String::new() } else { number(s.tied) },
    }
}
