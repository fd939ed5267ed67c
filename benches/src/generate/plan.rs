//! Which rows fail, when and why. Drawn once; everything else is drawn a row at a time.

use super::rng::Rng;
use super::row::Row;
use std::collections::BTreeMap;

/// What to generate.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Edge rows.
    pub rows: u64,
    /// Equal seeds give equal bytes.
    pub seed: u64,
    /// Every row is a 520.
    pub storm: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Answered, by cache or origin.
    Ordinary,
    /// Answered, on a rarely used edge address: leaves the connection that the race will meet.
    BeforeRace {
        /// Number of the address.
        slot: u64,
    },
    /// Sent on a connection that the origin closes at that moment.
    Race {
        /// Number of the address.
        slot: u64,
        /// When the edge gets the request.
        start_ns: i64,
    },
    /// In flight when its nginx worker died.
    Crash {
        /// When the worker died.
        at_ns: i64,
    },
    /// Dropped by a rule on the path (444).
    Dropped,
    /// Dropped because of the visitor (444).
    Blocked {
        /// Number of the visitor.
        visitor: u64,
    },
    /// Answered with more header than Cloudflare takes.
    HeadersTooLarge,
    /// PHP-FPM had no worker and no room in its queue; the 502 is mapped to 444.
    PoolFull,
    /// PHP-FPM ended the script after 30 s; the 502 is mapped to 444.
    Timeout,
    /// A later try of the request of another row, answered.
    Retry {
        /// That row.
        of: u64,
        /// How that row failed.
        like: Failure,
    },
}

/// The failures after which visitors try again: those whose pages differ from the ordinary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// See [`Fate::Crash`] and [`Fate::PoolFull`].
    Page,
    /// See [`Fate::Timeout`].
    Report,
}

impl Fate {
    /// Does the visitor get a 520?
    pub const fn fails(self) -> bool {
        !matches!(self, Self::Ordinary | Self::BeforeRace { .. } | Self::Retry { .. })
    }
}

/// A line of the origin that names no request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Happening {
    /// nginx: a worker died.
    WorkerDied {
        /// Its process id.
        pid: u64,
    },
    /// PHP-FPM: all children are busy.
    PoolReached,
}

/// The plan of a data set.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub spec: Spec,
    /// Rows that are not ordinary.
    fates: BTreeMap<u64, Fate>,
    /// Lines that name no request, by time.
    pub happenings: Vec<(i64, Happening)>,
}

/// Start of every data set: 2026-11-22T12:00:00Z.
pub const BEGIN_NS: i64 = 1_795_348_800_000_000_000;
/// Requests a second of a large data set.
pub const RATE: u64 = 250;
/// Shortest span of a data set.
const SHORTEST_NS: i64 = 60_000_000_000;
/// The origin's keep-alive timeout.
const KEEPALIVE_NS: i64 = 5_000_000_000;
/// Failing rows in 10,000.
const FAILING: u64 = 30;
/// Rarely used edge addresses.
pub const SLOTS: u64 = 64;
/// Requests that a worker takes with it.
const CRASH: u64 = 8;
/// Requests that a full pool turns away.
const BURST: u64 = 25;
/// Time from the first of these requests to the worker's death: long enough for the farthest to have arrived.
const CRASH_AFTER_NS: i64 = 650_000_000;
/// Rows of one kind of storm.
const SQUALL: u64 = 15_000;
/// Rows that a dying worker takes with it in a storm.
const STORM_CRASH: u64 = 25;
/// Visitors that the origin drops.
pub const BLOCKED: u64 = 6;
/// Longest that an ordinary or failing request takes: how far back one has to look for requests that end now.
pub const LONGEST_NS: i64 = 35_000_000_000;

/// Process id of the worker that dies as number `n`.
const fn pid(n: u64) -> u64 {
    14_468 + n * 3 % 16_000
}

impl Plan {
    /// Draws the plan.
    pub fn new(spec: Spec) -> Self {
        let mut plan = Self { spec, fates: BTreeMap::new(), happenings: Vec::new() };
        if plan.spec.storm {
            plan.storm();
        } else {
            plan.everyday();
        }
        plan.happenings.sort_unstable();
        plan
    }

