//! The gate between the report and its renderers: what passes is masked.

use crate::RenderOptions;
use crate::escape::{EVIDENCE_CHARS, clip_middle, controls};
use crate::mask::Masker;
use cfray_model::report::{Breakdown, Episode, Report, Row, Share, SourceSummary, Timeline};
use cfray_model::serverconf::ConfigReport;
use cfray_model::verdict::Evidence;
use std::borrow::Cow;

/// A masked report. Rows are masked one by one, on demand: there may be millions.
#[derive(Debug)]
pub struct View<'a> {
    /// Everything but the rows.
    pub head: Report,
    rows: &'a [Row],
    masker: Masker,
    threads: usize,
}

/// Rows that are masked at a time, and in memory masked.
const BATCH: usize = 4096;
/// A thread is not worth its start for fewer rows.
const SHARE: usize = 256;

impl<'a> View<'a> {
    /// Masks all but the rows.
    pub fn new(report: &'a Report, options: &RenderOptions) -> Self {
        let masker = Masker::new(options);
        let head = mask_head(report, &masker);
        Self { head, rows: &report.rows, masker, threads: options.threads }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// No rows?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One row, masked.
    pub fn row(&self, index: usize) -> Option<Row> {
        self.rows.get(index).map(|row| mask_row(row, &self.masker))
    }

    /// All rows, masked, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).step_by(BATCH).flat_map(|from| self.batch(from, from + BATCH))
    }

