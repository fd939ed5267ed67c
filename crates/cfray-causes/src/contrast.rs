//! Comparing failing requests with succeeding ones of the same minutes.

use std::sync::LazyLock;

/// How well one property of requests separates failing from succeeding ones.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// Values whose requests mostly fail.
    pub blocked: Vec<u64>,
    /// Failing requests with a blocked value, and all failing ones.
    pub fail_in: u64,
    /// All failing requests.
    pub fail_all: u64,
    /// Succeeding requests with a blocked value.
    pub ok_in: u64,
    /// All succeeding requests.
    pub ok_all: u64,
    /// Bits saved by knowing the blocked values, their own description paid for.
    pub gain: f64,
    /// Share of the whole uncertainty that this saves, 0 to 1.
    pub share: f64,
}

impl Split {
    /// Having one of the values means failing: hardly any request with one succeeds, by no chance.
    pub fn is_rule(&self) -> bool {
        self.fail_in >= 5
            && self.ok_in * 10 <= self.fail_in
            && self.gain > 10.0
            && fisher(self.fail_in, self.fail_all, self.ok_in, self.ok_all) < 0.001
    }

    /// Hardly anything but requests with one of the values fails, and most of these do. A rule with exceptions, such as what the server
    /// answers before it asks its list (nginx: `return` in the rewrite phase, before the access phase), or a fault of something
    /// that the values have a large part of: only for properties of which no fault is a function.
    pub fn is_rule_in_part(&self) -> bool {
        self.fail_in * 20 >= self.fail_all * 19
            && self.ok_in * 5 <= self.fail_in
            && self.gain > 10.0
            && fisher(self.fail_in, self.fail_all, self.ok_in, self.ok_all) < 1e-6
    }
}

/// How often each value of a property occurs among requests.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Distinct values with their numbers, in order of value.
    by: Vec<(u64, u64)>,
    /// All requests.
    all: u64,
}

impl Counts {
    /// Counts.
    pub fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        let by = values.chunk_by(|a, b| a == b).filter_map(|same| Some((*same.first()?, same.len() as u64))).collect();
        Self { by, all: values.len() as u64 }
    }

    fn get(&self, value: u64) -> Option<u64> {
        let at = self.by.binary_search_by_key(&value, |x| x.0).ok()?;
        self.by.get(at).map(|x| x.1)
    }
}

/// Splits by one property. A set of blocked values costs log2(number of values) bits each, so a
/// property with many values (clients) only wins over one with few (edge addresses) if few of its
/// values say as much.
pub fn split(fails: impl Iterator<Item = u64>, oks: &Counts) -> Split {
    let fails = Counts::of(fails);
    let (fail_all, ok_all) = (fails.all, oks.all);
    let counts: Vec<(u64, u64, u64)> = fails.by.iter().map(|&(v, f)| (v, f, oks.get(v).unwrap_or(0))).collect();
    // Distinct values of both sides together.
    let values = oks.by.len() + counts.iter().filter(|x| x.2 == 0).count();
    let bits = |f: u64, n: u64| {
        if f == 0 || f == n {
            return 0.0;
        }
        let p = f as f64 / n as f64;
        -(n as f64) * (p * p.log2() + (1.0 - p) * (1.0 - p).log2())
    };
    let null = bits(fail_all, fail_all + ok_all);
    let value_bits = (values.max(2) as f64).log2();
    // Best first by the share that fails, then by number: cut the list where the description is shortest.
    let mut order: Vec<(u64, u64, u64)> = counts.into_iter().filter(|(_, f, o)| f > o).collect();
    order.sort_by(|a, b| (b.1 * (a.1 + a.2)).cmp(&(a.1 * (b.1 + b.2))).then(b.1.cmp(&a.1)).then(a.0.cmp(&b.0)));
    let mut best = Split { fail_all, ok_all, ..Split::default() };
    let (mut fail_in, mut ok_in) = (0, 0);
    for (i, (_, f, o)) in order.iter().enumerate() {
        fail_in += f;
        ok_in += o;
        let cost =
            (i + 1) as f64 * value_bits + bits(fail_in, fail_in + ok_in) + bits(fail_all - fail_in, fail_all - fail_in + ok_all - ok_in);
        let gain = null - cost;
        if gain > best.gain {
            best.gain = gain;
            best.fail_in = fail_in;
            best.ok_in = ok_in;
            best.blocked = order.iter().take(i + 1).map(|x| x.0).collect();
        }
    }
    best.share = if null > 0.0 { best.gain / null } else { 0.0 };
    best.blocked.sort_unstable();
    best
}

/// One-sided Fisher's exact test: probability of at least `a` of `n` failing requests having a
/// property that `b` of `m` succeeding ones have, if failing had nothing to do with it.
pub fn fisher(a: u64, n: u64, b: u64, m: u64) -> f64 {
    let (with, total) = (a + b, n + m);
    if total == 0 {
        return 1.0;
    }
    let ln_choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let all = ln_choose(total, n);
    let top = with.min(n);
    let mut p = 0.0;
    for k in a..=top {
        if n - k > total - with {
            continue;
        }
        p += (ln_choose(with, k) + ln_choose(total - with, n - k) - all).exp();
    }
    p.min(1.0)
}

/// ln(n!), exact enough for a test: a sum below 256, Stirling's series above.
fn ln_factorial(n: u64) -> f64 {
    static SMALL: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let step = |sum: &mut f64, k: u64| {
            *sum += if k < 2 { 0.0 } else { (k as f64).ln() };
            Some(*sum)
        };
        (0..256).scan(0.0, step).collect()
    });
    if let Some(ln) = usize::try_from(n).ok().and_then(|n| SMALL.get(n)) {
        return *ln;
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_beat_many() {
        // 3 of 30 edge addresses fail always; every visitor stays on one address.
        let fails = || (0..120u64).map(|i| (i % 3, 1000 + i % 60));
        let oks = || (0..1500u64).map(|i| (3 + i % 27, 2000 + i % 300));
        let edge = split(fails().map(|x| x.0), &Counts::of(oks().map(|x| x.0)));
        let client = split(fails().map(|x| x.1), &Counts::of(oks().map(|x| x.1)));
        assert!(edge.is_rule() && edge.blocked == vec![0, 1, 2]);
        assert!(edge.gain > client.gain);
    }

    #[test]
    fn chance_is_no_function() {
        let s = split((0..50u64).map(|i| i % 10), &Counts::of((0..1000u64).map(|i| i % 10)));
        assert!(!s.is_rule());
    }

    #[test]
    fn fisher_matches_known_values() {
        // Fisher's tea: 3 of 4 right, one-sided 0.2429; 4 of 4: 1/70.
        assert!((fisher(3, 4, 1, 4) - 0.242_857).abs() < 1e-6);
        assert!((fisher(4, 4, 0, 4) - 1.0 / 70.0).abs() < 1e-9);
        assert!(fisher(300, 300, 10, 3000) < 1e-100);
    }
}