    /// Time from a row to the next.
    pub fn step_ns(&self) -> i64 {
        (SHORTEST_NS / self.spec.rows.max(1) as i64).max(1_000_000_000 / RATE as i64)
    }

    /// The moment that a row stands for: it starts then or shortly after.
    pub fn nominal_ns(&self, row: u64) -> i64 {
        BEGIN_NS + row as i64 * self.step_ns()
    }

    /// The fate of a row.
    pub fn fate(&self, row: u64) -> Fate {
        if !self.spec.storm {
            return self.fates.get(&row).copied().unwrap_or(Fate::Ordinary);
        }
        match row / SQUALL % 4 {
            0 => Fate::PoolFull,
            1 => Fate::Crash { at_ns: self.nominal_ns(row / STORM_CRASH * STORM_CRASH) + CRASH_AFTER_NS },
            2 => Fate::Dropped,
            _ => Fate::Blocked { visitor: row % BLOCKED },
        }
    }

    /// Rows that fail, with their fates, in a range of rows.
    pub fn failing(&self, rows: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Fate)> + '_ {
        rows.map(|row| (row, self.fate(row))).filter(|(_, fate)| fate.fails())
    }

    fn storm(&mut self) {
        for from in (0..self.spec.rows).step_by(STORM_CRASH as usize) {
            let at = self.nominal_ns(from);
            match self.fate(from) {
                Fate::Crash { at_ns } => self.happenings.push((at_ns, Happening::WorkerDied { pid: pid(from / STORM_CRASH) })),
                Fate::PoolFull if from % SQUALL == 0 => self.happenings.push((at, Happening::PoolReached)),
                _ => {}
            }
        }
    }

    fn everyday(&mut self) {
        let rows = self.spec.rows;
        let failing = rows * FAILING / 10_000;
        let share = |percent: u64| failing * percent / 100;
        let mut rng = Rng::new(self.spec.seed, 10, 0);
        // Spread evenly with jitter, so that every part of a large set looks like every other.
        let mut spread = |n: u64, reserve_ns: i64, step: i64| -> Vec<u64> {
            let usable = rows.saturating_sub((reserve_ns / step) as u64);
            (0..n).map(|k| (usable * k + rng.below(usable.max(1))) / n.max(1)).collect()
        };
        let step = self.step_ns();
        let crashes = spread(share(22).div_ceil(CRASH), 2_000_000_000, step);
        let bursts = spread(share(12).div_ceil(BURST), 4_000_000_000, step);
        let races = spread(share(25), 8_000_000_000, step);
        let timeouts = spread(share(6), 32_000_000_000, step);
        let headers = spread(share(8), 0, step);
        let dropped = spread(share(14), 0, step);
        let blocked = spread(share(13), 0, step);

        for (n, from) in crashes.into_iter().enumerate() {
            let at_ns = self.nominal_ns(from) + CRASH_AFTER_NS;
            self.happenings.push((at_ns, Happening::WorkerDied { pid: pid(n as u64) }));
            for k in 0..CRASH {
                // Every second row: the other workers go on.
                self.put(from + 2 * k, Fate::Crash { at_ns });
            }
        }
        for from in bursts {
            self.happenings.push((self.nominal_ns(from), Happening::PoolReached));
            let apart = (1_500_000_000 / step / BURST as i64).max(1) as u64;
            for k in 0..BURST {
                self.put(from + apart * k, Fate::PoolFull);
            }
        }
        let mut scratch = Row::default();
        for (n, from) in races.into_iter().enumerate() {
            let slot = n as u64 % SLOTS;
            let Some(before) = self.put(from, Fate::BeforeRace { slot }) else { continue };
            scratch.fill(self, before);
            let latency = scratch.colo.rtt_ms as i64 * 1_000_000;
            let early = Rng::new(self.spec.seed, 11, before).below(latency as u64) as i64;
            let start_ns = scratch.end_ns() + KEEPALIVE_NS - early;
            let row = ((start_ns - BEGIN_NS) / step) as u64;
            let put = self.put(row, Fate::Race { slot, start_ns });
            if let Some(late) = put.filter(|late| self.nominal_ns(*late) > start_ns) {
                // Another row had that moment: a row must not start before its moment.
                let start_ns = self.nominal_ns(late);
                self.fates.insert(late, Fate::Race { slot, start_ns });
            }
        }
        for (rows, fate) in [(timeouts, Fate::Timeout), (headers, Fate::HeadersTooLarge), (dropped, Fate::Dropped)] {
            for row in rows {
                self.put(row, fate);
            }
        }
        for (n, row) in blocked.into_iter().enumerate() {
            self.put(row, Fate::Blocked { visitor: n as u64 % BLOCKED });
        }
        self.retries();
    }

    /// Two of three visitors whose page failed try again some seconds later.
    fn retries(&mut self) {
        let failed: Vec<(u64, Failure)> = self
            .fates
            .iter()
            .filter_map(|(row, fate)| match fate {
                Fate::Crash { .. } | Fate::PoolFull => Some((*row, Failure::Page)),
                Fate::Timeout => Some((*row, Failure::Report)),
                _ => None,
            })
            .collect();
        for (of, like) in failed {
            let mut rng = Rng::new(self.spec.seed, 12, of);
            if rng.below(3) == 0 {
                continue;
            }
            let failed_after = if like == Failure::Report { 31_500 } else { 1_500 };
            let later_ns = (failed_after + rng.below(8_000)) as i64 * 1_000_000;
            self.put(of + (later_ns / self.step_ns()) as u64, Fate::Retry { of, like });
        }
    }

    /// Gives a fate to the row or the next free one of the following; none when the set ends before.
    fn put(&mut self, row: u64, fate: Fate) -> Option<u64> {
        let row = (row..self.spec.rows).find(|row| !self.fates.contains_key(row))?;
        self.fates.insert(row, fate);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: u64, storm: bool) -> Plan {
        Plan::new(Spec { rows, seed: 7, storm })
    }

    #[test]
    fn three_in_a_thousand_fail_in_every_way() {
        let plan = plan(100_000, false);
        let failing: Vec<_> = plan.failing(0..100_000).map(|f| f.1).collect();
        assert!((270..=330).contains(&failing.len()), "{}", failing.len());
        type Is = fn(&Fate) -> bool;
        let kinds: [Is; 7] = [
            |f| matches!(f, Fate::Race { .. }),
            |f| matches!(f, Fate::Crash { .. }),
            |f| matches!(f, Fate::Dropped),
            |f| matches!(f, Fate::Blocked { .. }),
            |f| matches!(f, Fate::HeadersTooLarge),
            |f| matches!(f, Fate::PoolFull),
            |f| matches!(f, Fate::Timeout),
        ];
        for kind in kinds {
            assert!(failing.iter().filter(|f| kind(f)).count() >= 10);
        }
    }

    #[test]
    fn races_come_one_timeout_after_the_last_request() {
        let plan = plan(200_000, false);
        let mut last = BTreeMap::new();
        let mut races = 0;
        let mut row = Row::default();
        for i in 0..200_000 {
            match plan.fate(i) {
                Fate::BeforeRace { slot } => {
                    row.fill(&plan, i);
                    last.insert(slot, row.end_ns());
                }
                Fate::Race { slot, start_ns } => {
                    let gap = start_ns - last[&slot];
                    assert!((4_700_000_000..=5_010_000_000).contains(&gap), "{gap}");
                    races += 1;
                }
                _ => {}
            }
        }
        assert!(races > 100);
    }

    #[test]
    fn everything_fails_in_a_storm() {
        let plan = plan(70_000, true);
        assert_eq!(plan.failing(0..70_000).count(), 70_000);
        assert!(plan.happenings.is_sorted());
        assert!(plan.happenings.len() > 600);
    }

    #[test]
    fn tiny_sets_have_no_trouble() {
        for rows in [0, 1, 2, 400, 2_000] {
            let plan = plan(rows, false);
            assert!(plan.failing(0..rows).count() as u64 <= rows);
        }
    }
}
