//! Every number that a rule or a text relies on, by name: value, unit, dates of validity and source.

use chrono::NaiveDate;

/// One published limit or default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Dotted name, such as `cloudflare.proxy_idle_timeout`. A name occurs more than once if its value changed; the dates tell which holds.
    pub name: &'static str,
    /// The value, in `unit`.
    pub value: i64,
    /// `bytes`, `s` or `count`.
    pub unit: &'static str,
    /// First day (UTC, ISO date) on which the value holds; empty: not known, taken as always.
    pub from: &'static str,
    /// First day (UTC, ISO date) on which it no longer holds; empty: still valid when the source was read.
    pub until: &'static str,
    /// Page or source file, with date or commit.
    pub source: &'static str,
    /// What it limits and what happens at it.
    pub what: &'static str,
}

const CONNECTION_LIMITS: &str = "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23";
const HEADER_CHANGE: &str = "cloudflare/cloudflare-docs PR#25872 and PR#25873";
const NGINX: &str = "nginx @3f6f782 (2026-08)";
const APACHE: &str = "apache/httpd 2.4.x @f45abec1 (2024-10)";
const FPM: &str = "php/php-src sapi/fpm/www.conf.in, php-fpm.conf.in";
const PINGORA: &str = "cloudflare/pingora @c0845a8 (2026-05-15); not proof of what Cloudflare runs";

/// A value without known dates.
const fn always(name: &'static str, value: i64, unit: &'static str, source: &'static str, what: &'static str) -> Limit {
    Limit { name, value, unit, from: "", until: "", source, what }
}

