//! Which fatal goes with which kind of page. PHP's own log names no request, and where several pages fail in the same second the
//! nearest line may be another's: the page's own fatal is there each time it fails.

use super::drops::unexplained;
use super::windows::FATAL_MS;
use crate::join::world::{Ev, Span, World};
use cfray_model::time::MILLI;
use cfray_model::{Sig, Stack, Text};
use std::collections::BTreeMap;

/// Fewer failures of a kind of page than this tell nothing.
const FEWEST: u64 = 5;
/// Closes of a kind of page that are looked at.
const ENOUGH: usize = 400;

/// Where a fatal happened and of which kind it was.
type Place = (Sig, Text);

/// By server and kind of page.
#[derive(Debug, Default)]
pub struct FatalPages {
    by: BTreeMap<(usize, u16), Place>,
}

fn place(ev: &Ev) -> Option<Place> {
    Some((ev.e.sig.as_ref()?.sig, ev.e.details().file.clone()))
}

impl FatalPages {
    /// Counts, for each kind of page that the server closed on, the fatals of that moment by their place.
    pub fn build(w: &World) -> Self {
        let mut closes: BTreeMap<(usize, u16), Vec<Span>> = BTreeMap::new();
        for fact in w.incident_fact.iter().flatten() {
            if let (Some(server), Some(f)) = (unexplained(w, *fact), w.edge.facts.get(*fact as usize))
                && let Some(end) = f.end()
            {
                let moment = Span { lo: end.0 - FATAL_MS * MILLI, hi: end.0 + f.precision_ns() + FATAL_MS * MILLI };
                closes.entry((server, f.shape)).or_default().push(moment);
            }
        }
        let mut by = BTreeMap::new();
        for (key, moments) in closes {
            let mut counts: BTreeMap<Place, u64> = BTreeMap::new();
            let step = moments.len() / ENOUGH + 1;
            let looked_at = moments.iter().step_by(step).count() as u64;
            for moment in moments.iter().step_by(step) {
                let sigs = [Sig::PhpFatal, Sig::PhpMemory, Sig::PhpTime];
                let near = sigs.iter().flat_map(|sig| w.near(key.0, *sig, *moment)).map(|(_, ev)| ev);
                let mut here: Vec<Place> = near.filter(|ev| ev.e.stack != Stack::App).filter_map(place).collect();
                here.sort_unstable();
                here.dedup();
                for place in here {
                    *counts.entry(place).or_default() += 1;
                }
            }
            let all = |place: &Place| {
                let reach = Span { lo: moments.iter().map(|m| m.lo).min()?, hi: moments.iter().map(|m| m.hi).max()? };
                Some(w.near(key.0, place.0, reach).filter(|(_, ev)| ev.e.details().file == place.1).count() as u64)
            };
            let often: Vec<&Place> = counts.iter().filter(|(_, n)| **n * 10 >= looked_at * 9).map(|(place, _)| place).collect();
            let numbers: Vec<(&Place, u64)> = often.into_iter().filter_map(|place| Some((place, all(place)?))).collect();
            let found = as_many(&numbers, moments.len() as u64).or_else(|| own(&counts, looked_at));
            if let Some(place) = found {
                by.insert(key, place);
            }
        }
        Self { by }
    }

    /// Is it known as the fatal of that kind of page?
    pub fn fits(&self, server: usize, shape: u16, ev: &Ev) -> bool {
        self.by.get(&(server, shape)).is_some_and(|own| place(ev).is_some_and(|place| place == *own))
    }
}

/// The one place that fails nearly each time, where every other is missing more often than not by much.
fn own(counts: &BTreeMap<Place, u64>, closes: u64) -> Option<Place> {
    if closes < FEWEST {
        return None;
    }
    let mut order: Vec<(u64, &Place)> = counts.iter().map(|(place, n)| (*n, place)).collect();
    order.sort_by(|a, b| b.cmp(a));
    let second = order.get(1).map_or(0, |(n, _)| *n);
    let (first, place) = order.into_iter().next()?;
    (first * 10 >= closes * 9 && second * 10 <= first * 9).then(|| place.clone())
}

/// Where the clocks are too coarse to tell: the one place that fails about as often as the page, each failure being one fatal.
fn as_many(numbers: &[(&Place, u64)], closes: u64) -> Option<Place> {
    if closes < FEWEST {
        return None;
    }
    let mut alike = numbers.iter().filter(|(_, n)| n.abs_diff(closes) * 10 <= closes);
    let (place, _) = alike.next()?;
    alike.next().is_none().then(|| (*place).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_s_own_is_there_each_time() {
        let at = |file: &str| (Sig::PhpFatal, Text::from(file));
        let own = |list: &[(&str, u64)], closes| own(&list.iter().map(|(f, n)| (at(f), *n)).collect(), closes).map(|p| p.1);
        assert_eq!(own(&[("/a.php", 20), ("/b.php", 14)], 20).as_deref(), Some("/a.php"));
        assert_eq!(own(&[("/a.php", 20), ("/b.php", 20)], 20), None, "nobody can tell");
        assert_eq!(own(&[("/a.php", 12)], 20), None, "missing too often");
        assert_eq!(own(&[("/a.php", 3)], 3), None, "too few");
        let (a, b) = (at("/a.php"), at("/b.php"));
        assert_eq!(as_many(&[(&a, 48), (&b, 62)], 47), Some(a.clone()), "one each");
        assert_eq!(as_many(&[(&a, 48), (&b, 50)], 49), None, "nobody can tell");
        assert_eq!(as_many(&[(&a, 20), (&b, 62)], 48), None, "of other pages");
    }
}
