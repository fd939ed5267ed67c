//! A report for the tests of every renderer: three causes, and values that want to break out.
#![allow(clippy::unwrap_used)]

use cfray_model::edge::{EdgeCounters, EdgeRow, Reject};
use cfray_model::report::{
    AuditItem, Breakdown, Bucket, CauseSummary, EdgeSummary, Episode, Impact, Meta, Report, Row, Share, SourceSummary, Timeline,
};
use cfray_model::serverconf::ConfigReport;
use cfray_model::source::{LineRef, Skipped, SourceId, SourceInfo};
use cfray_model::text::Place;
use cfray_model::time::SECOND;
use cfray_model::{Cause, Evidence, EvidenceKind, RayId, Stack, Stamp, Text, Tie, Verdict};

/// 2026-11-22T10:02:11Z.
pub const START: i64 = 1_795_341_731;

fn at(seconds: i64) -> Stamp {
    Stamp::from_secs(START + seconds)
}

fn owned(text: &str) -> Option<Text> {
    Some(text.into())
}

fn line(source: &str, number: u64, seconds: i64, text: &str) -> Evidence {
    let time_ms = Some(at(seconds).millis());
    Evidence { kind: EvidenceKind::Line, source: source.into(), line: Some(number), time_ms, offset_ms: Some(40), text: text.into() }
}

fn sentence(kind: EvidenceKind, text: &str) -> Evidence {
    Evidence { kind, source: Text::new(), line: None, time_ms: None, offset_ms: None, text: text.into() }
}

fn row(number: u64, seconds: i64, uri: &str, agent: &str, verdict: Verdict) -> Row {
    Row {
        edge: EdgeRow {
            at: LineRef { source: SourceId(0), line: number, offset: 0 },
            ray: Some(RayId(0x9f8f_b496_27eb_0b20 + number)),
            start: Some(at(seconds)),
            end: Some(Stamp(at(seconds).0 + SECOND / 25)),
            precision_ns: SECOND,
            host: owned("shop.example.com"),
            method: owned("GET"),
            uri: owned(uri),
            client_ip: owned("198.51.100.7"),
            client_asn: Some(64_496),
            client_country: owned("de"),
            user_agent: owned(agent),
            source: owned("eyeball"),
            colo: owned("FRA"),
            edge_ip: owned("172.70.240.118"),
            origin_ip: owned("192.0.2.10"),
            origin_tls: owned("TLSv1.3"),
            edge_status: 520,
            origin_status: Some(0),
            tcp_ms: Some(0),
            tls_ms: Some(0),
            header_ms: Some(26),
            duration_ms: Some(26),
            request_bytes: Some(812),
            cache: owned("dynamic"),
            ..EdgeRow::default()
        },
        source: Place::new("cloudflare/20261122T1000Z.log.gz".into(), number),
        server: "web1".into(),
        connection: "reused",
        idle_gap_s: Some(4.998_7),
        verdict,
        episode: Some(1),
        retry: "cleared",
        cleared_after_s: Some(12.0),
        counted: true,
        lines: vec![],
    }
}

fn pool() -> Verdict {
    Verdict {
        cause: Cause::PoolExhausted,
        confidence: 0.934_56,
        tie: Tie::Ray,
        evidence: vec![
            line(
                "logs/nginx/error.log",
                118,
                0,
                "2026/11/22 10:02:11 [error] 14467#14467: *93 connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream, client: 198.51.100.7, server: shop.example.com, request: \"GET /cart?token=hunter2 HTTP/1.1\", upstream: \"fastcgi://unix:/run/php/www.sock:\", host: \"shop.example.com\"",
            ),
            line(
                "logs/php/php8.2-fpm.log",
                12,
                -1,
                "[22-Nov-2026 10:02:10] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it",
            ),
            sentence(EvidenceKind::Field, "reused connection (TCP 0 ms, TLS 0 ms), failed after 26 ms"),
        ],
        missing: vec![],
        runner_up: Some((Cause::TimeoutKill, 0.04)),
    }
}

