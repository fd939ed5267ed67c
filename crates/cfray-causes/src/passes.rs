//! What the passes over the origin's logs come to in the report: one pass as a rule; in a large storm one that measures clocks and
//! one for each slice of time.
//!
//! Every pass reads whole files, so what a file covers is the same each time, and its clock is best told by the pass that saw all of
//! its span. Where it is not the same, a log was lost between two passes, and the rows of the later ones have to say so.

use crate::headline::number;
use crate::join::World;
use crate::join::coverage::Coverage;
use crate::tally::{self, Tallies};
use crate::{audit, sources};
use cfray_model::SourceInfo;
use cfray_model::report::{AuditItem, Report, SourceSummary};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Of one part of the input.
#[derive(Debug, Default)]
pub struct Passes {
    slices: usize,
    /// The world that clocks were measured with, without the facts.
    measured: Option<World>,
    sources: Vec<SourceSummary>,
    /// Where each source stands in `sources`.
    at: HashMap<String, usize>,
    /// Lines that tell who answers: by origin and server.
    origins: BTreeMap<String, BTreeMap<String, u64>>,
    tallies: Tallies,
    audit: Vec<AuditItem>,
    /// By source.
    read: BTreeMap<String, Read>,
}

/// How a source was read.
#[derive(Debug, Default)]
struct Read {
    /// Lines and records of the pass that read most.
    most: (u64, u64),
    problems: BTreeSet<String>,
    /// Slices that had fewer, from 1, and the number of their incidents.
    fewer: BTreeMap<usize, usize>,
}

/// A log that a slice had to do without.
#[derive(Debug)]
pub struct Lost {
    /// Name of its server.
    pub server: String,
    /// What to say of rows.
    pub words: String,
}

impl Lost {
    fn new(info: &SourceInfo, had: u64, has: u64) -> Self {
        let file = info.name.rsplit('/').next().unwrap_or_default();
        let words = format!(
            "the rest of {file}: it had {} lines when reading began and {} when this row's time was looked at",
            number(had),
            number(has)
        );
        Self { server: info.server.clone(), words }
    }
}

impl Passes {
    /// Of a part that is analysed in so many slices; 0: at once.
    pub fn new(slices: usize) -> Self {
        Self { slices, ..Self::default() }
    }

    /// The pass that clocks are measured with.
    pub fn measured(&mut self, mut w: World) {
        self.compare(&w);
        self.merge(&w);
        // What the audit asks needs neither.
        w.edge.facts = Default::default();
        w.keys = Vec::new();
        self.measured = Some(w);
    }

    /// The pass of a slice, or the only one. Gives the logs that are shorter than they were.
    pub fn add(&mut self, w: &World, coverage: &Coverage) -> Vec<Lost> {
        let lost = self.compare(w);
        self.merge(w);
        tally::add(&mut self.tallies, w, coverage);
        self.add_origins(w);
        if self.measured.is_none() {
            self.audit = audit::audit(w, &self.tallies);
        }
        lost
    }

    fn add_origins(&mut self, w: &World) {
        let mut by: BTreeMap<(u32, usize), u64> = BTreeMap::new();
        for (server, fact) in w.ties.certain(&w.evs) {
            if let Some(fact) = w.edge.facts.get(fact as usize).filter(|f| w.edge.owns(f)) {
                *by.entry((fact.combo, server)).or_default() += 1;
            }
        }
        for ((combo, server), n) in by {
            let (Some(combo), Some(server)) = (w.edge.combos.get(combo as usize), w.servers.get(server)) else { continue };
            *self.origins.entry(combo.origin_ip.clone()).or_default().entry(server.name.clone()).or_default() += n;
        }
    }

    /// Holds what was read against what was read before.
    fn compare(&mut self, w: &World) -> Vec<Lost> {
        let slice = w.edge.time.as_ref().map_or(0, |slice| slice.number.0);
        let mut lost = Vec::new();
        for scan in &w.scans {
            let read = self.read.entry(scan.info.name.clone()).or_default();
            read.problems.extend(scan.problems.iter().cloned());
            let got = (scan.lines, scan.parsed);
            if got.0 < read.most.0 || got.1 < read.most.1 {
                read.fewer.insert(slice, w.edge.incidents.len());
                lost.push(Lost::new(&scan.info, read.most.0, got.0));
            }
            read.most = (read.most.0.max(got.0), read.most.1.max(got.1));
        }
        self.absent(w, slice, &mut lost);
        lost
    }

