//! Is a confidence of p right in p of the cases? Counted over scenarios: the requests of one recording
//! stand or fall together, so a scenario weighs 1 in all, shared among the levels by its requests.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::Verdict;

/// As many levels as a report may tell apart.
const MOST: usize = 12;
/// A level stands on at least so many scenarios.
const FEWEST: usize = 3;
/// Shares that lie closer together are one level.
const ALIKE: f64 = 0.03;
/// A named cause needs so much.
pub const NAMED: f64 = 0.5;

/// One row of the reliability table.
pub struct Level {
    pub said: f64,
    pub rows: usize,
    pub scenarios: usize,
    pub weight: f64,
    pub observed: f64,
    pub interval: (f64, f64),
}

/// Each verdict's weight: one over the verdicts of its scenario.
fn weights(verdicts: &[&Verdict]) -> Vec<f64> {
    let mut count: BTreeMap<&str, f64> = BTreeMap::new();
    for v in verdicts {
        *count.entry(&v.scenario).or_default() += 1.0;
    }
    verdicts.iter().map(|v| 1.0 / count[v.scenario.as_str()]).collect()
}

/// Wilson's 95 % interval of a share over `n` scenarios.
pub fn wilson(p: f64, n: f64) -> (f64, f64) {
    let z = 1.96f64;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The reliability table. Levels are the confidences said, to two digits, or twentieths where those are too many.
pub fn reliability(verdicts: &[Verdict]) -> Vec<Level> {
    let found: Vec<&Verdict> = verdicts.iter().filter(|v| v.said.is_some()).collect();
    let weight = weights(&found);
    let distinct: BTreeSet<i64> = found.iter().map(|v| (v.confidence * 100.0).round() as i64).collect();
    let step = if distinct.len() > MOST + 4 { 20.0 } else { 100.0 };
    let mut cells: BTreeMap<i64, Vec<(usize, f64)>> = BTreeMap::new();
    for (i, v) in found.iter().enumerate() {
        cells.entry((v.confidence * step).round() as i64).or_default().push((i, weight[i]));
    }
    cells
        .into_values()
        .map(|rows| {
            let total: f64 = rows.iter().map(|(_, w)| w).sum();
            let sum = |f: &dyn Fn(&Verdict) -> f64| rows.iter().map(|(i, w)| w * f(found[*i])).sum::<f64>() / total;
            let observed = sum(&|v| f64::from(u8::from(v.right)));
            // Kish: how many scenarios of equal weight these are worth.
            let mut by_scenario: BTreeMap<&str, f64> = BTreeMap::new();
            for (i, w) in &rows {
                *by_scenario.entry(&found[*i].scenario).or_default() += w;
            }
            let worth = total * total / by_scenario.values().map(|w| w * w).sum::<f64>();
            Level {
                said: sum(&|v| v.confidence),
                rows: rows.len(),
                scenarios: by_scenario.len(),
                weight: total,
                observed,
                interval: wilson(observed, worth),
            }
        })
        .collect()
}

/// Expected calibration error over scenarios.
pub fn calibration_error(verdicts: &[Verdict]) -> f64 {
    let levels = reliability(verdicts);
    let total: f64 = levels.iter().map(|l| l.weight).sum();
    levels.iter().map(|l| l.weight * (l.said - l.observed).abs()).sum::<f64>() / total.max(1e-9)
}

/// A step of the fitted function: raw scores of the group from `from` on mean `confidence`.
#[derive(Clone, Debug)]
pub struct Step {
    pub group: String,
    pub from: f64,
    pub confidence: f64,
    pub scenarios: usize,
    pub rows: usize,
    right: f64,
    weight: f64,
    names: BTreeSet<String>,
}

impl Step {
    /// Few scenarios never make certainty: half a right and half a wrong one are added (Jeffreys).
    fn value(&self) -> f64 {
        (self.right + 0.5) / (self.weight + 1.0)
    }

    fn join(&mut self, other: Self) {
        self.from = self.from.min(other.from);
        self.right += other.right;
        self.weight += other.weight;
        self.rows += other.rows;
        self.names.extend(other.names);
    }
}

/// Monotone levels for each group's raw scores (pool adjacent violators), at most twelve in all.
pub fn fit(verdicts: &[Verdict]) -> Vec<Step> {
    let found: Vec<&Verdict> = verdicts.iter().filter(|v| v.said.is_some()).collect();
    let weight = weights(&found);
    let mut groups: BTreeMap<&str, BTreeMap<i64, Step>> = BTreeMap::new();
    for (v, w) in found.iter().zip(weight) {
        let key = (v.raw * 1000.0).round() as i64;
        let step = groups.entry(&v.group).or_default().entry(key).or_insert_with(|| Step {
            group: v.group.clone(),
            from: key as f64 / 1000.0,
            confidence: 0.0,
            scenarios: 0,
            rows: 0,
            right: 0.0,
            weight: 0.0,
            names: BTreeSet::new(),
        });
        step.right += if v.right { w } else { 0.0 };
        step.weight += w;
        step.rows += 1;
        step.names.insert(v.scenario.clone());
    }
    let mut all: Vec<Vec<Step>> = groups.into_values().map(|steps| pool(steps.into_values().collect())).collect();
    level_off(&mut all);
    let mut steps: Vec<Step> = all.into_iter().flatten().collect();
    for s in &mut steps {
        s.scenarios = s.names.len();
    }
    steps
}

/// Joins neighbours that are out of order or alike, and then those that stand on too few scenarios.
fn pool(steps: Vec<Step>) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    for s in steps {
        out.push(s);
        while let [.., a, b] = &out[..] {
            // What differs by less than scenarios can tell is one level.
            if a.right / a.weight + ALIKE < b.right / b.weight {
                break;
            }
            let b = out.pop().expect("two");
            out.last_mut().expect("one").join(b);
        }
    }
    while out.len() > 1 {
        let Some(i) = out.iter().position(|s| s.names.len() < FEWEST) else { break };
        let with = match i {
            0 => 1,
            i if i + 1 == out.len() => i - 1,
            i if (out[i - 1].value() - out[i].value()).abs() <= (out[i + 1].value() - out[i].value()).abs() => i - 1,
            i => i + 1,
        };
        let s = out.remove(i.max(with));
        out[i.min(with)].join(s);
    }
    out
}