fn blocked() -> Verdict {
    Verdict {
        cause: Cause::EdgeIpBlocked,
        confidence: 0.81,
        tie: Tie::Request,
        evidence: vec![
            line(
                "logs/nginx/access.log",
                2041,
                361,
                "172.70.240.118 - - [22/Nov/2026:10:08:12 +0000] \"GET /product/1300 HTTP/1.1\" 444 0 \"-\" \"\x1b[31m<script>alert(1)</script>\"",
            ),
            sentence(EvidenceKind::Contrast, "81 of 81 requests from 172.70.240.0/24 fail, 3 of 1,594 others"),
        ],
        missing: vec!["the firewall's log; or its list".into(), "field OriginTCPHandshakeDurationMs".into()],
        runner_up: Some((Cause::RuleDropped, 0.12)),
    }
}

fn unknown() -> Verdict {
    Verdict {
        cause: Cause::Unknown,
        confidence: 0.4,
        tie: Tie::None,
        evidence: vec![],
        missing: vec!["an access log of web1 after 10:12".into()],
        runner_up: Some((Cause::KeepaliveRace, 0.38)),
    }
}

/// Seven counted 520s and one of an internal source.
pub fn report() -> Report {
    let mut rows = vec![
        row(17, 0, "/cart?token=hunter2&id=5", "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0", pool()),
        row(18, 1, "/cart?id=6", "\"><img src=x onerror=alert(1)>", pool()),
        row(31, 130, "/</script><script>alert(2)</script>", "=cmd()|'/c calc'!A0", pool()),
        row(32, 131, "/checkout?u=1", "-2+3", pool()),
        row(58, 361, "/product/1300", "\u{202e}gpj.exe\u{200f} \x1b]0;owned\x07", blocked()),
        row(59, 362, "/a' onclick='alert(3)", "comma, \"quote\"\nnewline", blocked()),
        row(77, 600, "/feed?x=${7*7}{{7*7}}", "curl/8.5.0", unknown()),
        row(78, 601, "/cart", "Mozilla/5.0", unknown()),
    ];
    rows[3].edge.method = owned("POST");
    rows[3].retry = "persisted";
    rows[3].cleared_after_s = None;
    rows[4].episode = Some(2);
    rows[5].episode = Some(2);
    rows[5].edge.edge_ip = owned("");
    rows[5].edge.client_ip = owned("2001:db8::7");
    rows[5].connection = "";
    rows[5].idle_gap_s = None;
    for row in &mut rows[6..] {
        row.episode = None;
        row.server = Text::new();
        row.retry = "";
        row.cleared_after_s = None;
        row.edge.request_bytes = None;
    }
    rows[7].counted = false;
    rows[7].edge.source = owned("earlyHintsCache");
    let share = |name: &str, count, total, cause| Share { name: name.to_owned(), count, total, cause: Some(cause) };
    let cause = |cause: Cause, count, confidence, says: &str, admin: &str| CauseSummary {
        cause,
        count,
        confidence,
        says: says.to_owned(),
        fix_owner: "Ask the host for the PHP-FPM log of these minutes and for more workers.".to_owned(),
        fix_admin: admin.to_owned(),
        fix_developer: "Make the slow pages faster: cache /cart, move mail out of the request.".to_owned(),
        fix_client: "Retry after 1, 2, 4, 8 and 16 s.".to_owned(),
        check: if confidence < 0.7 {
            "curl --resolve shop.example.com:443:192.0.2.10 https://shop.example.com/feed".to_owned()
        } else {
            String::new()
        },
    };
    Report {
        meta: Meta {
            version: "0.1.0".to_owned(),
            inputs: vec!["logs".to_owned()],
            input_note: String::new(),
            options: vec!["--tz Asia/Kolkata".to_owned()],
            statuses: "520".to_owned(),
            notes: vec!["The job delivers 44 of the 78 fields of http_requests.".to_owned()],
        },
        sources: sources(),
        skipped: vec![
            Skipped { name: "logs/journal/system.journal".to_owned(), what: "systemd journal (binary)".to_owned(), hint: "journalctl -o json > journal.json".to_owned(), failed: false },
            Skipped { name: "logs/nginx/error.log.2.gz".to_owned(), what: "gzip ends in the middle (line 81)".to_owned(), hint: "copy the file again".to_owned(), failed: true },
        ],
        edge: EdgeSummary {
            counters: EdgeCounters {
                rows: 4_821,
                duplicates: 15,
                rejected: 1,
                by_status: [(200, 4_700), (502, 100), (520, 8), (521, 9), (524, 4)].into(),
                first: Some(at(-131)),
                last: Some(at(1_000)),
                precision_ns: SECOND,
                ..EdgeCounters::default()
            },
            kind: "full".to_owned(),
            incidents: 7,
            uncounted: 1,
            origin_requests: 4_100,
            ties: vec![("ray".to_owned(), 4), ("request".to_owned(), 2), ("none".to_owned(), 1)],
            origins: vec![("192.0.2.10".to_owned(), "web1".to_owned(), 212)],
            neighbours: vec![(521, Cause::OriginRefused, 9), (524, Cause::ResponseTimeout, 4)],
        },
        episodes: episodes(),
        causes: vec![
            cause(Cause::PoolExhausted, 4, 0.934_56, "The PHP-FPM pool had no free worker, and nginx closed the connection instead of answering.", "Raise pm.max_children in /etc/php/8.2/fpm/pool.d/www.conf to what memory carries (about 40 at 60 MB each), and answer 503 instead of `return 444`."),
            cause(Cause::EdgeIpBlocked, 2, 0.81, "A security layer refuses Cloudflare's own addresses.", "Restore visitors' addresses (set_real_ip_from, real_ip_header CF-Connecting-IP) and take Cloudflare's ranges out of the ban list."),
            cause(Cause::Unknown, 1, 0.4, "The logs cannot tell.", "Log $http_cf_ray."),
        ],
        endpoints: vec![
            share("GET shop.example.com/cart", 3, Some(410), Cause::PoolExhausted),
            share("GET shop.example.com/</script><script>alert(2)</script>", 1, Some(1), Cause::PoolExhausted),
            share("GET shop.example.com/product/#", 2, None, Cause::EdgeIpBlocked),
        ],
        breakdowns: vec![
            Breakdown { dimension: "host".to_owned(), values: vec![share("shop.example.com", 7, Some(4_100), Cause::PoolExhausted)] },
            Breakdown {
                dimension: "path".to_owned(),
                values: vec![share("/cart", 3, Some(410), Cause::PoolExhausted), share("/product/#", 2, Some(1_200), Cause::EdgeIpBlocked)],
            },
            Breakdown { dimension: "colo".to_owned(), values: vec![share("FRA", 7, Some(2_300), Cause::PoolExhausted)] },
            Breakdown {
                dimension: "method".to_owned(),
                values: vec![share("GET", 6, Some(3_900), Cause::PoolExhausted), share("POST", 1, Some(200), Cause::PoolExhausted)],
            },
            Breakdown {
                dimension: "client".to_owned(),
                values: vec![share("198.51.100.7", 6, Some(33), Cause::PoolExhausted), share("2001:db8::7", 1, Some(2), Cause::EdgeIpBlocked)],
            },
        ],
        audit: vec![AuditItem {
            what: "nginx access log without $http_cf_ray".to_owned(),
            hides: "ties by ray: a closed request and another visitor's look alike".to_owned(),
            paste: "log_format cfray '$remote_addr $http_cf_ray [$time_local] \"$request\" $status $bytes_sent';".to_owned(),
            server: "web1".to_owned(),
            causes: vec![Cause::KeepaliveRace, Cause::RuleDropped],
        }],
        config: ConfigReport::default(),
        impact: Impact {
            clients: 2,
            writes: 1,
            cleared: 5,
            persisted: 1,
            median_clear_s: Some(12.0),
            clear_90_s: Some(12.0),
            backoff_saves: 5,
            backoff_steps: [0, 0, 0, 5, 5],
            methods: vec![("GET".to_owned(), 6), ("POST".to_owned(), 1)],
        },
        timeline: timeline(),
        headline: "4 of 7 520s on shop.example.com between 10:02 and 10:04 came from PHP-FPM workers running out; 2 from blocked Cloudflare addresses.".to_owned(),
        rows: rows.into(),
    }
}

