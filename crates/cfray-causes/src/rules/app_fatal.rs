//! An application fatal error or memory limit, and the server closed instead of answering 500.

use crate::app_exit;
use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::population::windows::{AFTER_MS, BEFORE_MS};
use crate::rule::{Case, Finding, sentence};
use crate::trust::RAW_ALONE;
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// What a person may read about `app-fatal`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::AppFatal,
    says: "The application failed with a fatal error, and the server closed the connection instead of sending an error page.",
    why: "A PHP fatal error normally becomes a valid 500, also with an empty page. It becomes a 520 when nothing is sent in its \
        place: a rule such as `error_page 500 = @drop` with `return 444` closes the connection, so Cloudflare reads zero bytes. An \
        application that is the origin itself (Node, and others) and ends over an error that nobody catches cuts off every request \
        it had in hand.",
    evidence: "A PHP fatal line (`PHP Fatal error`, `Uncaught`, `Allowed memory size`, `Maximum execution time`) or an exception in Monolog's form (Laravel, Symfony), uvicorn's `Exception in ASGI application` that \
        belongs to the same request by ray, request or connection number, with an access line of 444, or no access line although the log covers the \
        moment. Without a web server in front: the application's process left with an exit code (systemd `status=1/FAILURE`, Node's last \
        lines, PM2, supervisor) at the end of requests that have no line, and not near answered ones.",
    not_when: "The fatal was answered with a valid 500: then Cloudflare shows 500. A fatal of another request in the same second. The \
        failing file lies in a plugin, theme or middleware: plugin-fault.",
    fix: Fix {
        owner: "Give the fatal line (file and line number) to whoever makes the site, and undo the last update of the site. Ask your \
            host why errors are closed and not answered.",
        admin: "Let errors be answered: replace the rule that leads to `return 444` by `error_page 500 502 503 504 /50x.html;` with \
            `location = /50x.html { root /usr/share/nginx/html; internal; }`. Log them with the address: in the FPM pool \
            `catch_workers_output = yes`, in php.ini `log_errors = On`. Raise `memory_limit` (default 128M) only if workers times \
            limit still fits the memory.",
        developer: "Fix the line named in the evidence. Catch at the top level and answer 500 with a short page, and register a \
            shutdown function for what cannot be caught, such as the memory limit.",
        client: "Retrying the same request does not help: the same input meets the same error. Try once after a minute in case it was \
            the database; then report the ray ID.",
    },
    check: "Is the close a rule? `nginx -T 2>/dev/null | grep -nE '444|error_page'`. A rule that sends 500 there is this cause. If \
        there is none, look for `exited on signal` in that second: worker-crash.",
    often_blamed: "PHP fatal errors, the memory limit and max_execution_time as such: with mod_php and with FPM they give a valid 500 \
        (measured), which Cloudflare passes on. Only a server that hides it turns it into a 520. Note PHP's own log is in UTC unless \
        date.timezone is set.",
    sources: &[
        "php/php-src main/main.c",
        "nginx src/http/ngx_http_request.c (444) @3f6f782 (2026-08)",
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// A fatal error in the application's own code, its 500 hidden.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let Some(fatal) = chain::php_fatal(c) else { return exited(c) };
    let in_plugin = fatal.plugin.is_some();
    let score = match (in_plugin, fatal.memory) {
        (false, _) => fatal.score,
        (true, true) => fatal.score * 0.45,
        (true, false) => fatal.score * 0.08,
    };
    Some(Finding::new(DOC.cause, score, fatal.tie).with(c.line(fatal.ev)).with_all(c.access_line()).with(c.timing()))
}

/// The application's process ended itself over an error, and with it every request that it had in hand: its connections
/// are Cloudflare's, or the web server in front hides its 502.
fn exited(c: &Case<'_>) -> Option<Finding> {
    let lines = |f: Finding, exit: &app_exit::Exit<'_>| {
        let said = [Some(exit.ev), exit.thrown, exit.also];
        f.with_all(said.into_iter().flatten().map(|ev| c.line(ev))).with_all(c.access_line()).with(c.timing())
    };
    if c.no_line()
        && let Some(listens) = app_exit::app_in_front(c)
    {
        let exit = app_exit::app_exit(c, BEFORE_MS, AFTER_MS)?;
        let contrast = c.p.windows.get(c.server?, exit.ev.e.sig.as_ref()?.sig);
        // What only the application's own text says may be anybody's, the more without the error that it ended over.
        let trust = match (exit.ev.e.raw_text, exit.thrown) {
            (false, _) => 0.95,
            (true, Some(_)) => 0.85,
            (true, None) => RAW_ALONE,
        };
        let f = Finding::new(DOC.cause, trust * contrast.weight() * c.absence_weight(), Tie::Window);
        let f = lines(f, &exit).with(sentence(EvidenceKind::Contrast, contrast.sentence("the application's process ended")));
        return Some(f.with(c.line(listens)).or_else(Cause::ServerRestart, 0.2));
    }
    let own =
        c.own(&[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch]).filter(|o| c.hidden_failure() && !chain::is_fastcgi(o.1))?;
    let exit = app_exit::app_exit(c, BEFORE_MS, AFTER_MS)?;
    let score = match (exit.ev.e.raw_text, exit.thrown) {
        (false, _) => 0.92,
        (true, Some(_)) => 0.8,
        (true, None) => RAW_ALONE,
    };
    Some(lines(Finding::new(DOC.cause, score, Tie::Chain), &exit).with(c.line(own.1)).or_else(Cause::BackendClosed, 0.2))
}
