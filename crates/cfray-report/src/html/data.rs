//! The rows that the page's script works on: each text once, deflated, base64.

use super::chart::Palette;
use crate::escape::visible;
use crate::view::View;
use crate::{ReportError, json_text};
use base64::Engine;
use cfray_model::Evidence;
use cfray_model::report::Row;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Most rows in a page.
pub const ROWS: usize = 10_000;
/// Most characters of packed data: with the rest of the page it stays under 3 MB.
const SIZE: usize = 2_500_000;

/// Packed rows.
pub struct Packed {
    /// Indexes of the rows that are in it, ascending.
    pub rows: Vec<usize>,
    /// Deflated JSON in base64.
    pub base64: String,
}

/// Packs the rows, fewer when they would make the page too large.
pub fn pack(view: &View<'_>, palette: &Palette) -> Result<Packed, ReportError> {
    let mut most = ROWS;
    loop {
        let rows = choose(view, most);
        let base64 = packed(view, palette, &rows)?;
        if base64.len() <= SIZE || rows.len() < 2 {
            return Ok(Packed { rows, base64 });
        }
        // Size goes with the number of rows; a little less, so that the second try fits.
        most = (rows.len() * SIZE / base64.len() * 9 / 10).max(1);
    }
}

/// The rows of the largest episodes, surest first, then the rest; in the report's order.
fn choose(view: &View<'_>, most: usize) -> Vec<usize> {
    if view.len() <= most {
        return (0..view.len()).collect();
    }
    let rows = view.unmasked();
    let sure = |index: &usize| rows.get(*index).map_or(0, |row| (row.verdict.confidence * 10_000.0) as i64);
    let mut episodes: Vec<_> = view.head.episodes.iter().collect();
    episodes.sort_by_key(|e| (std::cmp::Reverse(e.count), e.number));
    let mut chosen = BTreeSet::new();
    let all: Vec<usize> = (0..view.len()).collect();
    for list in episodes.iter().map(|e| e.rows.as_slice()).chain([all.as_slice()]) {
        let mut list: Vec<usize> = list.iter().copied().filter(|index| *index < view.len() && !chosen.contains(index)).collect();
        list.sort_by_key(|index| (std::cmp::Reverse(sure(index)), *index));
        chosen.extend(list.into_iter().take(most - chosen.len()));
        if chosen.len() >= most {
            break;
        }
    }
    chosen.into_iter().collect()
}

/// Texts by number.
#[derive(Default)]
struct Texts {
    numbers: BTreeMap<String, usize>,
    list: Vec<String>,
}

impl Texts {
    fn add(&mut self, text: &str) -> usize {
        let text = visible(text).into_owned();
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let number = self.list.len();
        self.list.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    fn some(&mut self, text: Option<&str>) -> Option<usize> {
        text.map(|text| self.add(text))
    }
}

/// `[kind, source, line, time, text]`.
type Item = (usize, usize, Option<u64>, Option<i64>, usize);

#[derive(Serialize)]
struct Data {
    /// Texts.
    s: Vec<String>,
    /// Evidence.
    e: Vec<Item>,
    /// Classes of the causes, by number of the cause's text.
    k: BTreeMap<usize, String>,
    /// Names of the members of a row.
    n: Vec<&'static str>,
    /// Rows.
    r: Vec<Vec<serde_json::Value>>,
}

fn packed(view: &View<'_>, palette: &Palette, rows: &[usize]) -> Result<String, ReportError> {
    let mut texts = Texts::default();
    let mut items: BTreeMap<Item, usize> = BTreeMap::new();
    let mut evidence: Vec<Item> = Vec::new();
    let mut classes = BTreeMap::new();
    let mut names = Vec::new();
    let mut packed_rows = Vec::with_capacity(rows.len());
    for index in rows {
        let Some(row) = view.row(*index) else { continue };
        let proofs: Vec<usize> = row
            .verdict
            .evidence
            .iter()
            .map(|item| {
                let item = proof(item, &mut texts);
                *items.entry(item).or_insert_with(|| {
                    evidence.push(item);
                    evidence.len() - 1
                })
            })
            .collect();
        let cause = texts.add(row.verdict.cause.name());
        classes.entry(cause).or_insert_with(|| palette.class(row.verdict.cause));
        let members = members(&row, &proofs, &mut texts);
        if names.is_empty() {
            names = members.iter().map(|(name, _)| *name).collect();
        }
        packed_rows.push(members.into_iter().map(|(_, value)| value).collect());
    }
    let data = Data { s: texts.list, e: evidence, k: classes, n: names, r: packed_rows };
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(7));
    json_text::line(&data, &mut deflate)?;
    deflate.flush()?;
    Ok(base64::engine::general_purpose::STANDARD.encode(deflate.finish()?))
}