fn sources() -> Vec<SourceSummary> {
    let source = |name: &str, format: &str, server: &str, stack, lines, rejected| SourceSummary {
        info: SourceInfo {
            name: name.to_owned(),
            format: format.to_owned(),
            why: "200 of 200 lines".to_owned(),
            server: server.to_owned(),
            stack,
            bytes: 81_234,
            ..SourceInfo::default()
        },
        lines,
        parsed: lines - rejected,
        rejected,
        first: Some(at(-131)),
        last: Some(at(1_000)),
        ..SourceSummary::default()
    };
    let mut sources = vec![
        source("logs/cloudflare/20261122T1000Z.log.gz", "cloudflare-ndjson", "", None, 4_000, 1),
        source("logs/cloudflare/20261122T1010Z.log.gz", "cloudflare-ndjson", "", None, 836, 0),
        source("logs/nginx/access.log", "nginx-access", "web1", Some(Stack::Nginx), 4_103, 0),
        source("logs/nginx/error.log", "nginx-error", "web1", Some(Stack::Nginx), 258, 2),
        source("logs/php/php8.2-fpm.log", "php-fpm", "web1", Some(Stack::Fpm), 40, 0),
    ];
    sources[2].clock = "UTC+05:30, 40 s fast (±0.5 s), from 212 pairs by ray".to_owned();
    sources[2].has_ray = true;
    sources[2].tied = 6;
    sources[2].gaps = vec![(at(610), at(700))];
    sources[2].missing_files = vec!["logs/nginx/access.log.1".to_owned()];
    sources[2].hosts = vec!["shop.example.com".to_owned()];
    sources[2].buffered = true;
    sources[3].lowest_level = "notice".to_owned();
    sources[3].clock = "as nginx/access.log".to_owned();
    sources[3].rejects =
        vec![Reject { at: LineRef { source: SourceId(3), line: 9, offset: 1 }, reason: "no time in \"\x1b[2Jgarbage\"".to_owned() }];
    sources[4].clock = "not known".to_owned();
    sources[4].clock_unknown = true;
    sources
}

