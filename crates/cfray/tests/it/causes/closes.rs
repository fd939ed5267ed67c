//! Closes on purpose by servers that have no status 444, and by nginx on whoever shows no client certificate.

use super::site::{Kind, Row, Site, Wire, stamp};

/// Requests for one path, and of one agent, that end in `wire`.
fn refused(site: &mut Site, n: i64, wire: Wire, change: impl Fn(Row) -> Row) -> Vec<String> {
    (0..n)
        .map(|i| {
            let row = site.request(4_000 + i * 82_000 / n);
            let row = change(row).ended(wire);
            let row = row.clone().lasting(row.tcp * 2 + 9);
            let ray = row.ray();
            site.rows.push(row);
            ray
        })
        .collect()
}

fn greedy(mut row: Row) -> Row {
    "Mozilla/5.0 (compatible; GreedyBot/3.1; +https://greedy.example/bot)".clone_into(&mut row.agent);
    row
}

/// The site's access log as HAProxy writes it; failing requests get `state` and `status`.
fn haproxy(site: &mut Site, state: &str, status: &str) {
    site.forget_logs();
    for row in site.rows.clone().iter().filter(|r| !r.origin_ip.is_empty()) {
        let failed = row.status == 520 || row.status == 403;
        let (server, timers, state, status, size) = match failed {
            true => ("web/<NOSRV>", "-1/-1/-1/-1/0".to_owned(), state, status.to_owned(), if status == "-1" { 0 } else { 192 }),
            false => ("app/app1", "0/0/0/9/9".to_owned(), "----", row.status.to_string(), 2_400),
        };
        let at = row.end() - 11;
        let text = format!(
            "{} web1 haproxy[813]: {}:{} [{}] web {server} {timers} {status} {size} - - {state} 3/3/0/0/0 0/0 {{{}-{}}} \"{} {} HTTP/1.1\"",
            stamp(at, "%b %d %H:%M:%S"),
            row.edge_ip,
            30_000 + row.ray % 20_000,
            stamp(at, "%d/%b/%Y:%H:%M:%S%.3f"),
            row.ray(),
            row.colo,
            row.method,
            row.uri
        );
        site.log("haproxy.log", row.end() - 2, text);
    }
}

#[test]
fn haproxy_rejects_an_agent() {
    let mut site = Site::new(Kind::Nginx);
    let rays = refused(&mut site, 20, Wire::Closed, greedy);
    haproxy(&mut site, "PR--", "-1");
    site.report().proves(&rays, "client-blocked", &["ray"], "PR--");
}

/// What they share is in no log; that the proxy itself ended them its line says.
#[test]
fn haproxy_rejects_by_a_counter() {
    let mut site = Site::new(Kind::Nginx);
    let rays = refused(&mut site, 20, Wire::Closed, |row| row);
    haproxy(&mut site, "PR--", "-1");
    site.report().proves(&rays, "rule-dropped", &["ray"], "PR--");
}

/// The client left, or the request was broken: the proxy decided nothing.
#[test]
fn haproxy_lost_its_client() {
    let mut site = Site::new(Kind::Nginx);
    let rays = refused(&mut site, 20, Wire::Closed, greedy);
    haproxy(&mut site, "CR--", "-1");
    site.report().denies(&rays, "client-blocked").denies(&rays, "rule-dropped");
}

/// A denial has a status, and reaches the visitor.
#[test]
fn haproxy_denies_openly() {
    let mut site = Site::new(Kind::Nginx);
    let answered = refused(&mut site, 20, Wire::Valid(403), greedy);
    haproxy(&mut site, "PR--", "403");
    site.report().leaves_out(&answered);
}

/// Caddy's access log; failing requests took `seconds`.
fn caddy(site: &mut Site, seconds: f64) {
    site.forget_logs();
    for row in site.rows.clone().iter().filter(|r| !r.origin_ip.is_empty()) {
        let (status, size, duration) = if row.status == 520 { (0, 0, seconds) } else { (row.status, 2_400, 0.012) };
        let at = row.end() - 2;
        let text = format!(
            r#"{{"level":"info","ts":{},"logger":"http.log.access.log0","msg":"handled request","request":{{"remote_ip":"{}","remote_port":"{}","proto":"HTTP/1.1","method":"{}","host":"{}","uri":"{}","headers":{{"User-Agent":["{}"],"Cf-Connecting-Ip":["{}"]}}}},"user_id":"","duration":{duration},"size":{size},"status":{status},"resp_headers":{{"Server":["Caddy"]}}}}"#,
            stamp(at, "%s%.3f"),
            row.edge_ip,
            30_000 + row.ray % 20_000,
            row.method,
            row.host,
            row.uri,
            row.agent,
            row.client
        );
        site.log("caddy/access.log", at, text);
    }
}