fn proof(item: &Evidence, texts: &mut Texts) -> Item {
    (texts.add(item.kind.name()), texts.add(&item.source), item.line, item.time_ms, texts.add(&item.text))
}

fn members(row: &Row, proofs: &[usize], texts: &mut Texts) -> Vec<(&'static str, serde_json::Value)> {
    let e = &row.edge;
    let v = &row.verdict;
    let mut t = |text: &Option<String>| serde_json::json!(texts.some(text.as_deref()));
    let mut out = vec![
        ("start", serde_json::json!(e.start.map(|s| s.millis()))),
        ("end", serde_json::json!(e.end.map(|s| s.millis()))),
        ("ray", serde_json::json!(e.ray.map(|ray| ray.to_string()))),
        ("host", t(&e.host)),
        ("method", t(&e.method)),
        ("uri", t(&e.uri)),
        ("client", t(&e.client_ip)),
        ("country", t(&e.client_country)),
        ("agent", t(&e.user_agent)),
        ("colo", t(&e.colo)),
        ("edge_ip", t(&e.edge_ip)),
        ("origin_ip", t(&e.origin_ip)),
        ("tls", t(&e.origin_tls)),
        ("cache", t(&e.cache)),
        ("request_source", t(&e.source)),
    ];
    let parent = e.parent_ray.map(|ray| ray.to_string());
    let missing = (!v.missing.is_empty()).then(|| v.missing.join("; "));
    let mut word = |text: &str| serde_json::json!(if text.is_empty() { None } else { Some(texts.add(text)) });
    out.extend([
        ("server", word(&row.server)),
        ("connection", word(&row.connection)),
        ("cause", word(v.cause.name())),
        ("tie", word(v.tie.name())),
        ("missing", word(missing.as_deref().unwrap_or_default())),
        ("runner_up", word(v.runner_up.map_or("", |(cause, _)| cause.name()))),
        ("retry", word(&row.retry)),
        ("place", word(&row.source)),
        ("parent", word(parent.as_deref().unwrap_or_default())),
    ]);
    let round = |n: Option<f64>| n.filter(|n| n.is_finite()).map(|n| (n * 1000.0).round() / 1000.0);
    out.extend([
        ("asn", serde_json::json!(e.client_asn)),
        ("status", serde_json::json!(e.edge_status)),
        ("origin_status", serde_json::json!(e.origin_status)),
        ("tcp_ms", serde_json::json!(e.tcp_ms)),
        ("tls_ms", serde_json::json!(e.tls_ms)),
        ("header_ms", serde_json::json!(e.header_ms)),
        ("duration_ms", serde_json::json!(e.duration_ms)),
        ("bytes", serde_json::json!(e.request_bytes)),
        ("idle_s", serde_json::json!(round(row.idle_gap_s))),
        ("sure", serde_json::json!(round(Some(v.confidence)))),
        ("runner_sure", serde_json::json!(round(v.runner_up.map(|(_, p)| p)))),
        ("episode", serde_json::json!(row.episode)),
        ("cleared_s", serde_json::json!(round(row.cleared_after_s))),
        ("counted", serde_json::json!(u8::from(row.counted))),
        ("proofs", serde_json::json!(proofs)),
    ]);
    out
}
