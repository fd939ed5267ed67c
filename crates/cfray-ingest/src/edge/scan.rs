//! The parallel driver of the edge pass.

use super::csv::record_cut;
use super::spill::Spill;
use super::{EdgeFormat, EdgeKind, EdgePart, EdgeScanner, finalize};
use crate::blocks::Split;
use crate::discover::Discovery;
use crate::memory;
use crate::options::{Options, Progress};
use crate::parallel::{Job, for_each_block};
use cfray_model::{EdgeFilter, EdgeScan, LineRef, SourceId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of edge rows that are read at a time: small enough to lie in the second-level cache from the
/// copy out of the kernel until the last byte has been looked at.
const BLOCK: usize = 256 << 10;

/// Reads every edge source. The result depends on the rows alone, not on the number of threads, the
/// order of the files or how they are cut into blocks.
pub fn scan_edge(d: &Discovery, filter: &EdgeFilter, o: &Options, p: &dyn Progress) -> EdgeScan {
    p.phase("edge logs");
    let o = &Options { block: o.block.min(BLOCK), ..o.clone() };
    let formats: BTreeMap<SourceId, &EdgeFormat> = d.edge().collect();
    let jobs: Vec<Job<'_>> = formats
        .iter()
        .map(|(id, format)| match &format.kind {
            EdgeKind::Ndjson => d.job(*id, Split::Lines, o),
            EdgeKind::Csv(_) => d.job(*id, Split::Rule(&record_cut), o),
            // One reader follows the document from its first byte to its last.
            EdgeKind::Document => Job { in_order: true, ..d.job(*id, Split::Bytes, o) },
        })
        // Line numbers are settled at the end, from the lines of each block that the scanner walks anyhow.
        .map(|job| Job { numbered: false, ..job })
        .collect();
    p.total(jobs.iter().map(|j| j.size).sum());
    // Slices read the origin's logs several times: a stream can be read once.
    let streamed = d.origin().any(|(id, _)| d.is_stream(id));
    let at_once = if streamed { usize::MAX } else { o.incidents_at_once };
    let spill = Arc::new(Spill::new(o.facts_in_memory, o.temp_dir.clone(), at_once));
    let make = || EdgeScanner::new(o, filter).spilling(Arc::clone(&spill));
    let (scanners, problems) = for_each_block(&jobs, o, p, make, |scanner, job, block| {
        let Some(format) = formats.get(&job.source) else { return };
        let Some(block) = block else { return scanner.end(format) };
        for long in &block.long_lines {
            let at = LineRef { source: job.source, line: long.line, offset: long.offset };
            scanner.long_line(at, long.bytes);
        }
        scanner.feed(job.source, format, block.offset, block.bytes());
        if !job.in_order {
            // Blocks hold whole records: one that is still open has lost its end.
            scanner.end(format);
        }
    });
    let part = scanners.into_iter().map(EdgeScanner::finish).fold(EdgePart::default(), EdgePart::merge);
    let mut scan = finalize(part);
    if !scan.slices.is_empty() && o.max_memory.is_none() {
        memory::keep_freed();
    }
    let name = |id: SourceId| usize::try_from(id.0).ok().and_then(|i| d.sources.get(i)).map_or("", |s| s.name.as_str());
    scan.problems.extend(problems.into_iter().map(|(id, problem)| format!("{}: {problem}", name(id))));
    scan.problems.sort();
    scan
}