fn backups(row: Row) -> Row {
    let uri = format!("/help/page-{}.bak", row.ray % 600);
    row.asking("GET", &uri)
}

#[test]
fn caddy_aborts_a_path() {
    let mut site = Site::new(Kind::Nginx);
    let rays = refused(&mut site, 20, Wire::Closed, backups);
    caddy(&mut site, 0.0);
    site.report().proves(&rays, "rule-dropped", &["request"], "\"status\":0");
}

/// After so long a backend was asked: what it did is in no log.
#[test]
fn caddy_gave_nothing_after_seconds() {
    let mut site = Site::new(Kind::Nginx);
    let rays = refused(&mut site, 20, Wire::Closed, backups);
    caddy(&mut site, 3.2);
    site.report().denies(&rays, "rule-dropped").denies(&rays, "server-io");
}

/// nginx with `$ssl_client_verify` at the end of `combined`: what it says of closed and of answered requests.
fn verified(closed: &str, answered: &str) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    let rays: Vec<String> = (0..24)
        .map(|i| {
            let row = site.request(40_000 + i * 2_000).ended(Wire::Closed);
            let row = row.clone().lasting(row.tcp * 2 + 9);
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect();
    let changed = site.each_line(" HTTP/1.1\" ", |at, text| {
        let access = text.ends_with('"') && !text.contains("[error]");
        let word = if text.contains("\" 444 0 ") { closed } else { answered };
        Some((at, if access { format!("{text} {word}") } else { text.to_owned() }))
    });
    assert!(changed > 300);
    (site, rays)
}

#[test]
fn closes_on_whoever_shows_no_certificate() {
    let (site, rays) = verified("NONE", "SUCCESS");
    site.report().proves(&rays, "origin-pull-rejected", &["request"], "\" 444 0 ");
    let (site, rays) = verified("FAILED:certificate has expired", "SUCCESS");
    site.report().proves(&rays, "origin-pull-rejected", &["request"], "\" 444 0 ");
}

/// Nobody shows one, and most are answered; or those closed have shown one.
#[test]
fn a_certificate_that_nobody_asks_for() {
    for (closed, answered) in [("NONE", "NONE"), ("SUCCESS", "SUCCESS")] {
        let (site, rays) = verified(closed, answered);
        site.report().denies(&rays, "origin-pull-rejected");
    }
}

/// HAProxy's line of a session whose HTTP/2 failed before there was a request.
fn session_of_haproxy(status: &str, peer: impl Fn(&Row) -> String) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    haproxy(&mut site, "----", "200");
    let rays = (0..14)
        .map(|i| {
            let row = site.request(5_000 + i * 80_000 / 14).ended(Wire::Closed).lasting(40);
            let at = row.end() - 12;
            // The stamp is when the connection fell idle.
            let text = format!(
                "{} web1 haproxy[813]: {}:{} [{}] web~ web/<NOSRV> -1/-1/-1/-1/4200 {status} 0 - - PR-- 3/3/0/0/0 0/0 \"<BADREQ>\"",
                stamp(at, "%b %d %H:%M:%S"),
                peer(&row),
                30_000 + row.ray % 20_000,
                stamp(at - 4_200, "%d/%b/%Y:%H:%M:%S%.3f")
            );
            site.log("haproxy.log", at, text);
            site.silent(row)
        })
        .collect();
    (site, rays)
}

#[test]
fn http2_that_haproxy_could_not_read() {
    let (site, rays) = session_of_haproxy("0", |row| row.edge_ip.clone());
    site.report().proves(&rays, "http2-fault", &["window"], "<BADREQ>");
}

/// Over HTTP/1 a bad request is answered; and what strangers send is no failure of Cloudflare's.
#[test]
fn bad_requests_to_haproxy_near() {
    let (site, rays) = session_of_haproxy("400", |row| row.edge_ip.clone());
    site.report().denies(&rays, "http2-fault");
    let (site, rays) = session_of_haproxy("0", |_| "203.0.113.200".to_owned());
    site.report().denies(&rays, "http2-fault");
}
