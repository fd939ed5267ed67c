//! Does a log's client column hold what edge rows know, or an address in between?

use super::index::{ClientColumn, ComboKeys, FactIndex, agrees};
use cfray_model::{Facts, OriginEvent, SourceScan, key};
use foldhash::HashSet;

/// Lines of one source whose client is compared with that of its rows.
const CLIENTS: usize = 2048;
/// Fewer say nothing.
const ENOUGH: usize = 4;
/// Rows of a request that a line is compared with, one by one.
const ROWS: usize = 256;

/// A client column counts as comparable when at least half of the lines whose request is known agree with some row of that request.
/// Of many lines a choice is asked; requests with many rows count only where there are no others.
pub fn client_column(scan: &SourceScan, facts: &Facts, keys: &[ComboKeys], index: &FactIndex) -> ClientColumn {
    let count = |e: &OriginEvent| if e.ray != 0 { index.ray(e.ray).len() } else { index.requests(e.request) };
    let few = chosen(scan, |e| (1..=ROWS).contains(&count(e)));
    let one_by_one = |e: &OriginEvent| {
        // By the one or by the other.
        let (ray, request) = if e.ray != 0 { (e.ray, 0) } else { (0, e.request) };
        let mut rows = index.ray(ray).chain(index.request(request)).filter_map(|i| facts.get(i as usize));
        rows.any(|f| keys.get(f.combo as usize).is_some_and(|k| agrees(e, &f, k, ClientColumn::Comparable, false)))
    };
    let opaque = mostly_not(&few, one_by_one).or_else(|| {
        let many = chosen(scan, |e| count(e) > ROWS);
        if many.len() < ENOUGH {
            return None;
        }
        let asked: HashSet<u32> = many.iter().map(|e| e.request as u32).collect();
        // Who asked for it at all: a line's own row may be anywhere among thousands.
        let clients: HashSet<(u32, u32)> = facts.iter().filter(|f| asked.contains(&f.request)).map(|f| (f.request, f.client)).collect();
        let edges: HashSet<u64> = keys.iter().map(|k| k.edge_ip).filter(|key| *key != 0).collect();
        let known = |e: &OriginEvent, key: u64| key != 0 && clients.contains(&(e.request as u32, key as u32));
        mostly_not(&many, |e| edges.contains(&e.client) || known(e, e.client) || known(e, e.details().visitor))
    });
    if opaque == Some(true) { ClientColumn::Opaque } else { ClientColumn::Comparable }
}

/// Lines with a client that fit, or about [`CLIENTS`] of them: by a hash of the place, since logs have habits and every tenth line may
/// be a check's.
fn chosen(scan: &SourceScan, fits: impl Fn(&OriginEvent) -> bool) -> Vec<&OriginEvent> {
    let mut all: Vec<&OriginEvent> = scan.events.iter().map(|e| &**e).filter(|e| e.client != 0 && fits(e)).collect();
    let step = all.len().div_ceil(CLIENTS) as u64;
    if step > 1 {
        all.retain(|e| key::bytes_key(&e.at.offset.to_le_bytes()).is_multiple_of(step));
    }
    all
}

/// Do fewer than half of the lines agree? `None`: too few to say.
fn mostly_not(lines: &[&OriginEvent], agree: impl Fn(&OriginEvent) -> bool) -> Option<bool> {
    let agreeing = lines.iter().filter(|e| agree(e)).count();
    (lines.len() >= ENOUGH).then_some(agreeing * 2 < lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::{Fact, LineKind, LineRef};

    /// The verdict on so many lines, each of a request of its own or of one for all; `balancer` says which come from an address that no row has.
    fn column(lines: u64, popular: bool, balancer: impl Fn(u64) -> bool) -> ClientColumn {
        let request = |n: u64| if popular { 1 } else { n + 1 };
        let events = (0..lines).map(|n| {
            let client = if balancer(n) { 7 } else { 1 << 40 | (n + 100) };
            let at = LineRef { offset: n * 200, line: n + 1, ..LineRef::default() };
            Box::new(OriginEvent { kind: LineKind::Access, at, client, request: request(n), ..crate::testing::event() })
        });
        let scan = SourceScan { events: events.collect(), ..SourceScan::default() };
        let fact = |n: u64| Fact { start_ms: n as i64, request: request(n) as u32, client: (n + 100) as u32, ..Fact::default() };
        let facts: Facts = (0..lines).map(fact).collect();
        let index = FactIndex::build(&facts, scan.events.iter().map(|e| &**e));
        client_column(&scan, &facts, &[ComboKeys::default()], &index)
    }

    #[test]
    fn most_lines_decide_also_of_a_choice() {
        for lines in [20, 20_000] {
            assert_eq!(column(lines, false, |_| false), ClientColumn::Comparable);
            assert_eq!(column(lines, false, |_| true), ClientColumn::Opaque);
            // Whatever their rhythm.
            for every in [3, 5, 10] {
                assert_eq!(column(lines, false, |n| n % every == 0), ClientColumn::Comparable, "{lines} {every}");
                assert_eq!(column(lines, false, |n| n % every != 0), ClientColumn::Opaque, "{lines} {every}");
            }
        }
        // Too few to say.
        assert_eq!(column(3, false, |_| true), ClientColumn::Comparable);
    }

    #[test]
    fn one_request_for_all_is_asked_where_there_is_no_other() {
        for lines in [200, 400, 20_000] {
            assert_eq!(column(lines, true, |_| true), ClientColumn::Opaque, "{lines}");
            assert_eq!(column(lines, true, |_| false), ClientColumn::Comparable, "{lines}");
        }
    }
}
