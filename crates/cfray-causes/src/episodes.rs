//! Bursts that a person can act on: incidents of one cause on one server, with no pause over two minutes.

use crate::brief::{Brief, NONE, Name, top};
use crate::gathered::Briefs;
use cfray_model::report::Episode;
use cfray_model::{EvidenceKind, Rows};
use foldhash::{HashMap, HashSet};
use std::collections::BTreeMap;

/// Numbers the episodes into the rows and returns them, most incidents first. A pause of more than `pause_s`
/// seconds ends an episode.
pub fn episodes(rows: &mut Rows, briefs: &Briefs, pause_s: i64) -> Vec<Episode> {
    let mut open: HashMap<(Name, u16), (i64, usize)> = HashMap::default();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in briefs.list.iter().enumerate() {
        let Some(start) = row.start.map(|s| s.secs()) else { continue };
        let key = (row.server, row.cause_number());
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
        let number = n as u32 + 1;
        for &i in &group {
            rows.set_episode(i, number);
        }
        out.push(describe(i64::from(number), group, rows, briefs));
    }
    out.sort_by_key(|e| (std::cmp::Reverse(e.count), e.number));
    out
}

fn describe(number: i64, group: Vec<usize>, rows: &Rows, briefs: &Briefs) -> Episode {
    let names = &briefs.names;
    let members: Vec<&Brief> = group.iter().filter_map(|&i| briefs.list.get(i)).collect();
    let counted = || members.iter().copied().filter(|r| r.counted);
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    for r in counted() {
        *minutes.entry(r.start.map_or(0, |s| s.secs().div_euclid(60))).or_default() += 1;
    }
    let clients: HashSet<Name> = counted().map(|r| r.client).filter(|client| *client != NONE).collect();
    Episode {
        number,
        cause: members.first().map(|r| r.cause()),
        confidence: members.iter().map(|r| r.confidence).sum::<f64>() / members.len().max(1) as f64,
        from: members.iter().filter_map(|r| r.start).min(),
        // An end before the start is some clock's fault.
        to: members.iter().filter_map(|r| r.end.max(r.start)).max(),
        count: counted().count() as u64,
        peak_per_minute: minutes.values().copied().max().unwrap_or(0),
        requests: 0,
        server: members.first().map(|r| names.text(r.server).to_owned()).unwrap_or_default(),
        hosts: top(counted().map(|r| r.host), names, 5),
        paths: top(counted().map(|r| r.path), names, 5),
        colos: top(counted().map(|r| r.colo), names, 5),
        clients: clients.len() as u64,
        decisive: decisive(&group, &members, rows),
        rows: group,
    }
}

/// The surest row's lines, or its first sentence when no line is there.
fn decisive(group: &[usize], members: &[&Brief], rows: &Rows) -> Vec<String> {
    let surest = members.iter().map(|r| r.confidence).max_by(f64::total_cmp);
    // Of several the one that stands first in the logs. In a large storm the first rows will do.
    let equal = group.iter().zip(members).filter(|(_, r)| Some(r.confidence) == surest).map(|(i, _)| *i);
    let most = if rows.kept().is_some() { usize::MAX } else { 1 };
    let Some(best) = equal.take(most).filter_map(|i| rows.get(i)).min_by_key(|row| row.edge.at) else {
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
