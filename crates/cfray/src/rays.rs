//! `--rays FILE`: a list of rays that stands in for Logpush.

use crate::exit::{Failure, Outcome};
use crate::pipeline::RAY_LIST;
use cfray_ingest::edge::rays::scan_rays;
use cfray_model::{EdgeFilter, EdgeScan, SourceId, SourceInfo};
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