fn episodes() -> Vec<Episode> {
    let count = |name: &str, n| (name.to_owned(), n);
    vec![
        Episode {
            number: 1,
            cause: Some(Cause::PoolExhausted),
            confidence: 0.93,
            from: Some(at(0)),
            to: Some(at(131)),
            count: 4,
            peak_per_minute: 2,
            requests: 612,
            server: "web1".to_owned(),
            hosts: vec![count("shop.example.com", 4)],
            paths: vec![count("/cart", 2), count("/</script><script>alert(2)</script>", 1), count("/checkout", 1)],
            colos: vec![count("FRA", 4)],
            clients: 1,
            decisive: vec![
                "logs/nginx/error.log:118: 2026/11/22 10:02:11 [error] 14467#14467: *93 connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream, request: \"GET /cart?token=hunter2 HTTP/1.1\"".to_owned(),
                "logs/php/php8.2-fpm.log:12: [22-Nov-2026 10:02:10] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it".to_owned(),
            ],
            rows: vec![0, 1, 2, 3],
        },
        Episode {
            number: 2,
            cause: Some(Cause::EdgeIpBlocked),
            confidence: 0.81,
            from: Some(at(361)),
            to: Some(at(362)),
            count: 2,
            peak_per_minute: 2,
            requests: 0,
            server: "web1".to_owned(),
            hosts: vec![count("shop.example.com", 2)],
            paths: vec![count("/product/#", 1), count("/a", 1)],
            colos: vec![count("FRA", 2)],
            clients: 2,
            decisive: vec!["81 of 81 requests from 172.70.240.0/24 fail, 3 of 1,594 others".to_owned()],
            rows: vec![4, 5],
        },
    ]
}

fn timeline() -> Timeline {
    let bucket = |index: i64| Bucket {
        start_s: START - 131 + index * 60,
        requests: 200 + (index * 37 % 90) as u64,
        causes: match index {
            2 => vec![(Cause::PoolExhausted, 2)],
            4 => vec![(Cause::PoolExhausted, 2)],
            8 => vec![(Cause::EdgeIpBlocked, 2)],
            12 => vec![(Cause::Unknown, 1)],
            _ => vec![],
        },
    };
    Timeline { bucket_s: 60, buckets: (0..19).map(bucket).collect() }
}

/// Nothing found; neighbours all the same.
pub fn empty() -> Report {
    let full = report();
    Report {
        rows: cfray_model::Rows::default(),
        episodes: vec![],
        causes: vec![],
        endpoints: vec![],
        breakdowns: vec![],
        impact: Impact::default(),
        edge: EdgeSummary { incidents: 0, uncounted: 0, ties: vec![], ..full.edge },
        timeline: Timeline { bucket_s: 60, buckets: full.timeline.buckets.into_iter().map(|b| Bucket { causes: vec![], ..b }).collect() },
        headline: "No 520 in 4,821 requests between 10:00 and 10:18 UTC.".to_owned(),
        ..full
    }
}
