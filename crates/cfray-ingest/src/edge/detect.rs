//! Is this sample of bytes Cloudflare's `http_requests`, and in which form?

use super::csv::CsvColumns;
use super::datasets::{cells, other_dataset};
use super::document::is_wrapper;
use super::fields::Names;
use super::full::{self, Layout, members};
use super::lex::{UNTERMINATED, blanks, string_end};
use super::subrequests::inner_rows;
use super::value::{Slots, int};
use crate::options::Options;
use cfray_model::{EdgeField, RayId};

/// The form of an edge source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EdgeKind {
    /// One JSON row a line.
    Ndjson,
    /// JSON that spans lines, or many rows in one document; its blocks need not hold whole lines.
    Document,
    /// Comma or tab separated.
    Csv(CsvColumns),
}

/// The form of an edge source, and how it was recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EdgeFormat {
    /// The form.
    pub kind: EdgeKind,
    /// Why, one clause.
    pub why: String,
}

impl EdgeFormat {
    /// Name in the list of formats.
    pub const fn name(&self) -> &'static str {
        match &self.kind {
            EdgeKind::Ndjson => "cloudflare-ndjson",
            EdgeKind::Document => "cloudflare-json",
            EdgeKind::Csv(_) => "cloudflare-csv",
        }
    }

    /// Can any block of whole lines be read by itself, before or after any other?
    pub const fn blocks_are_independent(&self) -> bool {
        matches!(self.kind, EdgeKind::Ndjson)
    }
}

/// Lines that are looked at.
const LINES: usize = 20;

/// Looks at the beginning of a source (64 KB or so; it may end anywhere).
///
/// Two known names are needed, at least one of them Logpush's own or the user's: `timestamp` and `ray`
/// alone stand in many a web server's JSON log.
pub fn detect(sample: &[u8], options: &Options) -> Option<EdgeFormat> {
    let names = Names::shared(&options.field_map);
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    if other_dataset(sample).is_some() {
        return None;
    }
    let start = blanks(sample, 0);
    match sample.get(start) {
        Some(b'{' | b'[') => json(sample, start, &names),
        Some(_) => csv(sample, &names, options).or_else(|| lines(sample, &names)),
        None => None,
    }
}

/// Enough to be sure? Takes the names of a record.
fn enough<'a>(names: &Names, found: impl Iterator<Item = &'a [u8]>) -> Option<u32> {
    let (mut mask, mut strong) = (0u64, false);
    for target in found.filter_map(|name| names.get(name.trim_ascii())) {
        mask |= 1 << (target.field as usize);
        strong |= target.rank == 0 || (target.rank == 1 && target.field != EdgeField::ClientIp);
    }
    let count = mask.count_ones();
    (strong && count >= 2).then_some(count)
}

/// Enough known names in the object at `start`? Nested names count when they are found.
fn object(text: &[u8], start: usize, names: &Names) -> Option<u32> {
    let mut slots = Slots::default();
    full::object(text, start, names, &mut slots, &mut Layout::default()).ok()?;
    object_names(text, start, names).or_else(|| {
        // Only the user's dotted names fill more fields than the top-level keys do.
        let flat = top_names(text, start).iter().filter_map(|n| names.get(n)).fold(0u64, |m, t| m | 1 << (t.field as usize));
        (slots.mask & !flat != 0 && slots.mask.count_ones() >= 2).then(|| slots.mask.count_ones())
    })
}

/// [`enough`] of the object's own keys, as far as the text goes.
fn object_names(text: &[u8], start: usize, names: &Names) -> Option<u32> {
    enough(names, top_names(text, start).iter().map(Vec::as_slice))
}

/// Keys of the object at `start`, as far as the text goes.
fn top_names(text: &[u8], start: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let _ = members(text, start, |key, _, _| {
        keys.push(key.into_owned());
        Ok(())
    });
    keys
}

fn found(kind: EdgeKind, form: &str, count: u32) -> Option<EdgeFormat> {
    Some(EdgeFormat { kind, why: format!("{form} with {count} Logpush http_requests fields") })
}