/// Gives steps of like value one value, until no more than twelve values are left.
fn level_off(groups: &mut [Vec<Step>]) {
    let mut levels: Vec<(f64, f64)> = Vec::new(); // value, weight
    let mut of: Vec<(usize, usize, usize)> = Vec::new(); // group, step, level
    for (g, steps) in groups.iter().enumerate() {
        for (i, s) in steps.iter().enumerate() {
            of.push((g, i, levels.len()));
            levels.push((s.value(), s.weight + 1.0));
        }
    }
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by(|a, b| levels[*a].0.total_cmp(&levels[*b].0));
    let mut bins: Vec<(f64, f64, Vec<usize>)> = order.into_iter().map(|i| (levels[i].0, levels[i].1, vec![i])).collect();
    while bins.len() > MOST || bins.windows(2).any(|w| w[1].0 - w[0].0 < 0.015) {
        let Some(i) = (1..bins.len()).min_by(|a, b| (bins[*a].0 - bins[*a - 1].0).total_cmp(&(bins[*b].0 - bins[*b - 1].0))) else { break };
        let (value, weight, members) = bins.remove(i);
        let into = &mut bins[i - 1];
        into.0 = (into.0 * into.1 + value * weight) / (into.1 + weight);
        into.1 += weight;
        into.2.extend(members);
    }
    for (value, _, members) in bins {
        for (g, i, _) in of.iter().filter(|(_, _, l)| members.contains(l)) {
            groups[*g][*i].confidence = (value * 100.0).round() / 100.0;
        }
    }
}

/// The verdict as it would be said with these levels: under one half it names nothing.
fn said_with(v: &Verdict, steps: &[Step]) -> Verdict {
    let mut v = v.clone();
    let of_group = || steps.iter().filter(|s| s.group == v.group);
    // A score below all that were seen takes the lowest level, a group never seen the lowest of all.
    let step = of_group()
        .filter(|s| s.from <= v.raw + 1e-9)
        .max_by(|a, b| a.from.total_cmp(&b.from))
        .or_else(|| of_group().min_by(|a, b| a.from.total_cmp(&b.from)))
        .or_else(|| steps.iter().min_by(|a, b| a.confidence.total_cmp(&b.confidence)));
    v.confidence = step.map_or(v.confidence, |s| s.confidence);
    if v.confidence < NAMED && v.said.as_deref().is_some_and(|s| s != "unknown") {
        v.said = Some("unknown".into());
        v.right = v.truth == "unknown";
        v.confidence = 1.0 - v.confidence;
    }
    v
}

