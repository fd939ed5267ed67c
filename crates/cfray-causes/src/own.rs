//! Causes that the user's configuration defines: a pattern over origin lines, tied by the same rules as
//! every other line.

use crate::population::windows::{AFTER_MS, BEFORE_MS};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// One such cause. Its place in the settings is the bit of its pattern in [`cfray_model::Details::own`].
#[derive(Clone, Debug)]
pub struct OwnRule {
    /// Name, family and texts.
    pub cause: Cause,
    /// Status of the request's access line, as inclusive ranges; empty: any, and no access line needed.
    pub statuses: Vec<(u16, u16)>,
    /// Path of the request, without its query.
    pub path: Option<globset::GlobMatcher>,
}

/// A line with the request's ray, or matched to it one to one: the user has said what it means, so it goes before
/// what cfray would have made of the request.
const OF_THE_REQUEST: f64 = 0.93;
/// A line of the same connection or process.
const OF_ITS_CONNECTION: f64 = 0.85;
/// A line that names no request, at full contrast: as the built-in rules weigh a message that is not about a
/// process's death.
const NEAR: f64 = 0.75;
/// How far below direct evidence of a built-in rule a finding stays that is tied more loosely, and how far above
/// the built-in rules one of the request itself.
const APART: f64 = 0.01;

/// What the user's rules find. `built_in` are the findings of the registry: one that rests on a line of the
/// request is never outdone by a line that is near in time or of the same connection only.
pub fn findings(c: &Case<'_>, built_in: &[Finding]) -> Vec<Finding> {
    let best = |least: Tie| built_in.iter().filter(|f| f.tie >= least).map(|f| f.score).reduce(f64::max);
    let rules = (0u8..).zip(&c.w.settings.own);
    rules
        .filter_map(|(bit, rule)| check(c, bit, rule))
        .map(|mut finding| {
            if finding.tie >= Tie::Request {
                finding.score = best(Tie::None).map_or(finding.score, |best| finding.score.max(best + APART));
            } else if let Some(direct) = best(Tie::Chain) {
                finding.score = finding.score.min((direct - APART).max(0.0));
            }
            finding
        })
        .collect()
}

fn check(c: &Case<'_>, bit: u8, rule: &OwnRule) -> Option<Finding> {
    if let Some(path) = &rule.path {
        let uri = c.row.uri.as_deref()?;
        if !path.is_match(uri.split('?').next().unwrap_or_default()) {
            return None;
        }
    }
    if !rule.statuses.is_empty() {
        let status = c.access_status()?;
        if !rule.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
            return None;
        }
    }
    let matches = |own: u64| own >> bit & 1 == 1;
    let own = c
        .access
        .iter()
        .chain(&c.lines)
        .filter(|owned| matches(owned.1.e.details().own))
        .max_by_key(|owned| (owned.2, std::cmp::Reverse(owned.0)));
    if let Some(&(id, ev, tie)) = own {
        let score = if tie >= Tie::Request { OF_THE_REQUEST } else { OF_ITS_CONNECTION };
        let access = c.access.filter(|a| a.0 != id).map(|a| c.line(a.1));
        return Some(Finding::new(rule.cause, score, tie).with(c.line(ev)).with_all(access));
    }
    // A line that names no request counts for failures without an access line, and by contrast.
    let server = c.server.filter(|_| c.no_line())?;
    let (_, ev) = c.nearest(&[Sig::Own(bit)], BEFORE_MS, AFTER_MS)?;
    let window = c.p.windows.get(server, Sig::Own(bit));
    let finding = Finding::new(rule.cause, NEAR * window.weight() * c.absence_weight(), Tie::Window);
    let contrast = sentence(EvidenceKind::Contrast, window.sentence(&format!("a line of {}", rule.cause)));
    Some(finding.with(c.line(ev)).with(contrast).lacking("the ray in the line that the pattern matches"))
}
