//! From a rule's score to a confidence that has been checked against recorded truth.
//!
//! A rule weighs its own evidence: kind of tie, coverage, contrast and what is missing give a score. Scores
//! order verdicts well, but a score of 0.8 is right far more often than four times in five. So each score falls
//! into one of a few levels, and the confidence of a level is what was right in recordings of
//! real faults and in the same recordings with a log, a field, a level or half of the time taken away
//! (docs/accuracy.md has the table). Levels rise with the score: a verdict never becomes surer for having less.

/// Lowest score of a level, and the confidence said.
///
/// Scores below 0.5 are not named. The two lowest levels are what contract.md allows for verdicts without their
/// decisive part (0.5: header sizes not shown; 0.6: no kernel log, no gathering of gaps).
const LEVELS: [(f64, f64); 8] = [(0.0, 0.25), (0.4, 0.4), (0.5, 0.5), (0.52, 0.55), (0.565, 0.6), (0.61, 0.8), (0.68, 0.9), (0.78, 0.96)];

/// Score from which nothing is missing.
const SURE: (f64, f64) = (0.93, 0.98);

/// The confidence of a score.
pub fn of(score: f64) -> f64 {
    if score >= SURE.0 {
        return SURE.1;
    }
    LEVELS.iter().rev().find(|(from, _)| score >= *from).map_or(score, |(_, said)| *said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_with_the_score() {
        let said: Vec<f64> = (0..=100).map(|i| of(f64::from(i) / 100.0)).collect();
        assert!(said.windows(2).all(|w| w.first() <= w.last()));
        assert_eq!(of(0.99), 0.98);
        let mut distinct = said;
        distinct.dedup();
        assert!(distinct.len() <= 12, "{distinct:?}");
    }

    #[test]
    fn what_the_contract_caps_stays_capped() {
        assert!(of(0.6) <= 0.6 && of(0.5) <= 0.5);
        assert!(of(0.5) >= crate::rank::NAMED && of(0.499) < crate::rank::NAMED);
    }
}
