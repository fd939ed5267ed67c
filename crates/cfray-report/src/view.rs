//! The gate between the report and its renderers: what passes is masked.

use crate::escape::{EVIDENCE_CHARS, clip_middle, controls};
use crate::mask::Masker;
use crate::{RenderOptions, ReportError, ordered};
use cfray_model::key::spread;
use cfray_model::report::{Breakdown, Episode, Report, Row, Share, SourceSummary, Timeline};
use cfray_model::serverconf::ConfigReport;
use cfray_model::{Rows, Text};
use std::borrow::Cow;
use std::ops::Range;

/// A masked report. Rows are masked one by one, on demand: there may be millions.
#[derive(Debug)]
pub struct View<'a> {
    /// Everything but the rows.
    pub head: Report,
    rows: &'a Rows,
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

    /// Rows from here and there, masked, in the order asked for.
    pub fn pick(&self, indexes: &[usize]) -> Vec<Cow<'a, Row>> {
        let mut clean = Clean::default();
        let rows = self.rows.pick(indexes);
        // All stay where they are until the last is masked: clean texts are known by their place.
        let masked: Vec<Option<Row>> = rows.iter().map(|row| owned(mask_row(row, &self.masker, &mut clean))).collect();
        rows.into_iter().zip(masked).map(|(row, masked)| masked.map_or(row, Cow::Owned)).collect()
    }

    /// All rows, masked, in order.
    pub fn rows(&self) -> impl Iterator<Item = Cow<'a, Row>> + '_ {
        (0..self.len()).step_by(BATCH).flat_map(|from| self.batch(from, from + BATCH))
    }

    /// The rows of a range, masked, in order. Where nothing had to be masked it is the report's own row.
    pub fn batch(&self, from: usize, to: usize) -> Vec<Cow<'a, Row>> {
        let rows = from.min(self.len())..to.min(self.len());
        let masked = |rows: Range<usize>| mask_all(self.rows.range(rows), &self.masker);
        let threads = self.threads.min(rows.len() / SHARE).max(1);
        if threads == 1 {
            return masked(rows);
        }
        let (masked, each) = (&masked, rows.len().div_ceil(threads));
        std::thread::scope(|scope| {
            let parts = rows.clone().step_by(each).map(|from| from..(from + each).min(rows.end));
            let workers: Vec<_> = parts.map(|part| scope.spawn(move || masked(part))).collect();
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

    /// As [`Self::batch`], on this thread alone.
    pub fn part(&self, from: usize, to: usize) -> Vec<Cow<'a, Row>> {
        mask_all(self.rows.range(from..to), &self.masker)
    }

    /// Hands on, in order, what is made of all rows: several threads make each a batch at a time.
    pub fn pieces<T: Send>(
        &self,
        make: impl Fn(&[Cow<'a, Row>]) -> T + Sync,
        take: impl FnMut(T) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        // Some for each thread, where there are few.
        let each = self.len().div_ceil(self.threads.max(1)).clamp(SHARE, BATCH);
        ordered::each(self.threads, self.len().div_ceil(each), |n| make(&self.part(n * each, (n + 1) * each)), take)
    }

    /// Most threads.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// The rows themselves, for choosing among them only: what they hold is not masked.
    pub(crate) const fn unmasked(&self) -> &'a Rows {
        self.rows
    }
}

/// Texts of the rows in hand that masking did not change, by where they lie: rows share what they have in common, so
/// most are asked about again and again. Holds while the rows do.
#[derive(Default)]
struct Clean(Vec<(usize, How)>);

/// What was done to a text.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum How {
    #[default]
    Nothing,
    Text,
    Address,
    Own,
    Shown,
}

impl Clean {
    const SLOTS: usize = 2048;

    /// What becomes of a text; `None`: nothing.
    fn change<'t>(&mut self, text: &'t Text, how: How, masker: &Masker) -> Option<Text> {
        if text.is_empty() {
            return None;
        }
        let known = (text.as_ptr() as usize, how);
        if self.0.is_empty() {
            self.0.resize(Self::SLOTS, (0, How::Nothing));
        }
        // Texts lie at multiples of eight; those of a kind often at equal distances.
        let slot = (spread(known.0 as u64 >> 3) >> 40) as usize % Self::SLOTS;
        if self.0.get(slot) == Some(&known) {
            return None;
        }
        let changed: Cow<'t, str> = match how {
            How::Text => masker.text(text),
            How::Address => masker.address(text),
            How::Own => masker.own(text),
            How::Shown => shown(text, masker),
            How::Nothing => Cow::Borrowed(text),
        };
        match changed {
            Cow::Owned(changed) => Some(changed.into()),
            Cow::Borrowed(_) => {
                if let Some(slot) = self.0.get_mut(slot) {
                    *slot = known;
                }
                None
            }
        }
    }
}