    /// A log that several servers write in is told apart by its lines: without them it has another name.
    fn absent(&mut self, w: &World, slice: usize, lost: &mut Vec<Lost>) {
        let here: BTreeSet<&str> = w.scans.iter().map(|s| s.info.name.as_str()).collect();
        for known in self.sources.iter_mut().filter(|s| !here.contains(s.info.name.as_str())) {
            (known.lines, known.parsed) = (0, 0);
            let read = self.read.entry(known.info.name.clone()).or_default();
            read.fewer.insert(slice, w.edge.incidents.len());
            lost.push(Lost::new(&known.info, read.most.0, 0));
        }
    }

    fn merge(&mut self, w: &World) {
        for (scan, new) in w.scans.iter().zip(sources::origin_sources(w)) {
            let known = self.at.get(&new.info.name).and_then(|at| self.sources.get_mut(*at));
            let Some(known) = known else {
                if self.measured.is_some() && new.lines == 0 {
                    continue;
                }
                self.at.insert(new.info.name.clone(), self.sources.len());
                self.sources.push(new);
                continue;
            };
            known.tied += new.tied;
            known.buffered |= new.buffered;
            // What every pass has read.
            known.lines = known.lines.min(new.lines);
            known.parsed = known.parsed.min(new.parsed);
            if new.rejected > known.rejected {
                (known.rejected, known.rejects) = (new.rejected, new.rejects.clone());
            }
            if tells_more(&new, known) {
                known.clock = new.clock;
                if self.slices > 1 {
                    known.clock.push_str(", in one slice of time");
                }
                (known.measured, known.clock_unknown) = (new.measured, new.clock_unknown);
                (known.first, known.last, known.gaps) = (new.first, new.last, new.gaps);
            } else if scan.zones.len() > 1 {
                // Of lines in several zones only those that are kept tell the span.
                known.first = known.first.into_iter().chain(new.first).min();
                known.last = known.last.into_iter().chain(new.last).max();
            }
        }
    }

    /// Brings it into the report.
    pub fn finish(self, report: &mut Report) {
        for (origin, by) in self.origins {
            let mut list: Vec<(String, u64)> = by.into_iter().collect();
            list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            report.edge.origins.extend(list.into_iter().map(|(server, n)| (origin.clone(), server, n)));
        }
        // Origin logs outside every part are read with each; they are listed once.
        let listed: BTreeSet<String> = report.sources.iter().map(|s| s.info.name.clone()).collect();
        report.sources.extend(self.sources.into_iter().filter(|s| !listed.contains(&s.info.name)));
        match &self.measured {
            Some(w) => report.audit.extend(audit::audit(w, &self.tallies)),
            None => report.audit.extend(self.audit),
        }
        for (name, read) in self.read {
            for note in read.notes(&name, self.slices) {
                if !report.meta.notes.contains(&note) {
                    report.meta.notes.push(note);
                }
            }
        }
    }
}

impl Read {
    fn notes(&self, name: &str, slices: usize) -> Vec<String> {
        let mut out: Vec<String> = self.problems.iter().map(|problem| format!("{name}: {problem}")).collect();
        let numbers: Vec<String> = self.fewer.keys().filter(|n| **n > 0).map(ToString::to_string).collect();
        if !numbers.is_empty() {
            let rows: usize = self.fewer.values().sum();
            out.push(format!(
                "{name} was not what it had been when it was read again for slice {} of {slices}: {} incidents were judged without lines \
                 that had been in it. Copy the logs and run cfray on the copy",
                numbers.join(", "),
                number(rows as u64)
            ));
        }
        out
    }
}

/// Does the pass of a slice know the clock where the pass over everything does not, or has it better grounds? A clock that changes
/// within the file is seen as a whole only.
fn tells_more(new: &SourceSummary, known: &SourceSummary) -> bool {
    let grounds = |s: &SourceSummary| {
        let by = s.measured.as_ref().map_or("", |m| m.by.as_str());
        ["given", "ray", "request", "machine", "borrowed", "stated"].iter().position(|how| *how == by).unwrap_or(usize::MAX)
    };
    let changes = known.measured.as_ref().is_some_and(|m| !m.steps.is_empty() || m.drift_s_per_hour != 0.0);
    !changes && grounds(new) < grounds(known)
}
