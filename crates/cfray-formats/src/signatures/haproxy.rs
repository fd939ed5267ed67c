//! HAProxy's lines about connections that never became a request (`conn_err_code_str` in `src/connection.c`; the
//! text of OpenSSL in parentheses since 2.8).

use super::table::{Pattern, Table, any};
use cfray_model::{Line, Sig, SigHit};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of a HAProxy error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    // Without a client it is a notice about a proxy.
    line.client.as_ref()?;
    TABLE.find(line, &line.message)
}

// After the stamp stands `frontend/listener: `. A handshake failure alone may be anything.
#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    any(Sig::HaProxyClientCert, r"^[!-~]+/[!-~]+: SSL client (?:CA chain cannot be verified|certificate not trusted)(?: \([ -~]*\))?$"),
    any(Sig::HaProxyClientCert, r"^[!-~]+/[!-~]+: SSL handshake failure \(error:[0-9A-Fa-f]+:SSL routines:[!-~]*:(?:peer did not return a certificate|certificate verify failed)\)$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }
}
