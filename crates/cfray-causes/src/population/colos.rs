//! Colos that fail several origins which answer everybody else: trouble on Cloudflare's side, for `edge-incident`.

use super::spoke_http;
use crate::join::world::World;
use crate::numbered::numbered;
use cfray_model::Fact;
use std::collections::BTreeMap;

/// A time in which a colo failed several origins that answered other colos.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    from_ms: i64,
    to_ms: i64,
    /// Origin addresses that it failed.
    pub origins: u64,
    /// Its failures.
    pub failures: u64,
    /// Answers of these origins to other colos.
    pub others: u64,
}

/// The troubles of all colos.
#[derive(Debug, Default)]
pub struct Colos {
    by_name: BTreeMap<String, Vec<Trouble>>,
}

/// What happened this long before a colo's first failure and after its last one still counts.
const MARGIN_MS: i64 = 2_000;
/// A colo's trouble is over when it has not failed for this long: what fails hours later is another matter.
const PAUSE_MS: i64 = 300_000;
/// A colo fails at least so often in its trouble.
const FAILURES: u64 = 5;

/// How requests ended: with valid HTTP, in 520.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    spoke: u64,
    failed: u64,
}

impl Ended {
    fn add(&mut self, f: &Fact) {
        self.failed += u64::from(f.edge_status == 520);
        self.spoke += u64::from(spoke_http(f));
    }

    const fn less(self, other: Self) -> Self {
        Self { spoke: self.spoke - other.spoke, failed: self.failed - other.failed }
    }
}

/// Failures of a colo in a row, with what else happened from the first to the last.
#[derive(Debug)]
struct Spell {
    /// With some seconds on either side, in milliseconds since the epoch.
    from: i64,
    to: i64,
    failures: u64,
    /// By origin that this colo failed at least twice: what it saw in it, and what all colos did.
    origins: BTreeMap<usize, (Ended, Ended)>,
}

impl Spell {
    /// Did this colo fail at least two origins that answered every other colo?
    fn judge(&self) -> Option<Trouble> {
        let mut found = Trouble { from_ms: self.from, to_ms: self.to, ..Trouble::default() };
        for (here, all) in self.origins.values() {
            let others = all.less(*here);
            if here.failed >= 2 && here.failed >= here.spoke && others.spoke >= 5 && others.failed * 10 <= others.spoke {
                found.origins += 1;
                found.failures += here.failed;
                found.others += others.spoke;
            }
        }
        (found.origins >= 2 && found.failures >= FAILURES).then_some(found)
    }
}

/// Numbers of colo and origin, by combo; an origin without an address has none.
struct Places<'a> {
    colos: BTreeMap<&'a str, usize>,
    origins: usize,
    colo_of: Vec<Option<usize>>,
    origin_of: Vec<Option<usize>>,
}

impl<'a> Places<'a> {
    fn of(w: &'a World) -> Self {
        let (colo_of, colos) = numbered(w.edge.combos.iter().map(|c| Some(c.colo.as_str())));
        let (origin_of, origins) = numbered(w.edge.combos.iter().map(|c| Some(c.origin_ip.as_str()).filter(|ip| !ip.is_empty())));
        Self { colos, origins: origins.len(), colo_of, origin_of }
    }

    fn colo(&self, f: &Fact) -> Option<usize> {
        *self.colo_of.get(f.combo as usize)?
    }

    fn origin(&self, f: &Fact) -> Option<usize> {
        *self.origin_of.get(f.combo as usize)?
    }
}

impl Colos {
    /// The trouble of a colo at a moment (milliseconds since the epoch).
    pub fn trouble(&self, colo: &str, at_ms: i64) -> Option<&Trouble> {
        self.by_name.get(colo)?.iter().find(|it| (it.from_ms..=it.to_ms).contains(&at_ms))
    }

