//! The rows that the page's script works on: each text once, deflated, base64.

use super::chart::Palette;
use crate::escape::visible;
use crate::view::View;
use crate::{ReportError, json_text};
use base64::Engine;
use cfray_model::key::path_shape;
use cfray_model::report::{Row, TiedLine};
use cfray_model::traffic::Traffic;
use cfray_model::{Cause, Evidence, Tie};
use serde::Serialize;
use std::borrow::Cow;
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
    let liked = liked(view);
    let causes = over_time(view);
    let mut indexes = first(&liked, ROWS);
    let mut rows = view.pick(&indexes);
    loop {
        let base64 = packed(view, palette, &rows, &causes)?;
        if base64.len() <= SIZE || rows.len() < 2 {
            return Ok(Packed { rows: indexes, base64 });
        }
        // Size goes with the number of rows; a little less, so that the second try fits.
        let fewer = first(&liked, (rows.len() * SIZE / base64.len() * 9 / 10).max(1));
        // They are among those at hand.
        let mut keep = indexes.iter().map(|index| fewer.binary_search(index).is_ok());
        rows.retain(|_| keep.next().unwrap_or(false));
        indexes = fewer;
    }
}

/// Most of the rows that a page may have, the most telling first: those of the largest episodes, surest first, then the rest.
fn liked(view: &View<'_>) -> Vec<usize> {
    let sure: Vec<i64> = view.unmasked().iter().map(|row| (row.verdict.confidence * 10_000.0) as i64).collect();
    let sure = |index: &usize| sure.get(*index).copied().unwrap_or(0);
    let mut episodes: Vec<_> = view.head.episodes.iter().collect();
    episodes.sort_by_key(|e| (std::cmp::Reverse(e.count), e.number));
    let (mut liked, mut chosen) = (Vec::new(), BTreeSet::<usize>::new());
    let all: Vec<usize> = (0..view.len()).collect();
    for list in episodes.iter().map(|e| e.rows.as_slice()).chain([all.as_slice()]) {
        let mut list: Vec<usize> = list.iter().copied().filter(|index| *index < view.len() && !chosen.contains(index)).collect();
        list.sort_by_key(|index| (std::cmp::Reverse(sure(index)), *index));
        list.truncate(ROWS - liked.len());
        chosen.extend(&list);
        liked.append(&mut list);
        if liked.len() >= ROWS {
            break;
        }
    }
    liked
}

/// So many of them, in the report's order.
fn first(liked: &[usize], most: usize) -> Vec<usize> {
    let mut indexes: Vec<usize> = liked.iter().copied().take(most).collect();
    indexes.sort_unstable();
    indexes
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

/// `[kind or tie, source, line, time, text, error of the time]`.
type Item = (usize, usize, Option<u64>, Option<i64>, usize, i64);

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
    /// All requests over time.
    t: Times,
    /// All counted incidents over time, those without a row here included: number of the cause's text and counts.
    c: Vec<(usize, Times)>,
}

/// Counts over time: start of each bucket in widths after the one before, and its number, in turn.
#[derive(Serialize)]
struct Times {
    /// Width of a bucket in seconds.
    w: i64,
    /// Start and number.
    b: Vec<i64>,
}

impl Times {
    fn new(traffic: &Traffic) -> Self {
        let width = traffic.width_s();
        let mut last = 0;
        let mut list = Vec::new();
        for (start, n) in traffic.buckets() {
            let at = start.div_euclid(width);
            list.extend([at - last, i64::try_from(n).unwrap_or(i64::MAX)]);
            last = at;
        }
        Self { w: width, b: list }
    }
}

/// Counted incidents of every cause over time, in the order of the report's causes.
fn over_time(view: &View<'_>) -> Vec<(Cause, Traffic)> {
    let mut by: BTreeMap<Cause, Traffic> = BTreeMap::new();
    for row in view.unmasked().iter().filter(|row| row.counted) {
        if let Some(start) = row.edge.start {
            by.entry(row.verdict.cause).or_default().add(start.secs(), 1);
        }
    }
    view.head.causes.iter().filter_map(|c| by.remove(&c.cause).map(|traffic| (c.cause, traffic))).collect()
}