/// Cloudflare's limits by date, then defaults of the servers behind it.
pub static LIMITS: &[Limit] = &[
    // Cloudflare, between edge and origin
    Limit {
        name: "cloudflare.response_header",
        value: 32 * 1024,
        unit: "bytes",
        from: "",
        until: "2025-10-16",
        source: HEADER_CHANGE,
        what: "all response headers together (16 KB each; the Error 520 page said 16 KB, old vendor copies 8 KB); over it: 520",
    },
    Limit {
        name: "cloudflare.response_header",
        value: 128 * 1024,
        unit: "bytes",
        from: "2025-10-16",
        until: "",
        source: HEADER_CHANGE,
        what: "all response headers together; over it: 520",
    },
    always("cloudflare.request_header", 128 * 1024, "bytes", CONNECTION_LIMITS, "all request headers together"),
    always("cloudflare.request_url", 16 * 1024, "bytes", CONNECTION_LIMITS, "request URL"),
    always(
        "cloudflare.proxy_idle_timeout",
        900,
        "s",
        CONNECTION_LIMITS,
        "idle origin connection kept for reuse; a close that crosses a request: 520",
    ),
    always("cloudflare.http2_idle_timeout", 900, "s", CONNECTION_LIMITS, "idle HTTP/2 connection to the origin"),
    Limit {
        name: "cloudflare.proxy_read_timeout",
        value: 100,
        unit: "s",
        from: "",
        until: "2025-10-03",
        source: "cloudflare/cloudflare-docs PR#25614",
        what: "wait for the origin's answer; at its end: 524",
    },
    Limit {
        name: "cloudflare.proxy_read_timeout",
        value: 120,
        unit: "s",
        from: "2025-10-03",
        until: "2026-07-22",
        source: "cloudflare/cloudflare-docs PR#25614, PR#32243",
        what: "wait for the origin's answer; at its end: 524",
    },
    Limit {
        name: "cloudflare.proxy_read_timeout",
        value: 125,
        unit: "s",
        from: "2026-07-22",
        until: "",
        source: "cloudflare/cloudflare-docs PR#32243",
        what: "wait for the origin's answer (Enterprise: up to 6000 s); at its end: 524",
    },
    always("cloudflare.proxy_read_timeout_max", 6000, "s", "cloudflare-docs page Error 524", "highest read timeout Enterprise can set"),
    always(
        "cloudflare.proxy_read_timeout_slack",
        1,
        "s",
        "cloudflare-docs page Error 524",
        "documented deviation of the read timeout, either way",
    ),
    always("cloudflare.proxy_write_timeout", 30, "s", CONNECTION_LIMITS, "write of the request to the origin; at its end: 524"),
    always(
        "cloudflare.tcp_connect_timeout",
        19,
        "s",
        CONNECTION_LIMITS,
        "completing a TCP connection (older pages: 15 s); at its end: 522",
    ),
    always("cloudflare.tcp_ack_timeout", 90, "s", CONNECTION_LIMITS, "acknowledgement of the request; at its end: 522"),
    always(
        "cloudflare.tcp_keepalive_interval",
        30,
        "s",
        CONNECTION_LIMITS,
        "first TCP keep-alive probe on an idle origin connection; unanswered: 520",
    ),
    always(
        "cloudflare.tcp_keepalive_second_probe",
        15,
        "s",
        "cloudflare-docs http2-to-origin.mdx @2020062",
        "second probe after the first",
    ),
    always(
        "cloudflare.tcp_keepalive_missed",
        2,
        "count",
        "cloudflare-docs http2-to-origin.mdx @2020062",
        "missed probes before the connection is reset",
    ),
    always("cloudflare.client_idle_timeout", 400, "s", CONNECTION_LIMITS, "idle connection between visitor and edge"),
    always("pingora.retry_buffer", 64 * 1024, "bytes", PINGORA, "request body up to which a failure on a reused connection can be retried"),
    always("pingora.max_response_headers", 256, "count", PINGORA, "response header lines the parser takes"),
    // nginx defaults
    always("nginx.keepalive_timeout", 75, "s", NGINX, "idle client connection; closed without a word"),
    always("nginx.keepalive_timeout_packaged", 65, "s", "nginx packaged nginx.conf", "the same, as set in the packaged configuration"),
    always("nginx.keepalive_requests", 1000, "count", NGINX, "requests on one connection (since 1.19.10); the end is announced"),
    always("nginx.keepalive_requests_before_1_19_10", 100, "count", NGINX, "requests on one connection before 1.19.10"),
    always("nginx.keepalive_time", 3600, "s", NGINX, "age of a connection after which it is closed at the next answer"),
    always("nginx.client_header_timeout", 60, "s", NGINX, "reading the request header; at its end: closed, 408 with 0 bytes logged"),
    always("nginx.client_body_timeout", 60, "s", NGINX, "between two reads of the body; at its end: closed, 408 with 0 bytes logged"),
    always("nginx.send_timeout", 60, "s", NGINX, "between two writes to the client"),
    always("nginx.fastcgi_read_timeout", 60, "s", NGINX, "between two reads from FastCGI; at its end: 504"),
    always("nginx.proxy_read_timeout", 60, "s", NGINX, "between two reads from the backend; at its end: 504"),
    always(
        "nginx.large_client_header_buffers",
        4,
        "count",
        NGINX,
        "buffers for request headers; times their size: the HTTP/2 limit since 1.19.7",
    ),
    always("nginx.large_client_header_buffer_size", 8 * 1024, "bytes", NGINX, "size of one: the longest request header line"),
    always("nginx.worker_connections", 512, "count", NGINX, "connections of a worker, upstream ones included; none left: closed at once"),
    always("nginx.listen_backlog", 511, "count", NGINX, "connections waiting to be accepted (Linux)"),
    always("nginx.http2_max_concurrent_streams", 128, "count", NGINX, "streams of one HTTP/2 connection"),
    always("nginx.postpone_output", 1460, "bytes", NGINX, "output held back; a header that waits here is lost on an abort"),
    always("nginx.error_record", 2048, "bytes", NGINX, "longest error log record; longer ones lose their suffix"),
    // Apache 2.4 defaults
    always("apache.keepalive_timeout", 5, "s", APACHE, "idle client connection; closed without a word"),
    always("apache.max_keepalive_requests", 100, "count", APACHE, "requests on one connection; the end is announced"),
    always("apache.timeout", 60, "s", APACHE, "waiting for input, output and backends"),
    always("apache.max_request_workers_prefork", 256, "count", APACHE, "processes of prefork; each idle connection holds one"),
    always("apache.max_request_workers_event", 400, "count", APACHE, "threads of event (16 x 25); an idle connection holds none"),
    always("apache.async_request_worker_factor", 2, "count", APACHE, "idle connections of event beyond its free threads, per thread"),
    always("apache.limit_request_field_size", 8190, "bytes", APACHE, "one request header line; over it: a valid 400"),
    always("apache.limit_request_line", 8190, "bytes", APACHE, "request line; over it: a valid 414"),
    always("apache.limit_request_fields", 100, "count", APACHE, "request header lines; over it: a valid 400"),
    always("apache.response_field_size", 8192, "bytes", APACHE, "one header line from a backend; over it: a valid 502"),
    always("apache.listen_backlog", 511, "count", APACHE, "connections waiting to be accepted"),
    always("apache.h2_max_session_streams", 100, "count", APACHE, "streams of one HTTP/2 connection"),
    always("apache.error_record", 8192, "bytes", APACHE, "longest error log record; longer ones are cut"),
    // PHP and other application servers
    always("fpm.max_children", 5, "count", FPM, "children of a pool in the packaged configuration"),
    always("fpm.listen_backlog", 511, "count", FPM, "requests waiting for a child; full: connect() fails with 11"),
    always("fpm.request_terminate_timeout", 0, "s", FPM, "longest request before the child is ended; 0: off"),
    always("fpm.process_control_timeout", 0, "s", FPM, "grace for children on reload or stop; 0: none"),
    always("fpm.log_limit", 1024, "bytes", FPM, "longest line of the FPM log"),
    always("php.max_execution_time", 30, "s", "php/php-src main/main.c", "CPU time of a script on Linux; at its end: a valid 500"),
    always("php.hard_timeout", 2, "s", "php/php-src main/main.c", "grace after max_execution_time before exit code 124"),
    always("php.memory_limit", 128 * 1024 * 1024, "bytes", "php/php-src main/main.c", "memory of a script; over it: a valid 500"),
    always("node.keepalive_timeout", 5, "s", "modelence/modelence pull request 346", "idle client connection of Node's HTTP server"),
    always("gunicorn.timeout", 30, "s", "benoitc/gunicorn issue 588", "silent worker before it is killed (WORKER TIMEOUT)"),
    always("fail2ban.bantime", 600, "s", "fail2ban HEAD, jail.conf", "length of a ban"),
];