/// All verdicts with levels fitted to all of them.
pub fn fitted(verdicts: &[Verdict]) -> Vec<Verdict> {
    let steps = fit(verdicts);
    verdicts.iter().map(|v| said_with(v, &steps)).collect()
}

/// Each scenario's verdicts with levels fitted to all others.
pub fn leave_one_out(verdicts: &[Verdict]) -> Vec<Verdict> {
    let scenarios: BTreeSet<&str> = verdicts.iter().map(|v| v.scenario.as_str()).collect();
    let mut out = Vec::with_capacity(verdicts.len());
    for scenario in scenarios {
        let (own, rest): (Vec<Verdict>, Vec<Verdict>) = verdicts.iter().cloned().partition(|v| v.scenario == scenario);
        let steps = fit(&rest);
        out.extend(own.iter().map(|v| said_with(v, &steps)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(scenario: &str, group: &str, raw: f64, right: bool) -> Verdict {
        let said = Some(if right { "worker-crash" } else { "oom-kill" }.to_owned());
        Verdict {
            recording: scenario.into(),
            scenario: scenario.into(),
            truth: "worker-crash".into(),
            said,
            right,
            confidence: raw,
            raw,
            group: group.into(),
            quoted: None,
        }
    }

    /// `n` scenarios of `rows` requests each, of which a share is right.
    fn batch(name: &str, n: usize, rows: usize, raw: f64, right: usize) -> Vec<Verdict> {
        let one = |s: usize| (0..rows).map(move |i| verdict(&format!("{name}{s}"), "line", raw, i < right));
        (0..n).flat_map(one).collect()
    }

    #[test]
    fn a_long_recording_does_not_outweigh_many_short_ones() {
        let mut all = batch("long", 1, 1000, 0.9, 0);
        all.extend(batch("short", 9, 10, 0.9, 10));
        let levels = reliability(&all);
        assert_eq!((levels.len(), levels[0].scenarios, levels[0].rows), (1, 10, 1090));
        assert!((levels[0].observed - 0.9).abs() < 1e-9 && calibration_error(&all) < 1e-9);
        assert!(levels[0].interval.0 < 0.7 && levels[0].interval.1 > 0.95, "{:?}", levels[0].interval);
    }

    #[test]
    fn levels_rise_with_the_score_and_rest_on_several_scenarios() {
        let mut all = batch("a", 5, 10, 0.6, 7);
        all.extend(batch("b", 5, 10, 0.7, 5)); // out of order: pooled with the one before
        all.extend(batch("c", 8, 10, 0.9, 10));
        all.extend(batch("d", 1, 10, 0.95, 2)); // one scenario is no level of its own
        let steps = fit(&all);
        assert!(steps.len() <= MOST && steps.iter().all(|s| s.scenarios >= FEWEST), "{steps:?}");
        assert!(steps.windows(2).all(|w| w[0].from < w[1].from && w[0].confidence < w[1].confidence), "{steps:?}");
        assert!((steps[0].confidence - 0.6).abs() < 0.03, "{steps:?}");
    }

    #[test]
    fn a_scenario_is_judged_by_the_others() {
        let mut all = batch("good", 6, 10, 0.9, 10);
        all.extend(batch("bad", 1, 10, 0.4, 0));
        // Its own failure taught the levels nothing: what is left says 0.9 and more.
        let bad = leave_one_out(&all).into_iter().find(|v| v.scenario == "bad0").expect("there");
        assert!(bad.confidence > 0.85 && !bad.right, "{bad:?}");
        // Fitted to all, a score that is never right falls under one half and names nothing.
        let mut all = batch("good", 6, 10, 0.9, 10);
        all.extend(batch("bad", 4, 10, 0.4, 0));
        assert!(fitted(&all).iter().filter(|v| v.raw == 0.4).all(|v| v.said.as_deref() == Some("unknown")));
    }

    #[test]
    fn variants_are_one_scenario() {
        use super::super::figures::scenario_of;
        assert_eq!(scenario_of("worker-crash-nginx-combined"), scenario_of("worker-crash-nginx-jsonray-14"));
        assert_eq!(scenario_of("request-rejected-header-combined"), scenario_of("request-rejected-body-timeout"));
        assert_ne!(scenario_of("keepalive-race-nginx-combined"), scenario_of("keepalive-race-nginx65"));
        assert_ne!(scenario_of("cannot-tell-edge-only"), scenario_of("cannot-tell-wrong-half"));
        assert_ne!(scenario_of("held-worker-crash-abort"), scenario_of("worker-crash-abort"));
    }
}