fn json(sample: &[u8], start: usize, names: &Names) -> Option<EdgeFormat> {
    let first = sample.get(start..).and_then(|s| s.split(|&b| b == b'\n').next()).unwrap_or_default();
    let mut slots = Slots::default();
    let fault = full::object(first, 0, names, &mut slots, &mut Layout::default()).err();
    // A line that ends inside an object, but not inside a string, begins a document; any other may
    // be a row, or what a rotation left of one.
    let begins_document =
        first.starts_with(b"[") || holder(first, 0) || fault.is_some_and(|f| f.at >= first.len() && f.reason != UNTERMINATED);
    if !begins_document && let Some(format) = lines(sample, names) {
        return Some(format);
    }
    // Rows in a document, complete or cut off by the end of the sample.
    let mut best = None;
    inner_rows(
        sample,
        start,
        names,
        &mut |from, _| {
            best = best.or_else(|| object(sample, from, names));
        },
        0,
    );
    if let Some(count) = best {
        return found(EdgeKind::Document, "a JSON document of rows", count);
    }
    // A pretty-printed row, or the first row is cut off.
    if let Some(count) = object_names(sample, start, names) {
        let one_line = start + first.len() == sample.len();
        return if one_line {
            found(EdgeKind::Ndjson, "JSON lines", count)
        } else {
            found(EdgeKind::Document, "JSON rows over several lines", count)
        };
    }
    // A document whose array is cut off: look at the first object that stands in it.
    let mut at = start;
    for _ in 0..64 {
        at = next_open(sample, at)?;
        if let Some(count) = object_names(sample, at, names) {
            return found(EdgeKind::Document, "a JSON document of rows", count);
        }
        at += 1;
    }
    None
}

/// One row a line in any of the first lines?
fn lines(sample: &[u8], names: &Names) -> Option<EdgeFormat> {
    let count = sample.split(|&b| b == b'\n').take(LINES).find_map(|line| {
        let at = blanks(line, 0);
        if line.get(at) == Some(&b'{') { object(line, at, names) } else { None }
    })?;
    found(EdgeKind::Ndjson, "JSON lines", count)
}

/// Has the object a key that holds rows?
fn holder(text: &[u8], start: usize) -> bool {
    let mut holds = false;
    let _ = members(text, start, |key, slot, _| {
        holds |= is_wrapper(&key) && matches!(text.get(slot.start as usize), Some(b'[' | b'{'));
        Ok(())
    });
    holds
}

/// Position of the next `{` after `at` that is not in a string.
fn next_open(text: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match text.get(at)? {
            b'{' => return Some(at),
            b'"' => at = string_end(text, at + 1).ok()?.0 + 1,
            _ => at += 1,
        }
    }
}