/// [`mask_row`] of rows, in order.
fn mask_all<'r>(rows: Cow<'r, [Row]>, masker: &Masker) -> Vec<Cow<'r, Row>> {
    let mut clean = Clean::default();
    match rows {
        Cow::Borrowed(rows) => rows.iter().map(|row| mask_row(row, masker, &mut clean)).collect(),
        Cow::Owned(mut rows) => {
            // Clean texts are known by their place: those of rows that give way stay until the last is masked.
            let mut gone = Vec::new();
            for row in &mut rows {
                if let Some(changed) = owned(mask_row(row, masker, &mut clean)) {
                    gone.push(std::mem::replace(row, changed));
                }
            }
            rows.into_iter().map(Cow::Owned).collect()
        }
    }
}

/// The row, where masking changed it.
fn owned(row: Cow<'_, Row>) -> Option<Row> {
    if let Cow::Owned(row) = row { Some(row) } else { None }
}

/// Masks one row, and cuts its evidence to the length that the contract gives.
fn mask_row<'r>(row: &'r Row, masker: &Masker, clean: &mut Clean) -> Cow<'r, Row> {
    let mut out = Cow::Borrowed(row);
    macro_rules! fields {
        ($how:expr; $($field:ident),*) => {
            $(if let Some(changed) = row.edge.$field.as_ref().and_then(|text| clean.change(text, $how, masker)) {
                out.to_mut().edge.$field = Some(changed);
            })*
        };
    }
    fields!(How::Text; host, method, uri, client_country, user_agent, referer, protocol, source, colo, origin_tls, cache, pathing_op, pathing_status);
    if masker.renames() {
        fields!(How::Address; client_ip, edge_ip, origin_ip);
        if let Cow::Owned(changed) = masker.own(&row.source.to_string()) {
            out.to_mut().source = changed.into();
        }
        if let Some(changed) = clean.change(&row.server, How::Own, masker) {
            out.to_mut().server = changed;
        }
        for (at, item) in row.verdict.missing.iter().enumerate() {
            if let Cow::Owned(changed) = masker.own(item)
                && let Some(item) = out.to_mut().verdict.missing.get_mut(at)
            {
                *item = Cow::Owned(changed);
            }
        }
    }
    for (at, item) in row.verdict.evidence.iter().enumerate() {
        let (text, source) = (clean.change(&item.text, How::Shown, masker), clean.change(&item.source, How::Own, masker));
        if (text.is_some() || source.is_some())
            && let Some(item) = out.to_mut().verdict.evidence.get_mut(at)
        {
            item.text = text.unwrap_or_else(|| item.text.clone());
            item.source = source.unwrap_or_else(|| item.source.clone());
        }
    }
    for (at, line) in row.lines.iter().enumerate() {
        let (text, source) = (clean.change(&line.text, How::Shown, masker), clean.change(&line.source, How::Own, masker));
        if (text.is_some() || source.is_some())
            && let Some(line) = out.to_mut().lines.get_mut(at)
        {
            line.text = text.unwrap_or_else(|| line.text.clone());
            line.source = source.unwrap_or_else(|| line.source.clone());
        }
    }
    out
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
        rows: Rows::default(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{FORMATS, OutputFormat, example, render};
    use cfray_model::Shelf;

    #[test]
    fn packed_rows_are_rendered_like_others() {
        let kept = example::report();
        let mut shelf = Shelf::default();
        shelf.put(kept.rows.kept().unwrap());
        let mut rows = Rows::packed(shelf, (0..kept.rows.len() as u32).collect());
        for (index, row) in kept.rows.iter().enumerate() {
            rows.set_episode(index, row.episode.map_or(0, |number| number as u32));
        }
        let packed = Report { rows, ..kept.clone() };
        for redact in [None, Some([7u8; 32])] {
            let options = RenderOptions { redact, threads: 2, ..RenderOptions::default() };
            for format in FORMATS {
                let write = |report: &Report| {
                    let mut out = Vec::new();
                    render(report, OutputFormat::from_name(format.name).unwrap(), &options, &mut out).unwrap();
                    out
                };
                assert!(write(&kept) == write(&packed), "{}", format.name);
                assert!(!String::from_utf8_lossy(&write(&packed)).contains("hunter2"), "{}", format.name);
            }
        }
    }
}
