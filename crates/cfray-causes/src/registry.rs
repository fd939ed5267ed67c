//! The cause rules. The engine runs them all; the order only settles equal scores.

use crate::doc::CauseDoc;
use crate::rule::Rule;
use crate::rules;
use cfray_model::Cause;

macro_rules! registry {
    ($($module:ident),* $(,)?) => {
        /// Every rule.
        pub static RULES: &[Rule] = &[ $( Rule { doc: &rules::$module::DOC, check: rules::$module::check }, )* ];
    };
}

registry![
    origin_520,
    headers_too_large,
    malformed_response,
    backend_closed,
    proxy_protocol,
    request_rejected,
    origin_pull_rejected,
    pool_exhausted,
    timeout_kill,
    oom_kill,
    worker_crash,
    server_io,
    app_fatal,
    plugin_fault,
    throttled,
    edge_ip_blocked,
    client_blocked,
    rule_dropped,
    server_restart,
    http2_fault,
    edge_incident,
    wrong_origin,
    keepalive_race,
];

/// Documentation of every built-in cause, in the order of [`Cause::ALL`].
pub fn docs() -> Vec<CauseDoc> {
    Cause::ALL.iter().filter_map(|c| doc(*c)).collect()
}

/// Documentation of one cause.
pub fn doc(cause: Cause) -> Option<CauseDoc> {
    if let Cause::Own(own) = cause {
        return Some(crate::doc::own(own));
    }
    RULES
        .iter()
        .map(|r| r.doc)
        .chain(std::iter::once(&rules::unknown::DOC))
        .chain(rules::neighbours::DOCS.iter())
        .find(|d| d.cause == cause)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_documented_once() {
        assert_eq!(docs().len(), Cause::ALL.len());
        for d in docs() {
            for part in [d.says, d.why, d.evidence, d.not_when, d.fix.owner, d.fix.admin, d.fix.developer, d.fix.client, d.check] {
                assert!(!part.trim().is_empty(), "{}", d.cause);
            }
            assert!(!d.sources.is_empty(), "{}", d.cause);
        }
        let rules: std::collections::BTreeSet<Cause> = RULES.iter().map(|r| r.doc.cause).collect();
        assert_eq!(rules.len(), RULES.len());
    }
}