/// Midnight UTC of an ISO date, in seconds since 1970.
fn midnight(date: &str) -> Option<i64> {
    // Each incident asks: a pattern would cost more than the rule.
    let mut parts = date.splitn(3, '-');
    let day = NaiveDate::from_ymd_opt(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

impl Limit {
    /// Whether the value held at `at_epoch_s` (seconds since 1970, UTC).
    pub fn holds_at(&self, at_epoch_s: i64) -> bool {
        midnight(self.from).is_none_or(|t| at_epoch_s >= t) && midnight(self.until).is_none_or(|t| at_epoch_s < t)
    }
}

/// The limit of that name which held at `at_epoch_s` (seconds since 1970, UTC).
pub fn limit_at(name: &str, at_epoch_s: i64) -> Option<&'static Limit> {
    LIMITS.iter().find(|l| l.name == name && l.holds_at(at_epoch_s))
}

/// Cloudflare's limit for all response headers together, in bytes, at `at_epoch_s` (seconds since 1970, UTC), where
/// the user sets none.
pub fn header_limit(at_epoch_s: i64) -> u64 {
    // The table covers all times (tested); should an edit open a gap, the higher limit accuses nobody wrongly.
    limit_at("cloudflare.response_header", at_epoch_s).and_then(|l| u64::try_from(l.value).ok()).unwrap_or(128 * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::collections::BTreeMap;

    /// 2025-10-16T00:00:00Z.
    const HEADER_CHANGE_S: i64 = 1_760_572_800;

    #[test]
    fn header_limit_changes_at_midnight_of_its_day() {
        assert_eq!(midnight("2025-10-16"), Some(HEADER_CHANGE_S));
        assert_eq!(header_limit(HEADER_CHANGE_S - 1), 32_768);
        assert_eq!(header_limit(HEADER_CHANGE_S), 131_072);
        assert_eq!(header_limit(i64::MIN), 32_768);
        assert_eq!(header_limit(i64::MAX), 131_072);
    }

    #[test]
    fn read_timeout_follows_the_dates() {
        let at = |date: &str| limit_at("cloudflare.proxy_read_timeout", midnight(date).unwrap()).unwrap().value;
        assert_eq!([at("2024-01-01"), at("2025-10-03"), at("2026-07-21"), at("2026-07-22")], [100, 120, 120, 125]);
    }

    /// A name with several values must have them in order, without a gap or an overlap, and without end.
    #[test]
    fn values_of_one_name_join_without_gaps() {
        let mut by_name: BTreeMap<&str, Vec<&Limit>> = BTreeMap::new();
        for limit in LIMITS {
            by_name.entry(limit.name).or_default().push(limit);
        }
        for (name, limits) in by_name {
            for pair in limits.windows(2) {
                assert_eq!(pair[0].until, pair[1].from, "{name}");
                assert_eq!(pair[0].unit, pair[1].unit, "{name}");
            }
            assert_eq!(limits.last().unwrap().until, "", "{name}");
        }
    }

    #[test]
    fn entries_are_complete() {
        for l in LIMITS {
            assert!(["bytes", "s", "count"].contains(&l.unit), "{}", l.name);
            assert!(l.value >= 0 && !l.source.is_empty() && !l.what.is_empty(), "{}", l.name);
            assert!([l.from, l.until].iter().all(|d| d.is_empty() || midnight(d).is_some()), "{}", l.name);
        }
    }

    #[test]
    fn unknown_names_have_no_limit() {
        assert_eq!(limit_at("cloudflare.nonsense", 0), None);
    }
}
