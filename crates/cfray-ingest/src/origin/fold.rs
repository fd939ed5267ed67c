//! Bounds on repeated events: a fault that logs a thousand equal lines a second is one fault.

use cfray_model::time::{MINUTE, SECOND};
use cfray_model::{LineRef, LogTime, OriginEvent, Sig};
use foldhash::HashMap;

/// Up to this many events of one kind in one second are all kept.
const ALL: usize = 1000;
/// Of more than that, this many with the smallest places.
const FEW: usize = 16;

/// What is kept of a signature in one second when memory is short, from plenty to little: events, bytes of their texts, and
/// the memory that one is taken to need. Each keeps a part of what the one before keeps. Texts stay long enough for the
/// tail of an ordinary line.
const LEVELS: [(usize, usize, u64); 4] = [(ALL, 2048, 1024), (FEW, 1024, 1024), (4, 640, 900), (1, 512, 768)];
/// The last level.
pub const LAST: usize = LEVELS.len() - 1;

/// What a level keeps, in words.
pub fn in_words(level: usize) -> String {
    let (events, text, _) = LEVELS.get(level).copied().unwrap_or_default();
    format!("at most {events} of one meaning in one second, texts cut to {text} bytes")
}

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
    /// An application's warning that belongs to no request. See [`Fold::noise`].
    Noise,
}

/// Of warnings that belong to no request the first in so many lines is looked at ...
const STRETCH: u64 = 16;
/// ... and of those of one minute so many are kept from its beginning and as many from its end, by level: of an hour that comes
/// twice the later one stands at the end.
const NOISE: [usize; LEVELS.len()] = [32, 8, 2, 1];

#[derive(Debug, Default)]
struct Group {
    count: u64,
    /// All of them up to [`ALL`], else the [`FEW`] smallest; of [`Kind::Noise`] see [`NOISE`].
    #[allow(clippy::vec_box)]
    events: Vec<Box<OriginEvent>>,
}

/// Events by kind and second. Merging is associative and commutative: a group that is small keeps
/// everything, one that is large keeps the smallest places, and the smallest of the whole are among
/// the smallest of each part.
#[derive(Debug, Default)]
pub struct Fold {
    groups: HashMap<(Kind, i64), Group>,
    level: usize,
    /// Memory that each level would take, from the counts alone, so that it only grows when parts merge.
    needs: [u64; LEVELS.len()],
}

impl Fold {
    /// Bytes that the events would take at a level, about.
    pub fn needs(&self, level: usize) -> u64 {
        self.needs.get(level).copied().unwrap_or_default()
    }

    /// Keeps no more than a level allows, from now on. A part that is over a budget at some level makes the whole over
    /// it as well, so parts may be thinned before they are merged without changing the outcome.
    pub fn thin(&mut self, level: usize) {
        if level <= self.level {
            return;
        }
        self.level = level.min(LAST);
        let ((keep, text, _), half) = (self.limits(), self.noise_half());
        // Any order will do: groups are independent of each other.
        #[allow(clippy::iter_over_hash_type)]
        for ((kind, _), group) in &mut self.groups {
            match kind {
                Kind::Sig(_) => smallest(&mut group.events, keep),
                Kind::Noise => fewest_stretches(&mut group.events, half),
                _ => {}
            }
            group.events.iter_mut().for_each(|event| event.text.cut(text));
            group.events.shrink_to_fit();
        }
    }

    fn limits(&self) -> (usize, usize, u64) {
        LEVELS.get(self.level).copied().unwrap_or_default()
    }

    /// A group counts `more` events on top of `before`.
    fn count(needs: &mut [u64; LEVELS.len()], kind: Kind, before: u64, more: u64) {
        for (((events, _, bytes), noise), sum) in LEVELS.iter().zip(NOISE).zip(needs) {
            let keep = match kind {
                Kind::Sig(_) => *events,
                Kind::Noise => 2 * noise,
                // Lines that tie requests to rows are kept at every level.
                _ => ALL,
            } as u64;
            *sum += ((before + more).min(keep) - before.min(keep)) * bytes;
        }
    }

    /// Counts a warning of an application that belongs to no request, and says whether it is worth an event. No rule asks for one, but
    /// sites log millions: a few say that their kind is logged at all, and where in the file which times stand.
    pub fn noise(&mut self, time: Option<LogTime>, at: LineRef) -> bool {
        let half = self.noise_half();
        let group = self.groups.entry(Self::noise_key(time)).or_default();
        Self::count(&mut self.needs, Kind::Noise, group.count, 1);
        group.count += 1;
        let events = &group.events;
        let index = events.partition_point(|e| stretch(e.at) < stretch(at));
        match events.get(index) {
            Some(same) if stretch(same.at) == stretch(at) => at < same.at,
            _ => index < half || index + half > events.len(),
        }
    }

