//! The answer in a sentence, and what the rest is.

use crate::brief;
use crate::gathered::Briefs;
use cfray_model::report::{CauseSummary, EdgeSummary, Episode, Meta};
use cfray_model::{Cause, Stamp};

/// Most incidents first; then what the rest is.
pub fn headline(meta: &Meta, edge: &EdgeSummary, causes: &[CauseSummary], episodes: &[Episode], rows: &Briefs) -> String {
    let total = edge.incidents;
    let plain = meta.statuses.is_empty() || meta.statuses == "520";
    let (one, many) = if plain {
        ("520".to_owned(), "520s".to_owned())
    } else {
        (format!("request with status {}", meta.statuses), format!("requests with status {}", meta.statuses))
    };
    let chosen: Vec<&str> = meta
        .options
        .iter()
        .map(String::as_str)
        .filter(|o| ["host", "colo", "since", "until"].iter().any(|k| o.trim_start_matches('-').starts_with(k)))
        .collect();
    let chosen =
        if chosen.is_empty() { String::new() } else { format!(" passes the filter ({}); without it there may be some", chosen.join(", ")) };
    if total == 0 {
        return match edge.counters.rows {
            0 => "No Cloudflare rows were read, so nothing could be found.".to_owned(),
            n => format!("No {one} among {} requests{chosen}.", number(n)),
        };
    }
    let Some(first) = causes.first() else { return String::new() };
    let hosts = brief::top(rows.list.iter().map(|r| r.host), &rows.names, 2);
    let on = match hosts.as_slice() {
        [(one, _)] => format!(" on {one}"),
        [(one, n), ..] if *n * 10 >= total * 9 => format!(" on {one}"),
        [_, _, ..] => " on several hosts".to_owned(),
        _ => String::new(),
    };
    let when = episodes.iter().filter(|e| e.cause == Some(first.cause)).fold((None, None), |(a, b): (Option<Stamp>, Option<Stamp>), e| {
        (a.into_iter().chain(e.from).min(), b.into_iter().chain(e.to).max())
    });
    let when = match when {
        (Some(a), Some(b)) => {
            let (a, b) = (a.to_rfc3339_ms(), b.to_rfc3339_ms());
            let clock = |s: &str| s.get(11..16).unwrap_or_default().to_owned();
            let day = a.get(..10).unwrap_or_default().to_owned();
            if b.starts_with(&day) && clock(&a) == clock(&b) {
                format!(" at {} UTC on {day}", clock(&a))
            } else if b.starts_with(&day) {
                format!(" between {} and {} UTC on {day}", clock(&a), clock(&b))
            } else {
                format!(" between {day} {} and {} {} UTC", clock(&a), b.get(..10).unwrap_or_default(), clock(&b))
            }
        }
        _ => String::new(),
    };
    let says = first.says.trim_end_matches('.');
    let tail = tail(causes.get(1..).unwrap_or_default(), total - first.count);
    if first.cause == Cause::Unknown {
        return format!("{} of {} {many}{on}{when} cannot be explained by these logs.{tail}", number(first.count), number(total));
    }
    let sure = if first.confidence >= 0.85 { "" } else { "probably " };
    format!("{} of {} {many}{on}{when} are {sure}{}: {says}.{tail}", number(first.count), number(total), first.cause)
}

/// `20,000`: beside a status a bare number is easily misread.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// What the incidents are that the headline does not speak of: every cause up to three, then how many more.
fn tail(others: &[CauseSummary], rest: u64) -> String {
    const NAMED: usize = 3;
    let name = |c: &CauseSummary| if c.cause == Cause::Unknown { "unexplained" } else { c.cause.name() };
    let parts: Vec<String> = match others {
        [] => return String::new(),
        [one] => return format!(" The other {}: {}.", number(rest), name(one)),
        few if few.len() <= NAMED => few.iter().map(|c| format!("{} {}", number(c.count), name(c))).collect(),
        many => {
            let (shown, more) = many.split_at(NAMED - 1);
            let left: u64 = more.iter().map(|c| c.count).sum();
            let more = format!("{} of {} other causes", number(left), more.len());
            shown.iter().map(|c| format!("{} {}", number(c.count), name(c))).chain([more]).collect()
        }
    };
    let (last, before) = parts.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    format!(" The other {}: {} and {last}.", number(rest), before.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(list: &[(Cause, u64)]) -> String {
        let causes: Vec<CauseSummary> = list
            .iter()
            .map(|(cause, count)| CauseSummary {
                cause: *cause,
                count: *count,
                confidence: 0.9,
                says: String::new(),
                fix_owner: String::new(),
                fix_admin: String::new(),
                fix_developer: String::new(),
                fix_client: String::new(),
                check: String::new(),
            })
            .collect();
        tail(&causes, list.iter().map(|(_, n)| n).sum())
    }

    #[test]
    fn the_rest_adds_up() {
        assert_eq!((number(7), number(1000), number(12_345_678)), ("7".into(), "1,000".into(), "12,345,678".into()));
        assert_eq!(others(&[]), "");
        assert_eq!(others(&[(Cause::Unknown, 6)]), " The other 6: unexplained.");
        assert_eq!(others(&[(Cause::KeepaliveRace, 12), (Cause::Unknown, 6)]), " The other 18: 12 keepalive-race and 6 unexplained.");
        assert_eq!(
            others(&[(Cause::KeepaliveRace, 9), (Cause::OomKill, 5), (Cause::Unknown, 4), (Cause::AppFatal, 1)]),
            " The other 19: 9 keepalive-race, 5 oom-kill and 5 of 2 other causes."
        );
    }
}
