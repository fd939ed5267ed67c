//! Who was hit, and whether trying again helped.

use crate::words::{self, count, duration, number, percent};
use cfray_model::Cause;
use cfray_model::report::Report;
use serde::Serialize;

/// A number with what it counts.
#[derive(Serialize)]
pub struct Tile {
    number: String,
    label: String,
}

/// One retry of the back-off.
#[derive(Serialize)]
struct Step {
    wait: &'static str,
    saved: String,
    share: String,
    width: u64,
}

/// The section on visitors.
#[derive(Serialize)]
pub struct ImpactView {
    hit: String,
    retried: String,
    /// Empty when no retry was seen.
    steps: Vec<Step>,
    verdict: String,
}

/// The numbers under the headline.
pub fn tiles(report: &Report) -> Vec<Tile> {
    let i = &report.impact;
    let mut tiles = Vec::new();
    let mut tile = |number: String, label: String| tiles.push(Tile { number, label });
    let found = report.edge.incidents;
    tile(number(found), format!("{} in {}", words::incidents(&report.meta.statuses, found), count(report.edge.counters.rows, "request")));
    if found == 0 {
        return tiles;
    }
    let named: u64 = report.causes.iter().filter(|c| c.cause != Cause::Unknown).map(|c| c.count).sum();
    tile(percent(named, found), "got a cause with evidence".to_owned());
    if i.clients > 0 {
        tile(number(i.clients), if i.clients == 1 { "client hit".to_owned() } else { "clients hit".to_owned() });
    }
    tile(number(i.writes), "writes hit (POST, PUT, DELETE, …)".to_owned());
    let seen = i.cleared + i.persisted;
    if seen > 0 {
        let after = i.median_clear_s.map_or(String::new(), |s| format!(", half within {}", duration(s)));
        tile(percent(i.cleared, seen), format!("of those tried again got through{after}"));
        tile(percent(i.backoff_saves, seen), "would be saved by retries after 1, 2, 4, 8, 16 s".to_owned());
    }
    tiles
}

/// Nothing when nothing was hit.
pub fn impact(report: &Report) -> Option<ImpactView> {
    let i = &report.impact;
    let found = report.edge.incidents;
    if found == 0 {
        return None;
    }
    let methods: Vec<String> = i.methods.iter().map(|(method, n)| format!("{} {}", number(*n), crate::escape::visible(method))).collect();
    let clients = if i.clients == 0 { "Clients are not in the log".to_owned() } else { format!("{} hit", count(i.clients, "client")) };
    let mut hit = format!("{clients}; {} by method: {}.", words::incidents(&report.meta.statuses, found), methods.join(", "));
    if i.writes > 0 {
        hit.push_str(&format!(
            " {} may have been lost or done twice: a browser does not repeat a write, and nobody knows how far the origin got.",
            count(i.writes, "write")
        ));
    }
    let seen = i.cleared + i.persisted;
    let unseen = found.saturating_sub(seen);
    if seen == 0 {
        let retried = if report.edge.kind == "full" {
            "Nobody is seen to have asked for the same page again within ten minutes.".to_owned()
        } else {
            "Whether trying again helped cannot be told: the Cloudflare log does not hold the requests that succeeded.".to_owned()
        };
        return Some(ImpactView { hit, retried, steps: Vec::new(), verdict: String::new() });
    }
    let mut retried = format!("{} of {} that were tried again got an answer", number(i.cleared), number(seen));
    if let Some(half) = i.median_clear_s {
        retried.push_str(&format!(", half of them within {}", duration(half)));
    }
    if let Some(most) = i.clear_90_s {
        retried.push_str(&format!(", nine of ten within {}", duration(most)));
    }
    retried.push_str(&format!("; {} went on failing for ten minutes.", number(i.persisted)));
    if unseen > 0 {
        retried.push_str(&format!(" For the other {} no later request is in the log.", number(unseen)));
    }
    let step = |(wait, saved): (&'static str, &u64)| Step {
        wait,
        saved: number(*saved),
        share: percent(*saved, seen),
        width: saved.saturating_mul(100).checked_div(seen).unwrap_or(0),
    };
    let waits = ["after 1 s", "then 2 s", "then 4 s", "then 8 s", "then 16 s"];
    let verdict = match i.backoff_saves {
        0 => "Retries after 1, 2, 4, 8 and 16 s would have saved none of them.".to_owned(),
        n if n == seen => "Retries after 1, 2, 4, 8 and 16 s would have saved all of them.".to_owned(),
        n => format!("Retries after 1, 2, 4, 8 and 16 s would have saved {} of {}.", number(n), number(seen)),
    };
    Some(ImpactView { hit, retried, steps: waits.into_iter().zip(&i.backoff_steps).map(step).collect(), verdict })
}
