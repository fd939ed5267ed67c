//! Bursts that a person can act on: incidents of one cause on one server, with no pause over two minutes.

use cfray_model::key::path_shape;
use cfray_model::report::{Episode, Row};
use cfray_model::{Cause, EvidenceKind};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Numbers the episodes into the rows and returns them, most incidents first. A pause of more than `pause_s`
/// seconds ends an episode.
pub fn episodes(rows: &mut [Row], pause_s: i64) -> Vec<Episode> {
    let mut open: HashMap<(&str, Cause), (i64, usize)> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let Some(start) = row.edge.start.map(|s| s.secs()) else { continue };
        let key = (row.server.as_str(), row.verdict.cause);
        let slot = match open.get(&key) {
            Some((last, group)) if start - last <= pause_s => *group,
            _ => {
                groups.push(Vec::new());
                groups.len() - 1
            }
        };
        open.insert(key, (start, slot));
        if let Some(group) = groups.get_mut(slot) {
            group.push(i);
        }
    }
    let mut out = Vec::new();
    for (n, group) in groups.into_iter().enumerate() {
        let number = n as i64 + 1;
        for &i in &group {
            if let Some(row) = rows.get_mut(i) {
                row.episode = Some(number);
            }
        }
        out.push(describe(number, group, rows));
    }
    out.sort_by_key(|e| (std::cmp::Reverse(e.count), e.number));
    out
}

fn describe(number: i64, group: Vec<usize>, rows: &[Row]) -> Episode {
    let members: Vec<&Row> = group.iter().filter_map(|&i| rows.get(i)).collect();
    let counted: Vec<&Row> = members.iter().copied().filter(|r| r.counted).collect();
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    for r in &counted {
        *minutes.entry(r.edge.start.map_or(0, |s| s.secs().div_euclid(60))).or_default() += 1;
    }
    let clients: HashSet<&str> = counted.iter().filter_map(|r| r.edge.client_ip.as_deref()).collect();
    Episode {
        number,
        cause: members.first().map(|r| r.verdict.cause),
        confidence: members.iter().map(|r| r.verdict.confidence).sum::<f64>() / members.len().max(1) as f64,
        from: members.iter().filter_map(|r| r.edge.start).min(),
        to: members.iter().filter_map(|r| r.edge.end.or(r.edge.start)).max(),
        count: counted.len() as u64,
        peak_per_minute: minutes.values().copied().max().unwrap_or(0),
        requests: 0,
        server: members.first().map(|r| r.server.to_string()).unwrap_or_default(),
        hosts: top(counted.iter().filter_map(|r| r.edge.host.as_deref()), 5),
        paths: top(counted.iter().filter_map(|r| r.edge.uri.as_deref().map(path_shape)), 5),
        colos: top(counted.iter().filter_map(|r| r.edge.colo.as_deref()), 5),
        clients: clients.len() as u64,
        decisive: decisive(&members),
        rows: group,
    }
}

/// The surest row's lines, or its first sentence when no line is there.
fn decisive(members: &[&Row]) -> Vec<String> {
    let Some(best) = members.iter().max_by(|a, b| a.verdict.confidence.total_cmp(&b.verdict.confidence).then(b.edge.at.cmp(&a.edge.at)))
    else {
        return Vec::new();
    };
    let mut out: Vec<String> = Vec::new();
    for e in &best.verdict.evidence {
        let text = match (e.kind, e.line) {
            (EvidenceKind::Line | EvidenceKind::Config, Some(line)) => format!("{}:{}: {}", e.source, line, e.text),
            _ => e.text.to_string(),
        };
        if out.len() < 3 && !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

/// The most frequent values, ties in order of name.
pub fn top<T: Into<String> + Ord + Hash>(values: impl Iterator<Item = T>, n: usize) -> Vec<(String, u64)> {
    let mut counts: HashMap<T, u64> = HashMap::new();
    for v in values {
        *counts.entry(v).or_default() += 1;
    }
    let mut list: Vec<(T, u64)> = counts.into_iter().collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(n);
    list.into_iter().map(|(value, count)| (value.into(), count)).collect()
}
