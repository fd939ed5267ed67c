//! The origin pass: every line of every origin log, once.
//!
//! What remains of a source is what it covers (minutes, zones, levels, ...) and the lines that may
//! matter: those with a known meaning, and those that the incident index wants.

mod answers;
mod collect;
mod coverage;
mod event;
mod fold;
mod unescape;
mod wanted;

pub use unescape::unescape;

use crate::discover::Discovery;
use crate::memory;
use crate::options::{Options, Progress};
use crate::parallel::{Job, for_each_block};
use cfray_model::{IncidentIndex, OriginScan, SourceId};
use collect::Collector;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use wanted::Wanted;

/// Reads every origin source. One [`cfray_model::SourceScan`] a source, in source order; a source in
/// which several syslog hosts write gives one a server (`info.server`), with the server's name in
/// brackets behind the source's name and the same [`SourceId`] in its events.
///
/// The result does not depend on the number of threads or on how the files are cut into blocks.
pub fn scan_origin(d: &Discovery, index: IncidentIndex, o: &Options, p: &dyn Progress) -> OriginScan {
    p.phase("origin logs");
    let plans: BTreeMap<SourceId, _> = d.origin().collect();
    let wanted = Wanted::new(&index);
    let jobs: Vec<Job<'_>> = plans.iter().map(|(id, plan)| d.job(*id, plan.split(), o)).collect();
    p.total(jobs.iter().map(|j| j.size).sum());
    let (parts, problems) = for_each_block(&jobs, o, p, Kept::default, |state, job, block| {
        if let (Some(plan), Some(block)) = (plans.get(&job.source), block) {
            let collector = state.sources.entry(job.source).or_default();
            collector.block(job.source, plan, &wanted, o, block);
            state.spare(o);
        }
    });
    let mut all = Kept::default();
    for (id, part) in parts.into_iter().flat_map(|kept| kept.sources) {
        match all.sources.entry(id) {
            Entry::Vacant(first) => drop(first.insert(part)),
            Entry::Occupied(mut so_far) => so_far.get_mut().merge(part),
        }
    }
    for id in plans.keys() {
        all.sources.entry(*id).or_default();
    }
    all.spare(o);
    let thinned = (all.level > 0).then(|| fold::in_words(all.level));
    let mut scan = OriginScan { thinned, ..OriginScan::default() };
    let all = all.sources;
    for (id, collector) in all {
        let Some(info) = usize::try_from(id.0).ok().and_then(|i| d.sources.get(i)) else { continue };
        let split = plans.get(&id).is_some_and(|plan| !plan.fixed_server);
        let server = |host: &[u8]| if split { d.host_server(&info.scope, host) } else { info.server.clone() };
        let troubles = problems.iter().filter(|p| p.0 == id).map(|p| p.1.clone()).collect();
        scan.sources.extend(collector.finish(info, &server, troubles));
    }
    // What the events were sorted with is gone, and the join takes as much again. In a storm the next slice's pass asks for as much: see
    // `memory::keep_freed`.
    if (index.time.is_none() || o.max_memory.is_some()) && scan.sources.iter().map(|s| s.events.len()).sum::<usize>() > MANY {
        memory::give_back();
    }
    scan.asked = Some(Arc::new(IncidentIndex { chosen: Default::default(), ..index }));
    scan
}

/// More events than this leave so much free memory behind that it is worth giving back.
const MANY: usize = 50_000;

/// What a worker, and at last everybody, keeps of all sources.
#[derive(Default)]
struct Kept {
    sources: BTreeMap<SourceId, Collector>,
    level: usize,
}

impl Kept {
    /// Thins the evidence until it fits: the first level at which it does. The rest of `--max-memory` is for edge rows,
    /// for the report, and for the parts of other workers before they are merged.
    fn spare(&mut self, o: &Options) {
        const SHARE: u64 = 8;
        let Some(budget) = o.max_memory.map(|bytes| bytes / SHARE) else { return };
        while self.level < fold::LAST && self.sources.values().map(|c| c.needs(self.level)).sum::<u64>() > budget {
            self.level += 1;
        }
        if self.level > 0 {
            // Sources that came since are thinned as well; those that are, cost nothing.
            let level = self.level;
            self.sources.values_mut().for_each(|c| c.thin(level));
        }
    }
}

#[cfg(test)]
mod tests;
