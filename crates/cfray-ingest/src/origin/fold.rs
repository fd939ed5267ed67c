//! Bounds on repeated events: a fault that logs a thousand equal lines a second is one fault.

use cfray_model::{LineRef, OriginEvent, Sig};
use std::collections::HashMap;

/// Up to this many events of one kind in one second are all kept.
const ALL: usize = 1000;
/// Of more than that, this many with the smallest places.
const FEW: usize = 16;

/// What counts as the same kind of event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    /// Signature.
    Sig(Sig),
    /// Patterns of the user's.
    Own(u64),
    /// A line that was wanted for its ray.
    Ray(u64),
    /// A line that was wanted for its request.
    Request(u64),
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    /// All of them up to [`ALL`], else the [`FEW`] smallest.
    events: Vec<OriginEvent>,
}

/// Events by kind and second. Merging is associative and commutative: a group that is small keeps
/// everything, one that is large keeps the smallest places, and the smallest of the whole are among
/// the smallest of each part.
#[derive(Debug, Default)]
pub struct Fold {
    groups: HashMap<(Kind, i64), Group>,
}

impl Fold {
    /// Adds an event. `ray`, `request`: the index wants it for this ray or request (else 0).
    pub fn add(&mut self, event: OriginEvent, ray: u64, request: u64) {
        let kind = match (&event.sig, ray, request) {
            (_, 1.., _) => Kind::Ray(ray),
            (_, 0, 1..) => Kind::Request(request),
            (Some(hit), ..) => Kind::Sig(hit.sig),
            (None, ..) if event.own != 0 => Kind::Own(event.own),
            // Odd access lines without signature: by what they ask for.
            (None, ..) => Kind::Request(event.request),
        };
        let second = event.time.map_or(i64::MIN, |t| t.civil_ns.div_euclid(1_000_000_000));
        let group = self.groups.entry((kind, second)).or_default();
        group.count += 1;
        if group.count > ALL as u64 {
            // Full groups hold the smallest places only, in order: most newcomers need no work.
            if group.events.len() > FEW {
                smallest(&mut group.events);
            }
            if group.events.last().is_some_and(|last| place(&event) > place(last)) && group.events.len() >= FEW {
                return;
            }
            group.events.push(event);
            smallest(&mut group.events);
        } else {
            // Most groups stay alone: a vector's usual first capacity would take the room of four.
            if group.events.is_empty() {
                group.events.reserve_exact(1);
            }
            group.events.push(event);
        }
    }

    /// Adds another part.
    pub fn merge(&mut self, other: Self) {
        // Any order will do: groups are independent of each other.
        #[allow(clippy::iter_over_hash_type)]
        for (key, part) in other.groups {
            let group = self.groups.entry(key).or_default();
            group.count += part.count;
            if group.events.is_empty() {
                group.events = part.events;
            } else {
                group.events.extend(part.events);
            }
            if group.count > ALL as u64 {
                smallest(&mut group.events);
            }
        }
    }

    /// Events by (time, place), and the number of those that were not kept.
    pub fn finish(self) -> (Vec<OriginEvent>, u64) {
        let mut folded = 0;
        let mut events = Vec::with_capacity(self.groups.values().map(|g| g.events.len()).sum());
        // Sorted below.
        #[allow(clippy::iter_over_hash_type)]
        for group in self.groups.into_values() {
            folded += group.count - group.events.len() as u64;
            events.extend(group.events);
        }
        events.sort_unstable_by_key(|e: &OriginEvent| (e.time.map(|t| t.stated_ns()), e.at));
        (events, folded)
    }
}

fn place(event: &OriginEvent) -> LineRef {
    event.at
}

fn smallest(events: &mut Vec<OriginEvent>) {
    events.sort_unstable_by_key(place);
    events.truncate(FEW);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use cfray_model::{Line, LineKind, LogTime, SigHit, SourceId, Stack};

    fn event(line: u64, second: i64) -> OriginEvent {
        let plan = crate::discover::OriginPlan::for_tests();
        let mut parsed = Line::new(LineKind::Error, Stack::Nginx);
        parsed.time = Some(LogTime { civil_ns: second * 1_000_000_000, offset_s: None, precision_ns: 1, yearless: false });
        let sig = SigHit { sig: Sig::WorkerConnections, num: None, pid: None, name: None };
        let at = LineRef { source: SourceId(0), line, offset: line };
        super::super::event::event(&parsed, b"text", at, Some(sig), 0, &plan)
    }

    #[test]
    fn parts_in_any_order_keep_the_same() {
        let lines: Vec<u64> = (1..=3000).collect();
        let whole = |chunks: usize, reverse: bool, wanted: u64| {
            let mut order = lines.clone();
            if reverse {
                order.reverse();
            }
            let mut all = Fold::default();
            for chunk in order.chunks(chunks) {
                let mut part = Fold::default();
                for &line in chunk {
                    // Seconds 0 and 1 hold 1,490 lines each, second 2 holds 20.
                    let second = if line > 2980 { 2 } else { (line % 2) as i64 };
                    part.add(event(line, second), 0, wanted);
                }
                all.merge(part);
            }
            let (events, folded) = all.finish();
            (events.iter().map(|e| e.at.line).collect::<Vec<_>>(), folded)
        };
        let (lines, folded) = whole(3000, false, 0);
        assert_eq!(lines.len(), 16 + 16 + 20);
        assert_eq!(lines[..3], [2, 4, 6]);
        assert_eq!(folded, 2 * (1490 - 16));
        for chunks in [1, 7, 999, 1001] {
            assert_eq!(whole(chunks, true, 0), (lines.clone(), folded), "{chunks}");
            assert_eq!(whole(chunks, false, 5), (lines.clone(), folded), "{chunks}");
        }
    }
}