    /// Adds what [`Self::noise`] wants.
    pub fn add_noise(&mut self, mut event: Box<OriginEvent>) {
        let half = self.noise_half();
        if self.level > 0 {
            event.text.cut(self.limits().1);
        }
        let group = self.groups.entry(Self::noise_key(event.time())).or_default();
        group.events.push(event);
        fewest_stretches(&mut group.events, half);
    }

    fn noise_key(time: Option<LogTime>) -> (Kind, i64) {
        (Kind::Noise, time.map_or(i64::MIN, |t| t.civil_ns.div_euclid(MINUTE)))
    }

    fn noise_half(&self) -> usize {
        NOISE.get(self.level).copied().unwrap_or(1)
    }

    /// Adds an event. `ray`, `request`: the index wants it for this ray or request (else 0).
    pub fn add(&mut self, mut event: Box<OriginEvent>, ray: u64, request: u64) {
        let kind = match (&event.sig, ray, request) {
            (_, 1.., _) => Kind::Ray(ray),
            (_, 0, 1..) => Kind::Request(request),
            (Some(hit), ..) => Kind::Sig(hit.sig),
            (None, ..) if event.details().own != 0 => Kind::Own(event.details().own),
            // Odd access lines without signature: by what they ask for.
            (None, ..) => Kind::Request(event.request),
        };
        let second = event.time().map_or(i64::MIN, |t| t.civil_ns.div_euclid(SECOND));
        let (keep, text, _) = self.limits();
        let thinned = self.level > 0 && matches!(kind, Kind::Sig(_));
        let group = self.groups.entry((kind, second)).or_default();
        Self::count(&mut self.needs, kind, group.count, 1);
        group.count += 1;
        if self.level > 0 {
            event.text.cut(text);
        }
        let (all, few) = if thinned { (keep, keep) } else { (ALL, FEW) };
        if group.count > all as u64 {
            // Full groups hold the smallest places only, in order: most newcomers need no work.
            if group.events.len() > few {
                smallest(&mut group.events, few);
            }
            if group.events.last().is_some_and(|last| place(&event) > place(last)) && group.events.len() >= few {
                return;
            }
            group.events.push(event);
            smallest(&mut group.events, few);
        } else {
            // Most groups stay alone: a vector's usual first capacity would take the room of four.
            if group.events.is_empty() {
                group.events.reserve_exact(1);
            }
            group.events.push(event);
        }
    }

    /// Adds another part.
    pub fn merge(&mut self, mut other: Self) {
        let level = self.level.max(other.level);
        self.thin(level);
        other.thin(level);
        if self.groups.is_empty() {
            (self.groups, self.needs) = (other.groups, other.needs);
            return;
        }
        let ((keep, ..), half) = (self.limits(), self.noise_half());
        // Any order will do: groups are independent of each other.
        #[allow(clippy::iter_over_hash_type)]
        for (key, part) in other.groups {
            let group = self.groups.entry(key).or_default();
            Self::count(&mut self.needs, key.0, group.count, part.count);
            group.count += part.count;
            if key.0 == Kind::Noise {
                group.events.extend(part.events);
                fewest_stretches(&mut group.events, half);
                continue;
            }
            if group.events.is_empty() {
                group.events = part.events;
            } else {
                group.events.extend(part.events);
            }
            if level > 0 && matches!(key.0, Kind::Sig(_)) {
                smallest(&mut group.events, keep);
            } else if group.count > ALL as u64 {
                smallest(&mut group.events, FEW);
            }
        }
    }

    /// Events by (time, place), and the number of those that were not kept.
    #[allow(clippy::vec_box)]
    pub fn finish(self) -> (Vec<Box<OriginEvent>>, u64) {
        let mut folded = 0;
        let mut events: Vec<Box<OriginEvent>> = Vec::with_capacity(self.groups.values().map(|g| g.events.len()).sum());
        // Sorted below.
        #[allow(clippy::iter_over_hash_type)]
        for group in self.groups.into_values() {
            folded += group.count - group.events.len() as u64;
            events.extend(group.events);
        }
        events.sort_by_cached_key(|e| (e.time().map(|t| t.stated_ns()), e.at));
        (events, folded)
    }
}

fn place(event: &OriginEvent) -> LineRef {
    event.at
}

#[allow(clippy::vec_box)]
fn smallest(events: &mut Vec<Box<OriginEvent>>, few: usize) {
    events.sort_unstable_by_key(|e| place(e));
    events.truncate(few);
}

fn stretch(at: LineRef) -> u64 {
    at.line / STRETCH
}

