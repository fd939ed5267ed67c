//! What a comparison comes to: shares, F1, and who was taken for whom. Nothing but the standard
//! library, so that cfray's own test scores the committed recordings with the same arithmetic.

use std::collections::{BTreeMap, BTreeSet};

/// Causes and their families, as the contract fixes them.
pub const CAUSES: &[(&str, &str)] = &[
    ("worker-crash", "origin-crash"),
    ("oom-kill", "origin-crash"),
    ("pool-exhausted", "origin-crash"),
    ("timeout-kill", "origin-crash"),
    ("server-restart", "origin-crash"),
    ("server-io", "origin-crash"),
    ("app-fatal", "origin-crash"),
    ("plugin-fault", "plugin"),
    ("edge-ip-blocked", "blocked"),
    ("client-blocked", "blocked"),
    ("rule-dropped", "blocked"),
    ("throttled", "blocked"),
    ("headers-too-large", "headers"),
    ("keepalive-race", "keepalive"),
    ("malformed-response", "malformed"),
    ("backend-closed", "malformed"),
    ("proxy-protocol", "malformed"),
    ("http2-fault", "http2"),
    ("request-rejected", "request"),
    ("origin-pull-rejected", "origin-pull"),
    ("wrong-origin", "dns"),
    ("edge-incident", "edge"),
    ("origin-520", "edge"),
    ("unknown", "unknown"),
];

pub fn family(cause: &str) -> &str {
    CAUSES.iter().find(|(c, _)| *c == cause).map_or("?", |(_, f)| f)
}

/// One 520 of one recording, and what the report said of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub recording: String,
    pub scenario: String,
    pub truth: String,
    /// `None`: the report has no such ray.
    pub said: Option<String>,
    pub right: bool,
    pub confidence: f64,
    /// What confidence is a level of, where the report has such columns.
    pub raw: f64,
    pub group: String,
    /// `None`: nothing proves this one.
    pub quoted: Option<bool>,
}

/// Recordings are named `cause-scenario[-variant]…`: variants of one fault under one stack are one
/// scenario. Of recordings with several causes or none, the first two words after `held-` are the name.
pub fn scenario_of(recording: &str) -> String {
    let name = recording.strip_prefix("held-").unwrap_or(recording);
    let cause = CAUSES.iter().map(|(c, _)| *c).filter(|c| name.starts_with(c)).max_by_key(|c| c.len());
    let words = |text: &str, n: usize| text.split('-').take(n).collect::<Vec<_>>().join("-");
    let scenario = match cause {
        Some(c) => format!("{c}{}", name.strip_prefix(c).map_or(String::new(), |rest| words(rest, 2))),
        None => words(name, if name.starts_with("control-no-520") { 4 } else { 3 }),
    };
    // The same fault under other words.
    let same = [
        ("request-rejected-header", "request-rejected-body"),
        ("app-fatal-phplog", "app-fatal-nginx"),
        ("server-restart-nginx", "server-restart-nginx"),
        ("edge-ip-blocked-nginx", "edge-ip-blocked-nginx"),
    ];
    let scenario = same.iter().find(|(a, _)| *a == scenario).map_or(scenario.as_str(), |(_, b)| b);
    if recording.starts_with("held-") { format!("held-{scenario}") } else { scenario.to_owned() }
}

/// Whether `said` is the true cause or one that truth also accepts.
pub fn is_right(said: Option<&str>, truth: &str, accept: &str) -> bool {
    said.is_some_and(|s| s == truth || accept.split(['|', ';', ',', ' ']).any(|a| a == s))
}

/// Whether the evidence holds one of the proving texts (`||` between them); `None` if there are none.
pub fn is_quoted(evidence: Option<&str>, proof: &str) -> Option<bool> {
    (!proof.is_empty()).then(|| evidence.is_some_and(|e| proof.split("||").any(|p| e.contains(p))))
}

pub fn ratio(a: f64, n: f64) -> f64 {
    if n == 0.0 { 1.0 } else { a / n }
}

pub fn share(of: &[&Verdict], what: impl Fn(&Verdict) -> bool) -> f64 {
    ratio(of.iter().filter(|v| what(v)).count() as f64, of.len() as f64)
}

/// The mean of the shares that are right, over recordings or scenarios.
pub fn mean_by<'a>(verdicts: &'a [Verdict], key: impl Fn(&'a Verdict) -> &'a str) -> f64 {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for v in verdicts {
        let g = groups.entry(key(v)).or_default();
        g.0 += usize::from(v.right);
        g.1 += 1;
    }
    ratio(groups.values().map(|(r, n)| *r as f64 / *n as f64).sum(), groups.len() as f64)
}

/// What counts as said: an accepted alternative counts as the true cause.
pub fn answer(v: &Verdict) -> &str {
    if v.right { &v.truth } else { v.said.as_deref().unwrap_or("(not found)") }
}

/// Precision, recall and F1 of one class.
pub fn f1(verdicts: &[Verdict], name: &dyn Fn(&str) -> String, class: &str) -> (f64, f64, f64) {
    let (mut tp, mut fp, mut fneg) = (0.0, 0.0, 0.0);
    for v in verdicts {
        match (name(&v.truth) == class, name(answer(v)) == class) {
            (true, true) => tp += 1.0,
            (false, true) => fp += 1.0,
            (true, false) => fneg += 1.0,
            (false, false) => {}
        }
    }
    let part = |a: f64, b: f64| if a + b == 0.0 { 0.0 } else { a / (a + b) };
    (part(tp, fp), part(tp, fneg), part(2.0 * tp, fp + fneg))
}

/// The mean F1 over the classes that truth has.
pub fn macro_f1(verdicts: &[Verdict], name: impl Fn(&str) -> String) -> f64 {
    let classes: BTreeSet<String> = verdicts.iter().map(|v| name(&v.truth)).collect();
    ratio(classes.iter().map(|c| f1(verdicts, &name, c).2).sum(), classes.len() as f64)
}

/// The figures that a floor can be set under, by name. `invented` is a count and its floor a ceiling.
pub fn figures(verdicts: &[Verdict], invented: usize) -> BTreeMap<&'static str, f64> {
    let all: Vec<&Verdict> = verdicts.iter().collect();
    let proved: Vec<&Verdict> = verdicts.iter().filter(|v| v.quoted.is_some()).collect();
    let cannot: Vec<&Verdict> = verdicts.iter().filter(|v| v.truth == "unknown").collect();
    BTreeMap::from([
        ("found", share(&all, |v| v.said.is_some())),
        ("accuracy", share(&all, |v| v.right)),
        ("accuracy-recordings", mean_by(verdicts, |v| &v.recording)),
        ("accuracy-scenarios", mean_by(verdicts, |v| &v.scenario)),
        ("macro-f1", macro_f1(verdicts, ToOwned::to_owned)),
        ("macro-f1-families", macro_f1(verdicts, |c| family(c).to_owned())),
        ("quoted", share(&proved, |v| v.quoted == Some(true))),
        ("cannot-tell", share(&cannot, |v| v.said.as_deref() == Some("unknown"))),
        ("invented", invented as f64),
    ])
}
