//! `--rays FILE`: a list of rays that stands in for Logpush.

use crate::exit::{Failure, Outcome};
use crate::pipeline::RAY_LIST;
use cfray_ingest::edge::rays::scan_rays;
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{EdgeFilter, EdgeScan, Fact, LineKind, OriginEvent, OriginScan, SourceId, SourceInfo, Stamp};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the list as an edge pass would have read the rows of these requests.
pub fn read(path: &Path, source: SourceId, filter: &EdgeFilter) -> Outcome<(EdgeScan, SourceInfo)> {
    let what = || format!("cannot use the list of rays {}", path.display());
    let text = std::fs::read(path).map_err(|error| Failure::new(what(), error))?;
    let scan = scan_rays(source, &text, filter);
    if scan.counters.rows == 0 {
        let why =
            scan.rejects.first().map_or_else(|| "it is empty".to_owned(), |reject| format!("line {}: {}", reject.at.line, reject.reason));
        return Err(Failure::new(what(), why).help("write one ray a line, or ray,time[,host,method,uri]"));
    }
    let info = SourceInfo {
        name: path.display().to_string(),
        format: RAY_LIST.to_owned(),
        why: "given with --rays".to_owned(),
        bytes: text.len() as u64,
        ..SourceInfo::default()
    };
    Ok((scan, info))
}

/// Gives rays that came without method, path and time those of the line that has the ray in its ray position, an access line if there
/// is one. Returns the request keys that the origin pass has to look for now.
pub fn learn(edge: &mut EdgeScan, origin: &OriginScan) -> Vec<u32> {
    let mut lines: BTreeMap<u64, &OriginEvent> = BTreeMap::new();
    for e in origin.sources.iter().flat_map(|s| &s.events).filter(|e| e.ray != 0 && e.request != 0 && e.time().is_some()) {
        let rank = |e: &OriginEvent| (e.kind != LineKind::Access, e.at);
        let slot = lines.entry(e.ray).or_insert(e);
        if rank(e) < rank(slot) {
            *slot = e;
        }
    }
    let mut learned = Vec::new();
    let mut facts = edge.facts.to_vec();
    for row in edge.incidents.iter_mut().filter(|row| row.start.is_none() && row.uri.is_none()) {
        let Some((e, time)) = row.ray.and_then(|r| lines.get(&r.0)).and_then(|e| Some((e, e.time()?))) else { continue };
        let took = e.details().duration_us.map_or(0, |us| i64::try_from(us).unwrap_or(0).saturating_mul(1000));
        let stated = time.stated_ns() / MILLI * MILLI;
        let start = if e.time_is_start { stated } else { stated.saturating_sub(took) / MILLI * MILLI };
        let fits = |f: &&mut Fact| Some(f.ray) == row.ray.map(|r| r.0) && f.start_ms == i64::MIN;
        let Some(fact) = facts.iter_mut().find(fits) else { continue };
        row.uri = Some(e.path.clone());
        row.start = Some(Stamp(start));
        row.end = Some(Stamp(start.saturating_add(took)));
        row.precision_ns = time.precision_ns.clamp(MILLI, SECOND);
        fact.start_ms = start / MILLI;
        fact.dur_ms = u32::try_from(took / MILLI).unwrap_or(u32::MAX);
        fact.request = e.request as u32;
        if time.precision_ns >= SECOND {
            fact.flags.0 |= cfray_model::FactFlags::SECONDS;
        }
        learned.push(fact.request);
    }
    // The order that a finished scan has.
    facts.sort_by_key(|f| (f.start_ms, f.ray));
    edge.facts = facts.into();
    edge.incidents.sort_by_key(|row| (row.start, row.ray, row.at));
    learned
}
