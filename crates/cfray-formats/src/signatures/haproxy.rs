//! HAProxy's lines about connections that never became a request (`conn_err_code_str` in `src/connection.c`; the
//! text of OpenSSL in parentheses since 2.8), and its master's about a worker that died.

use super::table::{Pattern, Table, any, process};
use cfray_model::{Line, Sig, SigHit};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of a HAProxy error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let mut hit = TABLE.find(line, &line.message)?;
    if hit.sig == Sig::HaProxyWorkerSignal {
        // The master writes 128 and the signal; a smaller code is an exit of the worker's own.
        hit.num = Some(hit.num?.checked_sub(128).filter(|signal| *signal > 0)?);
    } else {
        // Without a client it is a notice about a proxy.
        line.client.as_ref()?;
    }
    Some(hit)
}

// After the stamp stands `frontend/listener: `. A handshake failure alone may be anything.
#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    any(Sig::PeerClientCert, r"^[!-~]+/[!-~]+: SSL client (?:CA chain cannot be verified|certificate not trusted)(?: \([ -~]*\))?$"),
    any(Sig::PeerClientCert, r"^[!-~]+/[!-~]+: SSL handshake failure \(error:[0-9A-Fa-f]+:SSL routines:[!-~]*:(?:peer did not return a certificate|certificate verify failed)\)$"),
    any(Sig::ProxyProtocol, r"^[!-~]+/[!-~]+: Received something which does not look like a PROXY protocol header$"),
    // `mworker_catch_sigchld` in `src/mworker.c`; up to 2.4 with a stamp in front of the pid, up to 2.5 with the worker's number.
    process(Sig::HaProxyWorkerSignal, r"^\[ALERT\] +(?:\d+/\d+ )?\(\d+\) : Current worker (?:#\d+ )?\((?P<pid>\d+)\) exited with code (?P<num>\d+) \([ -~]*\)$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }
}
