//! `--fail-on CAUSE[,...]|any[:MIN_CONFIDENCE]`: when a report turns into exit status 1.

use cfray_model::report::Row;
use cfray_model::{Cause, Rows};
use std::str::FromStr;

/// What makes the run exit with 1.
#[derive(Clone, PartialEq, Debug)]
pub struct FailOn {
    rules: Vec<Rule>,
    /// As written.
    pub text: String,
}

#[derive(Clone, PartialEq, Debug)]
struct Rule {
    /// Name of a cause; `None`: any.
    cause: Option<String>,
    /// Least confidence. With one, `any` leaves `unknown` out: nothing was found with that confidence.
    min: Option<f64>,
}

impl Rule {
    fn matches(&self, row: &Row) -> bool {
        let cause = match &self.cause {
            Some(name) => row.verdict.cause.name() == name,
            None => self.min.is_none() || row.verdict.cause != Cause::Unknown,
        };
        cause && self.min.is_none_or(|min| row.verdict.confidence >= min)
    }
}

impl FailOn {
    /// Checks the names, of which the configuration may add some.
    pub fn known(&self, own: &[Cause]) -> Result<(), String> {
        let names = self.rules.iter().filter_map(|rule| rule.cause.as_deref());
        for name in names {
            if Cause::from_name(name).is_none() && !own.iter().any(|cause| cause.name() == name) {
                return Err(unknown_cause(name, own));
            }
        }
        Ok(())
    }

    /// Was it found? Requests that do not count (internal sources) do not count here either.
    pub fn found(&self, rows: &Rows) -> bool {
        rows.iter().filter(|row| row.counted).any(|row| self.rules.iter().any(|rule| rule.matches(&row)))
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, min) = match part.split_once(':') {
                Some((name, min)) => {
                    let min = min.parse().ok().filter(|m| (0.0..=1.0).contains(m));
                    (name, Some(min.ok_or_else(|| format!("{part:?}: the confidence after the colon is a number from 0 to 1"))?))
                }
                None => (part, None),
            };
            let cause = match name {
                "any" => None,
                "" => return Err(format!("{text:?}: a name is missing; write any, or causes with commas between them")),
                name => Some(name.to_owned()),
            };
            rules.push(Rule { cause, min });
        }
        Ok(Self { rules, text: text.to_owned() })
    }
}

/// Says that there is no such cause, with the nearest name.
pub fn unknown_cause(name: &str, own: &[Cause]) -> String {
    match nearest_of(name, Cause::ALL.iter().chain(own).map(|cause| cause.name())) {
        Some(near) => format!("there is no cause {name:?}; did you mean \"{near}\"? `cfray explain` lists all"),
        None => format!("there is no cause {name:?}; `cfray explain` lists all"),
    }
}

/// The name that needs fewest edits, if they are few enough to be a slip.
pub fn nearest_of<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let (edits, near) = names.map(|n| (distance(name, n), n)).min_by_key(|(edits, _)| *edits)?;
    (edits <= 1 + name.len() / 4).then_some(near)
}

/// Edit distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut left = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (pair, y) in row.windows(2).zip(b.bytes()) {
            if let [diagonal, above] = pair {
                left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

super::deserialize_from_str!(FailOn);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use cfray_model::{EdgeRow, Tie, Verdict};

    fn row(cause: Cause, confidence: f64) -> Row {
        Row {
            edge: EdgeRow::default(),
            source: cfray_model::text::Place::default(),
            server: cfray_model::Text::new(),
            connection: "",
            idle_gap_s: None,
            verdict: Verdict { cause, confidence, tie: Tie::None, evidence: Vec::new(), missing: Vec::new(), runner_up: None },
            episode: None,
            retry: "",
            cleared_after_s: None,
            counted: true,
            lines: Vec::new(),
        }
    }

    fn found(rule: &str, rows: &[Row]) -> bool {
        rule.parse::<FailOn>().unwrap().found(&rows.to_vec().into())
    }

    #[test]
    fn causes_any_and_least_confidence() {
        let rows = [row(Cause::WorkerCrash, 0.9), row(Cause::Unknown, 0.95)];
        assert!(found("worker-crash", &rows));
        assert!(found("oom-kill,worker-crash:0.9", &rows));
        assert!(!found("worker-crash:0.91", &rows));
        assert!(!found("oom-kill", &rows));
        assert!(found("any", &rows[1..]));
        assert!(!found("any:0.5", &rows[1..]), "an unknown cause is not a finding with confidence");
        assert!(found("any:0.5", &rows));
        assert!(!found("any", &[]));
        assert!(!found("any", &[Row { counted: false, ..row(Cause::WorkerCrash, 0.9) }]));
    }

    #[test]
    fn slips_are_answered_with_the_nearest_name() {
        let known = |text: &str, own: &[Cause]| text.parse::<FailOn>().unwrap().known(own);
        let own = [Cause::own("banana-split", cfray_model::Family::Malformed, "", "", "")];
        assert!(known("worker-crsh", &[]).unwrap_err().contains("\"worker-crash\""));
        assert!(!known("banana", &[]).unwrap_err().contains("did you mean"));
        assert!(known("banana-splt:0.7", &own).unwrap_err().contains("\"banana-split\""));
        assert_eq!(known("any,banana-split:0.7,oom-kill", &own), Ok(()));
        for bad in ["", "any:", "any:2", "any:x", "worker-crash,"] {
            assert!(bad.parse::<FailOn>().is_err(), "{bad}");
        }
    }
}