    /// The rows of a range, masked, in order.
    pub fn batch(&self, from: usize, to: usize) -> Vec<Row> {
        let rows = self.rows.get(from..to.min(self.rows.len())).unwrap_or_default();
        let masked = |rows: &[Row]| rows.iter().map(|row| mask_row(row, &self.masker)).collect::<Vec<_>>();
        let threads = self.threads.min(rows.len() / SHARE).max(1);
        if threads == 1 {
            return masked(rows);
        }
        let masked = &masked;
        std::thread::scope(|scope| {
            let workers: Vec<_> = rows.chunks(rows.len().div_ceil(threads)).map(|part| scope.spawn(move || masked(part))).collect();
            let mut all = Vec::with_capacity(rows.len());
            for worker in workers {
                match worker.join() {
                    Ok(mut part) => all.append(&mut part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    }

    /// The rows themselves, for choosing among them only: what they hold is not masked.
    pub(crate) fn unmasked(&self) -> &'a [Row] {
        self.rows
    }
}

/// Masks one row, and cuts its evidence to the length that the contract gives.
pub fn mask_row(row: &Row, masker: &Masker) -> Row {
    let mut row = row.clone();
    let edge = &mut row.edge;
    for text in [
        &mut edge.host,
        &mut edge.method,
        &mut edge.uri,
        &mut edge.client_country,
        &mut edge.user_agent,
        &mut edge.referer,
        &mut edge.protocol,
        &mut edge.source,
        &mut edge.colo,
        &mut edge.origin_tls,
        &mut edge.cache,
        &mut edge.pathing_op,
        &mut edge.pathing_status,
    ]
    .into_iter()
    .flatten()
    {
        change(text, |t| masker.text(t));
    }
    for text in [&mut edge.client_ip, &mut edge.edge_ip, &mut edge.origin_ip].into_iter().flatten() {
        change(text, |t| masker.address(t));
    }
    change(&mut row.source, |t| masker.own(t));
    change(&mut row.server, |t| masker.own(t));
    for item in &mut row.verdict.evidence {
        mask_evidence(item, masker);
    }
    for line in &mut row.lines {
        change(&mut line.source, |t| masker.own(t));
        change(&mut line.text, |t| shown(t, masker));
    }
    for item in &mut row.verdict.missing {
        change(item, |t| masker.own(t));
    }
    row
}

fn mask_evidence(item: &mut Evidence, masker: &Masker) {
    change(&mut item.text, |t| shown(t, masker));
    change(&mut item.source, |t| masker.own(t));
}

/// A line of evidence as reports show it: masked first, so that no cut can hide what a secret is.
pub fn evidence_text(text: &str, masker: &Masker) -> String {
    shown(text, masker).into_owned()
}

fn shown<'a>(text: &'a str, masker: &Masker) -> Cow<'a, str> {
    let masked = masker.text(text);
    // What no step had to change is what came in.
    match (&masked, clip_middle(&controls(&masked), EVIDENCE_CHARS)) {
        (Cow::Borrowed(_), Cow::Borrowed(same)) if same.len() == text.len() => Cow::Borrowed(text),
        (_, changed) => Cow::Owned(changed.into_owned()),
    }
}

fn change(text: &mut String, f: impl for<'a> Fn(&'a str) -> Cow<'a, str>) {
    if text.is_empty() {
        return;
    }
    if let Cow::Owned(changed) = f(text) {
        *text = changed;
    }
}

/// Findings in server configuration. Only directives that a check reads are in it; their values are masked like
/// log lines all the same.
fn config(report: &Report, masker: &Masker) -> ConfigReport {
    let own = |t: &String| masker.own(t).into_owned();
    let shown = |t: &String| evidence_text(t, masker);
    let mut config = report.config.clone();
    for f in &mut config.findings {
        (f.file, f.what, f.value, f.place) = (own(&f.file), shown(&f.what), shown(&f.value), shown(&f.place));
        f.directive = shown(&f.directive);
    }
    for source in &mut config.sources {
        source.name = own(&source.name);
        for p in &mut source.problems {
            (p.file, p.what) = (own(&p.file), shown(&p.what));
        }
    }
    config
}

fn mask_head(report: &Report, masker: &Masker) -> Report {
    let text = |t: &String| masker.text(t).into_owned();
    let own = |t: &String| masker.own(t).into_owned();
    let pairs = |list: &[(String, u64)]| list.iter().map(|(name, n)| (text(name), *n)).collect::<Vec<_>>();
    let share = |s: &Share| Share { name: text(&s.name), ..s.clone() };
    let mut meta = report.meta.clone();
    meta.inputs.iter_mut().chain(&mut meta.notes).chain([&mut meta.input_note]).for_each(|t| *t = own(t));
    meta.options.iter_mut().for_each(|t| *t = text(t));
    let mut edge = report.edge.clone();
    edge.origins.iter_mut().for_each(|(origin, server, _)| {
        *origin = masker.address(origin).into_owned();
        *server = own(server);
    });
    let source = |s: &SourceSummary| {
        let mut s = s.clone();
        s.info.name = own(&s.info.name);
        s.info.server = own(&s.info.server);
        s.info.why = text(&s.info.why);
        s.clock = own(&s.clock);
        s.missing_files.iter_mut().for_each(|name| *name = own(name));
        s.hosts.iter_mut().for_each(|host| *host = text(host));
        s.rejects.iter_mut().for_each(|r| r.reason = evidence_text(&r.reason, masker));
        s
    };
    let episode = |e: &Episode| Episode {
        server: own(&e.server),
        hosts: pairs(&e.hosts),
        paths: pairs(&e.paths),
        colos: pairs(&e.colos),
        decisive: e.decisive.iter().map(|line| evidence_text(line, masker)).collect(),
        ..e.clone()
    };
    Report {
        meta,
        sources: report.sources.iter().map(source).collect(),
        skipped: report
            .skipped
            .iter()
            .map(|s| cfray_model::source::Skipped { name: own(&s.name), what: text(&s.what), hint: own(&s.hint), ..s.clone() })
            .collect(),
        edge,
        rows: Vec::new(),
        episodes: report.episodes.iter().map(episode).collect(),
        causes: report.causes.iter().map(|c| cfray_model::report::CauseSummary { check: own(&c.check), ..c.clone() }).collect(),
        endpoints: report.endpoints.iter().map(share).collect(),
        breakdowns: report
            .breakdowns
            .iter()
            .map(|b| Breakdown { dimension: b.dimension.clone(), values: b.values.iter().map(share).collect() })
            .collect(),
        audit: report
            .audit
            .iter()
            .map(|a| cfray_model::report::AuditItem {
                what: own(&a.what),
                hides: own(&a.hides),
                server: own(&a.server),
                paste: own(&a.paste),
                causes: a.causes.clone(),
            })
            .collect(),
        config: config(report, masker),
        impact: cfray_model::report::Impact { methods: pairs(&report.impact.methods), ..report.impact.clone() },
        timeline: Timeline { bucket_s: report.timeline.bucket_s, buckets: report.timeline.buckets.clone() },
        headline: text(&report.headline),
    }
}
