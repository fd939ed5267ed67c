//! A worker was ended for running too long and no valid answer was sent.

use crate::app_exit;
use crate::chain::{self, Death};
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// What a person may read about `timeout-kill`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::TimeoutKill,
    says: "The program took too long, a time limit ended it, and nothing was sent in its place.",
    why: "PHP-FPM ends a child that runs longer than `request_terminate_timeout`, and PHP ends itself with exit code 124 when a \
        script ignores its own limit. The web server in front would answer 502, 503 or 504. Where the site maps those to `return \
        444`, Cloudflare gets a close without a byte after exactly that many seconds: a 520. \
        Application servers do the same to their workers: gunicorn's `timeout`, uWSGI's `harakiri`, unicorn's and Puma's worker timeouts, \
        all of them with signal 9 in the end, which is then no want of memory.",
    evidence: "FPM's `execution timed out (N sec), terminating`, a child that `exited with code 124`, gunicorn's `WORKER TIMEOUT`, uWSGI's \
        `HARAKIRI ON WORKER`, unicorn's `timeout (Ns > Ns), killing` or Puma's `Terminating timed out worker`, together with an error line \
        of the request in that second or a request that lasted about N seconds, and a 444 in the access log. FPM names the rewritten \
        script, so `index.php` in its line does not say which page it was.",
    not_when: "A plain 504 or 502 at the edge. A 524: there Cloudflare gave up waiting first. `executing too slow ..., logging` alone \
        is a slow-log entry, nothing was ended.",
    fix: Fix {
        owner: "Find the slow page in the report and ask whoever made it why it takes that long. Ask your host which time limit ended \
            it and to send an error page rather than to close.",
        admin: "Put the limits in order, innermost first, all under Cloudflare's 125 s: `max_execution_time = 60` (PHP), \
            `request_terminate_timeout = 90s` (FPM pool), `fastcgi_read_timeout 100s;` (nginx). Answer what they end: `error_page 502 \
            504 /50x.html;` in place of `return 444`. See where the time goes with `request_slowlog_timeout = 10s` and `slowlog = \
            /var/log/php-fpm.slow.log`. A higher limit holds a worker longer, so check `pm.max_children` with it.",
        developer: "Move the long part to a background job and answer at once with a place to ask for the result. On Linux \
            `max_execution_time` counts CPU time only: waiting for a database or another service needs time limits of its own.",
        client: "Retrying the same request seldom helps, as it will take as long again and may do its work twice. Ask for less (a \
            shorter period, a smaller page), or try once more when the site is quiet.",
    },
    check: "Look at the seconds: `grep -h 'execution timed out' /var/log/php*-fpm.log`, and compare N with origin_duration_ms of the \
        520s. A constant near N is this cause; scattered durations with `exited on signal 11` are worker-crash.",
    often_blamed: "Cloudflare's read limit: when it runs out the status is 524, not 520, and it is 125 s since 2026-07-22 (120 s from \
        2025-10-03, 100 s before; many pages still say 100). PHP's max_execution_time: measured, a valid 500.",
    sources: &[
        "php/php-src sapi/fpm/fpm/fpm_request.c",
        "php/php-src sapi/fpm/fpm/fpm_children.c",
        "unbit/uwsgi core/master_utils.c (trigger_harakiri); benoitc/gunicorn gunicorn/arbiter.py; unicorn lib/unicorn/http_server.rb; \
            puma/puma lib/puma/cluster.rb",
        "php/php-src sapi/fpm/www.conf.in and php-fpm.conf.in",
        "cloudflare/cloudflare-docs PR#25614 (120 s, 2025-10-03) and PR#32243 (125 s, 2026-07-22)",
        "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Shorter than the shortest limit that application servers take, in milliseconds, less what clocks are off.
const SHORTEST_LIMIT_MS: i64 = 900;

/// An application server is the origin itself: the worker's end closes Cloudflare's connection.
fn of_the_origin_itself(c: &Case<'_>) -> Option<Finding> {
    let listens = app_exit::app_in_front(c)?;
    let (death, evs) = chain::worker_death(c, c.end?)?;
    let ran_ms = c.row.header_ms.or(c.row.duration_ms).unwrap_or(0);
    if death != Death::TimedOut || ran_ms < SHORTEST_LIMIT_MS {
        return None;
    }
    // The log is text of the application's: the access log's silence or nothing speaks beside it.
    let contrast = c.p.windows.get(c.server?, Sig::AppWorkerTimeout);
    let score = if c.silent() { 0.94 * contrast.weight() } else { 0.4 };
    let f = Finding::new(DOC.cause, score, Tie::Window).with_all(evs.iter().map(|e| c.line(e))).with(c.line(listens));
    let f = f.with(sentence(EvidenceKind::Contrast, contrast.sentence("a worker was ended for running too long")));
    Some(f.with_all(c.silent().then(|| c.absence())).with(c.timing()))
}

/// A worker was ended for running too long and its 502 was hidden, or it held the connection itself.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.no_line()
        && let Some(found) = of_the_origin_itself(c)
    {
        return Some(found);
    }
    if !c.hidden_failure() {
        return None;
    }
    let own = c.own(&[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch, Sig::UpstreamTimedOut]);
    let moment = own.and_then(|o| o.1.utc).or(c.end)?;
    let (death, evs) = chain::worker_death(c, moment)?;
    if death != Death::TimedOut {
        return None;
    }
    // The limit is logged with the line; the request must have run about that long.
    let limit_ms = evs.iter().find_map(|e| e.e.sig.as_ref().filter(|h| h.sig == Sig::FpmTimeout)?.num);
    let ran_ms = c.row.header_ms.or(c.row.duration_ms);
    let fits = limit_ms.zip(ran_ms).is_none_or(|(limit, ran)| ran * 10 >= limit * 7);
    let score = match (own.is_some(), fits) {
        (true, true) if c.closed_by_rule() => 0.96,
        (true, true) => 0.87,
        (true, false) => 0.6,
        (false, true) if limit_ms.is_some() => 0.75,
        (false, _) => 0.4,
    };
    let tie = if own.is_some() { Tie::Chain } else { Tie::Window };
    Some(
        Finding::new(DOC.cause, score, tie)
            .with_all(evs.iter().map(|e| c.line(e)))
            .with_all(own.map(|o| c.line(o.1)))
            .with_all(c.access_line())
            .with(c.timing()),
    )
}