fn packed(view: &View<'_>, palette: &Palette, rows: &[Cow<'_, Row>], over_time: &[(Cause, Traffic)]) -> Result<String, ReportError> {
    let mut texts = Texts::default();
    let mut items: BTreeMap<Item, usize> = BTreeMap::new();
    let mut evidence: Vec<Item> = Vec::new();
    let mut classes = BTreeMap::new();
    let mut names = Vec::new();
    let mut packed_rows = Vec::with_capacity(rows.len());
    for row in rows {
        let mut number = |item: Item| {
            *items.entry(item).or_insert_with(|| {
                evidence.push(item);
                evidence.len() - 1
            })
        };
        let proofs: Vec<usize> = row.verdict.evidence.iter().map(|item| number(proof(item, &mut texts))).collect();
        let lines: Vec<usize> = row.lines.iter().map(|line| number(tied(line, row, &mut texts))).collect();
        let cause = texts.add(row.verdict.cause.name());
        classes.entry(cause).or_insert_with(|| palette.class(row.verdict.cause));
        let members = members(row, &proofs, &lines, &mut texts);
        if names.is_empty() {
            names = members.iter().map(|(name, _)| *name).collect();
        }
        packed_rows.push(members.into_iter().map(|(_, value)| value).collect());
    }
    let mut causes = Vec::new();
    for (cause, traffic) in over_time {
        let text = texts.add(cause.name());
        classes.entry(text).or_insert_with(|| palette.class(*cause));
        causes.push((text, Times::new(traffic)));
    }
    let traffic = Times::new(&view.head.edge.counters.traffic);
    let data = Data { s: texts.list, e: evidence, k: classes, n: names, r: packed_rows, t: traffic, c: causes };
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(7));
    json_text::line(&data, &mut deflate)?;
    deflate.flush()?;
    Ok(base64::engine::general_purpose::STANDARD.encode(deflate.finish()?))
}

fn proof(item: &Evidence, texts: &mut Texts) -> Item {
    (texts.add(item.kind.name()), texts.add(&item.source), item.line, item.time_ms, texts.add(&item.text), 0)
}

/// A line of the request's timeline; its text stands with the evidence when the verdict quotes it.
fn tied(line: &TiedLine, row: &Row, texts: &mut Texts) -> Item {
    let quoted = row.verdict.evidence.iter().find(|e| e.line == Some(line.line) && e.source == line.source);
    let text = if line.text.is_empty() { quoted.map_or("", |e| e.text.as_str()) } else { line.text.as_str() };
    (texts.add(how(line.tie)), texts.add(&line.source), Some(line.line), line.time_ms, texts.add(text), line.error_ms)
}

/// How a line was tied, in words.
fn how(tie: Tie) -> &'static str {
    match tie {
        Tie::Ray => "tied by ray",
        Tie::Request => "tied by request",
        Tie::Chain => "same connection or process",
        Tie::Window | Tie::None => "near in time",
    }
}

fn members(row: &Row, proofs: &[usize], lines: &[usize], texts: &mut Texts) -> Vec<(&'static str, serde_json::Value)> {
    let e = &row.edge;
    let v = &row.verdict;
    let mut t = |text: Option<&str>| serde_json::json!(texts.some(text));
    let mut out = vec![
        ("start", serde_json::json!(e.start.map(|s| s.millis()))),
        ("end", serde_json::json!(e.end.map(|s| s.millis()))),
        ("ray", serde_json::json!(e.ray.map(|ray| ray.to_string()))),
        ("host", t(e.host.as_deref())),
        ("method", t(e.method.as_deref())),
        ("uri", t(e.uri.as_deref())),
        ("path", t(e.uri.as_deref().map(path_shape).as_deref())),
        ("client", t(e.client_ip.as_deref())),
        ("country", t(e.client_country.as_deref())),
        ("agent", t(e.user_agent.as_deref())),
        ("colo", t(e.colo.as_deref())),
        ("edge_ip", t(e.edge_ip.as_deref())),
        ("origin_ip", t(e.origin_ip.as_deref())),
        ("tls", t(e.origin_tls.as_deref())),
        ("cache", t(e.cache.as_deref())),
        ("request_source", t(e.source.as_deref())),
    ];
    let parent = e.parent_ray.map(|ray| ray.to_string());
    let missing = (!v.missing.is_empty()).then(|| v.missing.join("; "));
    let mut word = |text: &str| serde_json::json!(if text.is_empty() { None } else { Some(texts.add(text)) });
    out.extend([
        ("server", word(&row.server)),
        ("connection", word(row.connection)),
        ("cause", word(v.cause.name())),
        ("tie", word(v.tie.name())),
        ("missing", word(missing.as_deref().unwrap_or_default())),
        ("runner_up", word(v.runner_up.map_or("", |(cause, _)| cause.name()))),
        ("retry", word(row.retry)),
        ("place", word(&row.source.to_string())),
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
        ("lines", serde_json::json!(lines)),
    ]);
    out
}