    /// Finds them in three walks over the facts, however many colos, origins and spells there are.
    pub fn build(w: &World) -> Self {
        let places = Places::of(w);
        let mut spells = spells(w, &places);
        seen_here(w, &places, &mut spells);
        seen_by_all(w, &places, &mut spells);
        let troubles = |number: &usize| spells.get(*number).into_iter().flatten().filter_map(Spell::judge).collect::<Vec<_>>();
        let by_name = places.colos.iter().map(|(colo, number)| ((*colo).to_owned(), troubles(number)));
        Self { by_name: by_name.filter(|(_, troubles)| !troubles.is_empty()).collect() }
    }
}

/// Facts with a time, in its order.
fn timed(w: &World) -> impl Iterator<Item = &Fact> {
    w.edge.facts.iter().filter(|f| f.start_ms != i64::MIN)
}

/// By colo the spells in which it failed often enough, in order of time.
fn spells(w: &World, places: &Places<'_>) -> Vec<Vec<Spell>> {
    let mut by_colo: Vec<Vec<Spell>> = places.colos.iter().map(|_| Vec::new()).collect();
    for f in timed(w).filter(|f| f.edge_status == 520) {
        let Some(list) = places.colo(f).and_then(|colo| by_colo.get_mut(colo)) else { continue };
        let (from, to) = (f.start_ms - MARGIN_MS, f.start_ms + MARGIN_MS);
        match list.last_mut() {
            Some(spell) if from - spell.to <= PAUSE_MS => (spell.to, spell.failures) = (to, spell.failures + 1),
            _ => list.push(Spell { from, to, failures: 1, origins: BTreeMap::new() }),
        }
    }
    by_colo.iter_mut().for_each(|list| list.retain(|spell| spell.failures >= FAILURES));
    by_colo
}

/// Fills in what each colo saw in its spells. Only those stay in which it failed two origins or more.
fn seen_here(w: &World, places: &Places<'_>, spells: &mut [Vec<Spell>]) {
    let mut current = vec![0usize; spells.len()];
    for f in timed(w) {
        let (Some(colo), Some(origin)) = (places.colo(f), places.origin(f)) else { continue };
        let (Some(list), Some(at)) = (spells.get_mut(colo), current.get_mut(colo)) else { continue };
        while list.get(*at).is_some_and(|spell| spell.to < f.start_ms) {
            *at += 1;
        }
        if let Some(spell) = list.get_mut(*at).filter(|spell| spell.from <= f.start_ms) {
            spell.origins.entry(origin).or_default().0.add(f);
        }
    }
    for list in spells {
        list.iter_mut().for_each(|spell| spell.origins.retain(|_, (here, _)| here.failed >= 2));
        list.retain(|spell| spell.origins.len() >= 2);
    }
}

/// Fills in what all colos saw in each spell: what has happened at its end, less what had at its beginning.
fn seen_by_all(w: &World, places: &Places<'_>, spells: &mut [Vec<Spell>]) {
    let all = spells.iter().enumerate().flat_map(|(colo, list)| list.iter().enumerate().map(move |(i, spell)| (colo, i, spell)));
    let mut marks: Vec<(i64, usize, usize)> = all.flat_map(|(colo, i, spell)| [(spell.from, colo, i), (spell.to + 1, colo, i)]).collect();
    marks.sort_unstable();
    let mut marks = marks.into_iter().peekable();
    let mut so_far = vec![Ended::default(); places.origins];
    let mut settle = |until: i64, so_far: &[Ended]| {
        while let Some((_, colo, i)) = marks.next_if(|(at, ..)| *at <= until) {
            let Some(spell) = spells.get_mut(colo).and_then(|list| list.get_mut(i)) else { continue };
            for (origin, (_, all)) in &mut spell.origins {
                *all = so_far.get(*origin).copied().unwrap_or_default().less(*all);
            }
        }
    };
    for f in timed(w) {
        settle(f.start_ms, &so_far);
        if let Some(sum) = places.origin(f).and_then(|origin| so_far.get_mut(origin)) {
            sum.add(f);
        }
    }
    settle(i64::MAX, &so_far);
}
