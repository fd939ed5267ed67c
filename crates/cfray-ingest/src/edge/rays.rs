//! `--rays FILE`: a list of rays stands in for Logpush.
//!
//! One ray a line (with or without the colo suffix), or `ray,time[,host,method,uri]`; blank lines and
//! what follows a `#` at the start of a line are left out, so is a header line. Each becomes an
//! incident of status 520.

use super::collect::Collector;
use super::csv::cell;
use super::finalize::finalize;
use super::value::{Kind, Row, Slots};
use cfray_model::{EdgeField, EdgeFilter, EdgeScan, LineRef, RayId, SourceId};

/// The columns that a line may have.
const COLUMNS: [EdgeField; 5] = [
    EdgeField::RayId,
    EdgeField::EdgeStartTimestamp,
    EdgeField::ClientRequestHost,
    EdgeField::ClientRequestMethod,
    EdgeField::ClientRequestUri,
];

/// The status that a ray on the list is taken to have.
const STATUS: &[u8] = b"520";

/// Reads a list. Of `filter` everything but the statuses counts.
pub fn scan_rays(source: SourceId, text: &[u8], filter: &EdgeFilter) -> EdgeScan {
    let mut out = Collector::new(&EdgeFilter { statuses: vec![(520, 520)], ..filter.clone() });
    let mut slots = Slots::default();
    let mut record = Vec::new();
    let mut offset = 0u64;
    for (line, raw) in (1u64..).zip(text.split_inclusive(|&b| b == b'\n')) {
        let at = LineRef { source, line, offset };
        offset += raw.len() as u64;
        let skip = if line == 1 && raw.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let trimmed = raw.get(skip..).unwrap_or_default().trim_ascii();
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            continue;
        }
        record.clear();
        record.extend_from_slice(trimmed);
        if let Err(reason) = read(&record, &mut slots) {
            let header = trimmed.split(|&b| b == b',').next().is_some_and(|name| {
                [&b"ray"[..], b"rayid", b"ray_id", b"cf_ray", b"cf-ray"].iter().any(|n| n.eq_ignore_ascii_case(name.trim_ascii()))
            });
            if !header {
                out.part.reject(at, || reason.to_owned());
            }
            continue;
        }
        // The status is no column of the list; it stands behind the line for the row's sake.
        slots.set(EdgeField::EdgeResponseStatus as usize, record.len(), STATUS.len(), Kind::Scalar);
        record.extend_from_slice(STATUS);
        out.row(&Row { bytes: &record, slots: &slots }, at, None);
    }
    finalize(out.finish())
}

/// Finds the columns of a line.
fn read(line: &[u8], slots: &mut Slots) -> Result<(), &'static str> {
    slots.clear();
    let mut at = 0;
    for field in COLUMNS {
        let Some((start, len, kind, end)) = cell(line, at, b',') else { return Err("a quoted value does not end") };
        let value = line.get(start..start + len).unwrap_or_default();
        let start = start + value.len() - value.trim_ascii_start().len();
        let value = value.trim_ascii();
        if field == EdgeField::RayId && RayId::parse(value).is_none() {
            return Err("not a ray (15 or 16 hexadecimal digits)");
        }
        if !value.is_empty() {
            slots.set(field as usize, start, value.len(), kind);
            slots.mask |= 1 << (field as usize);
        }
        slots.width += 1;
        if line.get(end) != Some(&b',') {
            break;
        }
        at = end + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::FactFlags;

    #[test]
    fn a_list_becomes_incidents() {
        let text = b"\xef\xbb\xbfray,time,host,method,uri\r\n\
            9e0ad402c9afa70a-FRA\n\
            # a comment\n\
            \n\
            9e0ad867f717948d, 2026-11-22T12:29:19Z ,www.example.com,GET,\"/a,b?c=\"\"d\"\"\"\r\n\
            nonsense\n\
            9e0ad402c9afa70a\n";
        let scan = scan_rays(SourceId(3), text, &EdgeFilter::default());
        assert_eq!(scan.incidents.len(), 2, "the repeated ray is a duplicate");
        assert_eq!(scan.counters.duplicates, 1);
        assert_eq!(scan.rejects.iter().map(|r| r.at.line).collect::<Vec<_>>(), [6]);
        let full = scan.incidents.last();
        assert_eq!(full.and_then(|r| r.uri.as_deref()), Some("/a,b?c=\"d\""));
        assert_eq!(full.map(|r| (r.edge_status, r.at.line)), Some((520, 5)));
        assert!(full.is_some_and(|r| r.start.is_some()));
        assert!(scan.facts.iter().all(|f| f.flags.has(FactFlags::INCIDENT) && f.edge_status == 520));
    }
}