/// The first event of each stretch, of the `half` first stretches and of the `half` last ones.
#[allow(clippy::vec_box)]
fn fewest_stretches(events: &mut Vec<Box<OriginEvent>>, half: usize) {
    events.sort_unstable_by_key(|e| place(e));
    events.dedup_by_key(|e| stretch(e.at));
    if events.len() > 2 * half {
        events.drain(half..events.len() - half);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use cfray_model::{Line, LineKind, LogTime, SigHit, SourceId, Stack};

    fn event(line: u64, second: i64) -> Box<OriginEvent> {
        let plan = crate::discover::OriginPlan::for_tests();
        let mut parsed = Line::new(LineKind::Error, Stack::Nginx);
        parsed.time = Some(LogTime { civil_ns: second * 1_000_000_000, offset_s: None, precision_ns: 1, yearless: false });
        let sig = SigHit { sig: Sig::WorkerConnections, num: None, pid: None, name: None };
        let at = LineRef { source: SourceId(0), line, offset: line };
        super::super::event::event(&parsed, (b"text", at), Some(sig), (0, 0), &plan, &mut Default::default(), true)
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

    /// Lines by their number, each with the second that it states; whatever the parts, and whenever they are thinned.
    fn warnings(lines: &[(u64, i64)], parts: u64, level: usize, early: usize) -> (Vec<(u64, usize)>, u64, Vec<u64>) {
        let mut all = Fold::default();
        for part in 0..parts {
            let mut fold = Fold::default();
            let mine: Vec<_> = lines.iter().filter(|(line, _)| line % parts == part).collect();
            for (n, (line, second)) in mine.iter().enumerate() {
                if n == mine.len() / 2 {
                    fold.thin(early);
                }
                let mut one = event(*line, *second);
                one.text = "é".repeat(900).into();
                if fold.noise(one.time(), one.at) {
                    fold.add_noise(one);
                }
            }
            all.merge(fold);
        }
        all.thin(level);
        let needs = (0..=LAST).map(|level| all.needs(level)).collect();
        let (events, folded) = all.finish();
        let mut lines: Vec<_> = events.iter().map(|e| (e.at.line, e.text.len())).collect();
        lines.sort_unstable();
        (lines, folded, needs)
    }

    /// Of warnings one in sixteen lines is kept; an hour that comes twice leaves lines of both.
    #[test]
    fn of_warnings_the_first_in_each_stretch_is_kept() {
        let lines: Vec<(u64, i64)> = (0..200).map(|line| (line, (line % 100 / 2) as i64 + 30)).collect();
        for parts in [1, 2, 7] {
            let (kept, folded, _) = warnings(&lines, parts, 0, 0);
            let expected = [0, 16, 32, 48, 60, 64, 80, 96, 100, 112, 128, 144, 160, 176, 192];
            assert_eq!(kept.iter().map(|(line, _)| *line).collect::<Vec<_>>(), expected, "{parts}");
            assert_eq!(folded, 200 - expected.len() as u64);
        }
    }

    /// However many there are, a minute keeps a few of its beginning and of its end, and fewer where memory is short.
    #[test]
    fn warnings_are_bounded_and_thinned() {
        let lines: Vec<(u64, i64)> = (0..9000).map(|line| (line, (line / 6000) as i64 * 60)).collect();
        for level in 0..=LAST {
            let whole = warnings(&lines, 1, level, level);
            assert_eq!(whole.0.len(), 4 * NOISE[level]);
            assert_eq!(whole.1, 9000 - whole.0.len() as u64);
            assert!(whole.0.iter().all(|(_, text)| *text <= LEVELS[level].1));
            assert_eq!((whole.0[0].0, whole.0[4 * NOISE[level] - 1].0), (0, 8992));
            for (parts, early) in [(1, 0), (3, 0), (3, level), (7, level.min(1))] {
                assert_eq!(warnings(&lines, parts, level, early), whole, "{level} {parts} {early}");
            }
        }
    }

    /// Whatever the parts, whenever they are thinned: the same events are left as if the whole had been thinned.
    #[test]
    fn thinned_parts_keep_what_the_thinned_whole_keeps() {
        let fill = |fold: &mut Fold, lines: &mut dyn Iterator<Item = u64>| {
            for line in lines {
                let mut one = event(line, i64::from(line > 1500) + i64::from(line > 2990));
                one.text = "é".repeat(900).into();
                fold.add(one, if line % 500 == 0 { 7 } else { 0 }, 0);
            }
        };
        let left = |fold: Fold| {
            let needs: Vec<u64> = (0..=LAST).map(|level| fold.needs(level)).collect();
            let (events, folded) = fold.finish();
            (events.iter().map(|e| (e.at.line, e.text.len())).collect::<Vec<_>>(), folded, needs)
        };
        for level in 0..=LAST {
            let mut whole = Fold::default();
            fill(&mut whole, &mut (1..=3000));
            whole.thin(level);
            let whole = left(whole);
            assert!(whole.2.windows(2).all(|pair| pair[0] >= pair[1]), "{:?}", whole.2);
            for early in 0..=level {
                let mut all = Fold::default();
                all.thin(early.min(1));
                for part in [2, 0, 1] {
                    let mut fold = Fold::default();
                    fill(&mut fold, &mut (1..=3000).rev().filter(|line| line % 3 == part && line % 2 == 0));
                    fold.thin(early);
                    fill(&mut fold, &mut (1..=3000).filter(|line| line % 3 == part && line % 2 == 1));
                    all.merge(fold);
                }
                all.thin(level);
                assert_eq!(left(all), whole, "{level} {early}");
            }
        }
    }
}