fn csv(sample: &[u8], names: &Names, options: &Options) -> Option<EdgeFormat> {
    let end = sample.iter().rposition(|&b| b == b'\n');
    let whole = end.map_or(sample, |end| sample.get(..end).unwrap_or(sample));
    let mut lines = whole.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(LINES);
    let first = lines.next()?;
    for delimiter in [b',', b'\t'] {
        let header = cells(first, delimiter);
        if let Some(count) = enough(names, header.iter().copied()) {
            let form = if delimiter == b'\t' { "a header line (tabs)" } else { "a header line" };
            let columns = header.iter().map(|n| String::from_utf8_lossy(n.trim_ascii()).into_owned()).collect();
            return found(EdgeKind::Csv(CsvColumns { delimiter, names: columns, header: true }), form, count);
        }
    }
    let count = enough(names, options.csv_fields.iter().map(|n| n.as_bytes()))?;
    let fields = names.columns(options.csv_fields.iter().map(|n| n.as_bytes()));
    for delimiter in [b',', b'\t'] {
        let fits = |line: &[u8]| {
            let cells = cells(line, delimiter);
            cells.len() == fields.len()
                && cells.iter().zip(&fields).all(|(cell, field)| match field {
                    Some(EdgeField::EdgeResponseStatus) => int(cell).is_some_and(|s| (0..1000).contains(&s)),
                    Some(EdgeField::RayId) => cell.is_empty() || RayId::parse(cell).is_some(),
                    _ => true,
                })
        };
        if fits(first) && lines.next().is_none_or(fits) {
            let columns = CsvColumns { delimiter, names: options.csv_fields.clone(), header: false };
            return found(EdgeKind::Csv(columns), "values that fit the given list of columns", count);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    fn kind(sample: &str) -> Option<EdgeKind> {
        detect(sample.as_bytes(), &Options::default()).map(|f| f.kind)
    }

    #[test]
    fn json_forms() {
        let row = r#"{"RayID":"9e0ad402c9afa70a","EdgeResponseStatus":520,"ClientIP":"192.0.2.1"}"#;
        assert_eq!(kind(&format!("{row}\n{row}\n")), Some(EdgeKind::Ndjson));
        assert_eq!(kind(&format!("\u{feff}{row}")), Some(EdgeKind::Ndjson));
        assert_eq!(kind(&format!("{}\n{row}\n", &row[..30])), Some(EdgeKind::Ndjson), "first line broken");
        assert_eq!(kind(&format!("{}\n{row}\n", &row[20..])), Some(EdgeKind::Ndjson), "first line is the end of a row");
        assert_eq!(kind(&row[..60]), Some(EdgeKind::Ndjson), "sample shorter than a row");
        assert_eq!(kind(&format!("{{\"result\":[{row},{row}],\"success\":true}}")), Some(EdgeKind::Document));
        assert_eq!(kind(&format!("{{\n \"errors\": [],\n \"result\": [\n  {row},\n  {}", &row[..40])), Some(EdgeKind::Document));
        assert_eq!(kind(&format!("{{\"events\":[{{\"info\":{row}}}]}}\n")), Some(EdgeKind::Document));
        assert_eq!(kind(&format!("[{row},\n{row}]")), Some(EdgeKind::Document));
        assert_eq!(kind(&row.replace(',', ",\n  ")), Some(EdgeKind::Document));
        assert_eq!(kind(r#"{"edgeresponsestatus":520,"rayid":"9e0ad402c9afa70a"}"#), Some(EdgeKind::Ndjson));
    }

    #[test]
    fn others_are_left_alone() {
        for sample in [
            "",
            "{}",
            "[]",
            r#"{"content":"tests"}"#,
            r#"{"timestamp":"2026-11-22T12:00:00Z","ray":"9e0ad402c9afa70a","clientip":"192.0.2.1","status":200}"#,
            r#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"1"}"#,
            "192.0.2.1 - - [22/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n",
            "cause,ray_id,edge_time\nunknown,9e0ad402c9afa70a,2026-11-22T12:00:00Z\n",
        ] {
            assert_eq!(kind(sample), None, "{sample}");
        }
    }

    #[test]
    fn csv_forms() {
        let header = "RayID,EdgeStartTimestamp,EdgeResponseStatus\n";
        let row = "\"9e0ad402c9afa70a\",\"2026-11-22T12:00:00Z\",520\n";
        assert!(matches!(kind(&format!("{header}{row}")), Some(EdgeKind::Csv(c)) if c.header && c.names.len() == 3));
        assert!(matches!(kind(&format!("{header}{row}").replace(',', "\t")), Some(EdgeKind::Csv(c)) if c.delimiter == b'\t'));
        assert_eq!(kind(row), None);
        let csv_fields = ["rayid", "edgestarttimestamp", "edgeresponsestatus"].map(str::to_owned).to_vec();
        let options = Options { csv_fields, ..Options::default() };
        let bare = |sample: &str| detect(sample.as_bytes(), &options).map(|f| f.kind);
        assert!(matches!(bare(row), Some(EdgeKind::Csv(c)) if !c.header));
        assert_eq!(bare("a,b,c\n"), None);
        assert_eq!(bare(&format!("{},x\n", row.trim_end())), None);
    }

    #[test]
    fn the_users_names() {
        let field_map = BTreeMap::from([
            ("info.ray".to_owned(), "RayID".to_owned()),
            ("info.code".to_owned(), "EdgeResponseStatus".to_owned()),
            ("rc".to_owned(), "EdgeResponseStatus".to_owned()),
            ("r".to_owned(), "RayID".to_owned()),
        ]);
        let options = Options { field_map, ..Options::default() };
        for sample in [r#"{"info":{"ray":"9e0ad402c9afa70a","code":520}}"#, r#"{"rc":520,"r":"9e0ad402c9afa70a"}"#] {
            assert_eq!(detect(sample.as_bytes(), &options).map(|f| f.kind), Some(EdgeKind::Ndjson), "{sample}");
            assert_eq!(kind(sample), None);
        }
    }
}
