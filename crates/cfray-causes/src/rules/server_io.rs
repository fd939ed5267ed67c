//! The server aborted before the first byte: disk full, temporary directory, allocation.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// What a person may read about `server-io`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::ServerIo,
    says: "The server could not write a file it needed (disk full or no permission) and broke off before answering.",
    why: "nginx keeps an upstream answer in a temporary or cache file when it is large or to be cached. If that file cannot be made \
        or written, the request is broken off, and the header, which waits in memory for up to 1,460 bytes of output, is never sent. \
        Cloudflare sees a close without a byte, while the access log shows a 200 with 0 bytes.",
    evidence: "For the same request `pwrite() ... failed (28:` (no space) or `open() \".../..._temp/...\" failed (13:` (no \
        permission), level crit, with an access line `200`, `000` or `500` and 0 bytes sent.",
    not_when: "The same line after the header had gone out: the visitor then gets a cut page, not a 520. An upload directory that \
        cannot be written (client_body_temp): measured, a valid 500. `500 0` alone: PHP's own 500 has no body. `000` of requests that \
        ended together although they had waited for different times: a worker was ended.",
    fix: Fix {
        owner: "Free disk space: old backups, logs and cache folders first. If there is plenty, ask your host to check the rights of \
            the web server's temporary and cache directories.",
        admin: "`df -h; df -i` shows space and inodes. For error 13 check every directory on the path with `namei -l \
            /var/lib/nginx/fastcgi` and give the user of the `user` line write access to the last one only. Bound the cache, e.g. \
            `max_size=2g` in `fastcgi_cache_path`, rotate logs, and put an alarm at 85 % full. nginx needs no restart after space is \
            freed.",
        developer: "Do not write session, cache or upload files without a limit on the partition the web server uses, and remove \
            temporary files on failure too.",
        client: "Retrying does not help until someone frees space. Small pages may work while large ones fail. Wait minutes, and \
            report the ray ID.",
    },
    check: "`grep -E 'failed \\((28|13):' /var/log/nginx/error.log` for that minute. A hit with `bytes_sent` 0 is this cause; without \
        a hit look for 444 rules. Add the size with `$bytes_sent` in `log_format`: `$body_bytes_sent` alone is 0 for many good \
        answers too.",
    often_blamed: "`an upstream response is buffered to a temporary file`: a warning, harmless. `client_body_temp` without write \
        access: a valid 500 (measured).",
    sources: &[
        "nginx src/os/unix/ngx_files.c, src/core/ngx_file.c, src/http/ngx_http_upstream.c @3f6f782 (2026-08)",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The server aborted before the first byte.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let empty = c.access.is_some_and(|a| {
        let e = &a.1.e;
        let nothing =
            e.details().bytes_sent == Some(0) || (e.details().bytes_sent.is_none() && e.details().body_bytes.or(e.size.get()) == Some(0));
        nothing && !e.hung_up() && matches!(e.status, Some(0 | 200..=403 | 405..=407 | 500))
    });
    let own = c.own(&[Sig::FileIo, Sig::AllocFailed]);
    match own {
        Some(o) if empty => Some(Finding::new(DOC.cause, 0.97, o.2).with(c.line(o.1)).with_all(c.access_line())),
        Some(o) if c.access.is_none() => Some(Finding::new(DOC.cause, 0.88, o.2).with(c.line(o.1)).with(c.timing())),
        Some(o) if c.closed_by_rule() => Some(Finding::new(DOC.cause, 0.85, o.2).with(c.line(o.1)).with_all(c.access_line())),
        Some(_) => None,
        None if empty => {
            // HEAD, 204 and 304 have no body; only a wire size of 0 proves that nothing was sent.
            let a = c.access?;
            let proven = a.1.e.details().bytes_sent == Some(0) || matches!(a.1.e.status, Some(0 | 500));
            let near = c.nearest(&[Sig::FileIo, Sig::AllocFailed], 1200, 1200).map(|x| c.line(x.1));
            let score = match (proven, near.is_some()) {
                (_, true) => 0.85,
                // `500 0` is also what an error page that closes leaves of any hidden failure, and PHP's own 500 has no body.
                (true, false) if a.1.e.status == Some(500) && a.1.e.details().bytes_sent.is_none() => 0.45,
                // So does a worker that is told to end give up what it has in hand, all at once.
                (true, false) if a.1.e.status == Some(0) && cut_together(c) => 0.45,
                // Whatever could not be written would stand in the error log, which is there and silent.
                (true, false) if a.1.e.status == Some(0) && c.server.is_some_and(|s| chain::error_log_covers(c, s)) => 0.45,
                (true, false) => 0.66,
                (false, false) => 0.4,
            };
            let f = Finding::new(DOC.cause, score, a.2).with_all(c.access_line()).with_all(near);
            Some(
                f.with(sentence(EvidenceKind::Field, "the access line shows that nothing was sent"))
                    .lacking("the server's error log at level crit of that second"),
            )
        }
        None => None,
    }
    .filter(|f| f.tie != Tie::None)
}

/// Did requests that had been under way for different times end in the same moment, as when a process ends?
fn cut_together(c: &Case<'_>) -> bool {
    c.server.zip(c.end).is_some_and(|(server, end)| c.p.cuts.together(server, end).is_some())
}
