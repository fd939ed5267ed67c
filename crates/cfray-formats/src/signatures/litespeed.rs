//! LiteSpeed and OpenLiteSpeed error log.

use super::php;
use super::table::{Pattern, Table, any};
use cfray_model::{Line, Sig, SigHit};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of a LiteSpeed error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let text = after_tags(&line.message);
    for mark in [&b"[LSAPI:STDERR]: "[..], b"[LSAPI:STDERR] ", b"[STDERR] ", b"STDERR: "] {
        if let Some(stderr) = text.strip_prefix(mark) {
            return php::signature(stderr);
        }
    }
    // The tag itself names the client, so these lines are about a process and an address at once.
    TABLE.find(line, &line.message)
}

/// The message without the session's tag `[192.0.2.1:5312-0#vhost] `.
fn after_tags(mut text: &[u8]) -> &[u8] {
    while text.first() == Some(&b'[') && !text.starts_with(b"[LSAPI") && !text.starts_with(b"[STDERR") {
        let Some(close) = memchr::memchr(b']', text) else { break };
        text = text.get(close + 1..).unwrap_or_default().trim_ascii_start();
    }
    text
}

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    any(Sig::LiteSpeedThrottle, r"^(?:\[(?P<name>[0-9a-fA-F.:]+?)(?::\d+)?(?:[-:#][^\]]*)?\] )?[Rr]eached per client (?:hard |soft )?connection limit: (?P<num>\d+)"),
    any(Sig::CgiMalformed, r"^(?:\[[^\]]*\] )*Premature end of response header"),
    any(Sig::UpstreamBigHeader, r"^(?:\[[^\]]*\] )*The size of dynamic response header: \d+ is over the limit"),
    any(Sig::ProxyDispatch, r"^(?:\[[^\]]*\] )*External processor is not available!"),
    any(Sig::ConnectFailed, r"^(?:\[[^\]]*\] )*Connection refused, restart!"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }
}
