//! Messages with a known meaning on the wire.
//!
//! One file a family of software; each holds a table of patterns that are anchored at the start of
//! the message, because the rest of a message may repeat what a client sent. Messages about a
//! process (a signal, a stop, a full pool) must match from the first to the last byte and stand in
//! a line that belongs to no connection: nobody can write such a line by asking for an odd URI.

mod apache;
mod app;
mod fault;
mod fpm;
mod haproxy;
mod lighttpd;
mod litespeed;
mod nginx;
mod php;
pub(crate) mod python;
mod system;
mod table;

pub use app::{peer_of_handshake, request_of_exception};
pub use fault::php_fault_file;
pub use python::python_fault_file;

use cfray_model::{Line, LineKind, Sig, SigHit, Stack};

/// The signature of a line's message, if it has one.
pub fn signature(line: &Line<'_>) -> Option<SigHit> {
    match line.kind {
        LineKind::Access => return preface(line).or_else(|| mux_error(line)).or_else(|| closed(line)),
        LineKind::Audit => return system::audit(line),
        // Anything may stand in an application's log: only whole messages of known servers count.
        LineKind::Other if line.stack == Stack::App => return app::signature(line),
        LineKind::Other => return None,
        LineKind::Error | LineKind::Fpm | LineKind::Php | LineKind::System => {}
    }
    match line.stack {
        Stack::Nginx => nginx::signature(line),
        Stack::Apache => apache::signature(line),
        Stack::LiteSpeed => litespeed::signature(line),
        Stack::Lighttpd => lighttpd::signature(line),
        Stack::HaProxy => haproxy::signature(line),
        Stack::Fpm => fpm::signature(line),
        Stack::Php => php::signature(&line.message),
        Stack::Kernel => system::kernel(line),
        Stack::Systemd => system::systemd(line),
        Stack::Fail2ban => system::fail2ban(line),
        Stack::Firewall => system::firewall(line),
        Stack::ModSecurity => system::audit(line),
        Stack::App => None,
    }
}

/// The opening bytes of HTTP/2, logged as a request by a server that speaks only HTTP/1.
fn preface(line: &Line<'_>) -> Option<SigHit> {
    let method = line.method.as_deref()?;
    let whole = method == b"PRI * HTTP/2.0";
    let split = method == b"PRI" && line.uri.as_deref() == Some(b"*");
    (whole || split).then(|| table::bare(Sig::H2Preface))
}

/// HAProxy's HTTP/2 layer met an error before there was a request (`sess_log` in `src/mux_h2.c`: a header it cannot decode or
/// hold, a frame against the protocol). Its HTTP/1 layer gives such a line the status of its answer, and a rule -1.
fn mux_error(line: &Line<'_>) -> Option<SigHit> {
    let session = line.stack == Stack::HaProxy && line.status == Some(0) && line.message.starts_with(b"PR");
    (session && line.method.is_none() && line.uri.is_none()).then(|| table::bare(Sig::Http2Error))
}

/// A close on purpose by a server that has no status for it. HAProxy's `silent-drop` and `reject` leave the status -1 and
/// the state `PR` (the proxy itself ended it), where a denial has a status; Caddy's `abort` leaves status 0 and size 0.
fn closed(line: &Line<'_>) -> Option<SigHit> {
    let sent_nothing = line.bytes_sent.or(line.body_bytes).or(line.size) == Some(0);
    let closed = match line.stack {
        Stack::HaProxy => line.status.is_none() && line.message.starts_with(b"PR"),
        // Of application servers, only Caddy writes its access log as nested objects with a status of 0.
        Stack::App => line.status == Some(0),
        _ => false,
    };
    (closed && sent_nothing).then(|| table::bare(Sig::ClosedByRule))
}

#[cfg(test)]
mod tests;
