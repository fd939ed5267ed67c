//! `--rays FILE`: a list of rays that stands in for Logpush.

use crate::exit::{Failure, Outcome};
use crate::values::moment;
use cfray_ingest::Options;
use cfray_ingest::edge::EdgeScanner;
use cfray_model::{EdgeFilter, EdgeScan, RayId, SourceId, SourceInfo, Stamp};
use std::path::Path;

/// One listed request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// 1-based line in the list.
    pub line: u64,
    /// The ray.
    pub ray: RayId,
    /// When it began.
    pub time: Option<Stamp>,
    /// Host.
    pub host: String,
    /// Method.
    pub method: String,
    /// URI.
    pub uri: String,
}

/// A list and what could not be read in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct List {
    /// Rows.
    pub rows: Vec<Listed>,
    /// Line and reason.
    pub rejected: Vec<(u64, String)>,
}

/// Reads the list.
pub fn read(path: &Path) -> Outcome<List> {
    let what = || format!("cannot read the list of rays {}", path.display());
    let bytes = std::fs::read(path).map_err(|error| Failure::new(what(), error))?;
    let list = parse(&String::from_utf8_lossy(&bytes));
    if list.rows.is_empty() {
        let why = list.rejected.first().map_or_else(|| "it is empty".to_owned(), |(line, reason)| format!("line {line}: {reason}"));
        return Err(Failure::new(what(), why).help("write one ray a line, or ray,time[,host,method,uri]"));
    }
    Ok(list)
}

/// Reads `ray` or `ray,time[,host,method,uri]` lines. Blank lines, `#` comments and a header row
/// are passed over; commas in the URI belong to it.
fn parse(text: &str) -> List {
    let mut list = List::default();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut cells = line.splitn(5, ',').map(|cell| cell.trim().trim_matches('"'));
        let ray = cells.next().unwrap_or_default();
        let Some(ray) = RayId::parse(ray.as_bytes()) else {
            let header = list.rows.is_empty() && list.rejected.is_empty() && ray.to_ascii_lowercase().contains("ray");
            if !header {
                list.rejected.push((number, format!("{ray:?} is no ray (16 hexadecimal digits)")));
            }
            continue;
        };
        let time = cells.next().unwrap_or_default();
        let stamp = moment::absolute(time);
        if stamp.is_none() && !time.is_empty() {
            list.rejected.push((number, format!("{time:?} is no time; write 2026-11-22T10:00:00Z")));
            continue;
        }
        let mut cell = || cells.next().unwrap_or_default().to_owned();
        list.rows.push(Listed { line: number, ray, time: stamp, host: cell(), method: cell(), uri: cell() });
    }
    list
}

/// The source that a list is.
pub fn source(path: &Path, list: &List) -> SourceInfo {
    SourceInfo {
        name: path.display().to_string(),
        format: crate::pipeline::RAY_LIST.to_owned(),
        why: format!("given with --rays: {} rays", list.rows.len()),
        bytes: std::fs::metadata(path).map_or(0, |meta| meta.len()),
        ..SourceInfo::default()
    }
}

/// What an edge pass over Logpush rows of the listed requests would leave behind. The list says that
/// these requests failed, so each row has the first of the chosen statuses.
pub fn scan(list: &List, source: SourceId, filter: &EdgeFilter, options: &Options) -> EdgeScan {
    let status = filter.statuses.first().map_or(520, |range| range.0);
    let mut scanner = EdgeScanner::new(options, filter);
    for row in &list.rows {
        scanner.feed(source, row.line, 0, format!("{}\n", row.to_logpush(status)).as_bytes());
    }
    let mut scan = cfray_ingest::edge::finalize(scanner.finish());
    scan.counters.rejected += list.rejected.len() as u64;
    scan
}

impl Listed {
    /// The row as Logpush would have written it, as far as it is known, for the edge scanner.
    pub fn to_logpush(&self, status: u16) -> String {
        let mut fields = vec![("RayID", text(&self.ray.to_string())), ("EdgeResponseStatus", status.to_string())];
        if let Some(time) = self.time {
            fields.push(("EdgeStartTimestamp", time.0.to_string()));
        }
        for (name, value) in [("ClientRequestHost", &self.host), ("ClientRequestMethod", &self.method), ("ClientRequestURI", &self.uri)] {
            if !value.is_empty() {
                fields.push((name, text(value)));
            }
        }
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", body.join(","))
    }
}

/// A JSON string.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn bare_rays_and_rows() {
        let list = parse(
            "\u{feff}ray,time\n# from support\n9e0ad402c9afa70a\n\n9e0ad402c9afa70b-FRA,2026-11-22 10:00\r\n\
             9e0ad402c9afa70c,2026-11-22T10:00:00Z,a.example,GET,/x?ids=1,2,3\nnonsense\n9e0ad402c9afa70d,yesterday\n",
        );
        assert_eq!(list.rows.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 5, 6]);
        assert_eq!(list.rows[0].time, None);
        assert_eq!(list.rows[1].time, Some(Stamp::from_secs(1_795_341_600)));
        assert_eq!(list.rows[2].uri, "/x?ids=1,2,3");
        assert_eq!(list.rejected.iter().map(|r| r.0).collect::<Vec<_>>(), [7, 8]);
    }

    #[test]
    fn rows_become_valid_json_with_only_what_is_known() {
        let bare = Listed { ray: RayId(0x9e0a_d402_c9af_a70a), ..Listed::default() };
        let json: serde_json::Value = serde_json::from_str(&bare.to_logpush(520)).unwrap();
        assert_eq!(json, serde_json::json!({"RayID": "9e0ad402c9afa70a", "EdgeResponseStatus": 520}));
        let full = Listed { time: Some(Stamp(1)), uri: "/\"\\\u{1}".to_owned(), method: "GET".to_owned(), ..bare };
        let json: serde_json::Value = serde_json::from_str(&full.to_logpush(522)).unwrap();
        assert_eq!(json["ClientRequestURI"], "/\"\\\u{1}");
        assert_eq!(json["EdgeStartTimestamp"], 1);
        assert!(json.get("ClientRequestHost").is_none());
    }
}
