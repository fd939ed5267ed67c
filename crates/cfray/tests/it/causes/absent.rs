//! What a log, a field or a row that is not there could have said: without it another cause looks the same, and none is named.

use super::moments::{offers, round_trip};
use super::processes::out_of_memory;
use super::site::{Kind, Row, Site, Wire, stamp};

/// Closes on one kind of page that took `ms` over one round trip.
fn closed_after(site: &mut Site, n: i64, ms: i64) -> Vec<String> {
    (0..n)
        .map(|i| {
            let row = site.request(4_000 + i * 80_000 / n).asking("GET", &format!("/offers/{i}")).ended(Wire::Closed);
            let header_ms = round_trip(&row) + ms;
            let row = Row { header_ms, ..row.lasting(header_ms + 2) };
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect()
}

/// nginx's combined format has no upstream's status, and its error log says nothing of a 500: an application that fails on one kind of page
/// has run before.
#[test]
fn a_close_later_than_a_round_trip_is_no_rule() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = closed_after(&mut site, 24, 6);
    site.report().denies(&rays, "rule-dropped").denies(&rays, "app-fatal").second(&rays, "rule-dropped").lacks(&rays, "$upstream_status");
}

#[test]
fn a_close_after_a_round_trip_is_a_rule() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = closed_after(&mut site, 24, 0);
    let report = site.report();
    report.proves(&rays, "rule-dropped", &["ray"], "\" 444 0 ");
    assert!(rays.iter().all(|r| report.confidence(r) > 0.9));
    // What a busy server takes over the kernel's handshake.
    let mut site = Site::new(Kind::NginxRay);
    let rays = closed_after(&mut site, 24, 2);
    site.report().proves(&rays, "rule-dropped", &["ray"], "\" 444 0 ");
}

/// Neither an error log nor the time of a round trip.
#[test]
fn closes_of_one_page_with_nothing_beside_them() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = closed_after(&mut site, 24, 0);
    site.each_line("#81", |_, _| None);
    site.report().proves(&rays, "rule-dropped", &["ray"], "\" 444 0 ");
    for row in &mut site.rows {
        (row.tcp, row.tls) = (0, 0);
    }
    site.report().denies(&rays, "rule-dropped").second(&rays, "rule-dropped").lacks(&rays, "error log");
}

/// Requests through edge addresses that a list in the access phase turns away; every `answered`th is answered before it.
fn listed(site: &mut Site, answered: i64) -> Vec<String> {
    let mut rays = Vec::new();
    for i in 0..60 {
        let mut row = site.request(3_000 + i * 1_400);
        row.edge_ip = format!("104.22.5.{}", 9 + i % 3);
        if i % answered == 0 {
            let row = row.asking("GET", "/old/vase.html").ended(Wire::Valid(301));
            site.answered(row, 301, 162);
        } else {
            let ms = row.tcp + 1;
            let row = row.ended(Wire::Closed).lasting(ms);
            rays.push(row.ray());
            site.answered(row, 444, 0);
        }
    }
    rays
}

#[test]
fn a_list_of_edge_addresses_behind_redirects() {
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = listed(&mut site, 7);
    site.report().proves(&rays, "edge-ip-blocked", &["request"], "\" 444 0 ");
}

#[test]
fn a_list_of_edge_addresses_near() {
    // As many are answered as not.
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = listed(&mut site, 2);
    site.report().denies(&rays, "edge-ip-blocked");
}

/// Requests that fail without a line on connections that were there, after one round trip and pauses of any length.
fn lost(site: &mut Site, ask: impl Fn(i64, Row) -> Row) -> Vec<String> {
    let rays = (0..24).map(|i| {
        let row = site.request(4_000 + i * 3_300);
        let ms = round_trip(&row) + 4;
        let row = ask(i, row).ended(Wire::Closed).lasting(ms).reused();
        site.silent(row)
    });
    rays.collect()
}

#[test]
fn a_race_takes_any_page() {
    let mut site = Site::new(Kind::Apache);
    let rays = lost(&mut site, |_, row| row);
    site.report().proves(&rays, "keepalive-race", &["none"], "");
    // What Cloudflare does not repeat is one form's.
    let mut site = Site::new(Kind::Apache);
    for i in 0..60 {
        let row = site.request(3_500 + i * 1_400).asking("POST", "/cart");
        site.answered(row, 200, 900);
    }
    let rays = lost(&mut site, |_, row| row.asking("POST", "/cart"));
    site.report().proves(&rays, "keepalive-race", &["none"], "");
}

#[test]
fn failures_of_one_page_are_no_race() {
    let mut site = Site::new(Kind::Apache);
    let rays = lost(&mut site, |i, row| row.asking("GET", &format!("/go/partner-{i}")));
    site.report().denies(&rays, "keepalive-race");
}

#[test]
fn an_address_that_is_refused_from_then_on_lost_no_race() {
    let mut site = Site::new(Kind::Apache);
    let rays = lost(&mut site, |i, mut row| {
        row.edge_ip = format!("172.69.12.{}", 10 + i);
        row
    });
    for (i, row) in site.rows.clone().into_iter().filter(|row| row.status == 520).enumerate() {
        let mut next = site.request(row.end() + 900 + 40 * i as i64).ended(Wire::Valid(521));
        next.edge_ip.clone_from(&row.edge_ip);
        next.colo.clone_from(&row.colo);
        site.silent(next);
        // Others are let in meanwhile.
        for after in [1_000, 1_400, 1_900, 2_600] {
            let row = site.request(row.end() + after);
            site.answered(row, 200, 1_200);
        }
    }
    site.report().denies(&rays, "keepalive-race");
}

/// nginx gives up what a worker has in hand with `000`: at one moment whatever it waited for, or each by itself.
fn given_up(site: &mut Site, at_once: bool) -> Vec<String> {
    let mut rays = Vec::new();
    for i in 0..24 {
        let end = if at_once { 20_000 + i / 6 * 20_000 + i % 6 * 15 } else { 5_000 + i * 3_300 };
        let ms = 400 + i % 6 * 290;
        let row = site.request(end - ms).asking("GET", &format!("/export/{i}")).ended(Wire::Closed).lasting(ms);
        rays.push(row.ray());
        site.answered(row, 0, 0);
    }
    site.each_line("#81", |_, _| None);
    rays
}

#[test]
fn requests_given_up_together_met_no_full_disk() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = given_up(&mut site, true);
    site.report().denies(&rays, "server-io");
    let mut site = Site::new(Kind::NginxRay);
    let rays = given_up(&mut site, false);
    site.report().proves(&rays, "server-io", &["ray"], "\" 000 0 ");
}

/// PHP's own 500 has no body, and an error page that closes is logged so, too.
#[test]
fn a_500_without_a_body_is_no_full_disk() {
    let mut site = Site::new(Kind::Nginx);
    let rays: Vec<String> = (0..12)
        .map(|i| {
            let row = site.request(4_000 + i * 6_000).ended(Wire::Closed);
            let ray = row.ray();
            site.answered(row, 500, 0);
            ray
        })
        .collect();
    site.each_line("#81", |_, _| None);
    site.report().denies(&rays, "server-io");
}

/// An ordinary answer in the log of the server that Cloudflare speaks to, or of one behind it.
fn ordinary(site: &mut Site, behind: bool) -> Vec<String> {
    (0..12)
        .map(|i| {
            let row = site.request(4_000 + i * 6_000).asking("GET", "/account/export").ended(Wire::Closed).lasting(900);
            let (client, http) = if behind { ("127.0.0.1", "1.0") } else { (row.edge_ip.as_str(), "1.1") };
            let time = stamp(row.start + 2, "%d/%b/%Y:%H:%M:%S +0000");
            let text = format!("{client} - - [{time}] \"GET {} HTTP/{http}\" 200 2174 \"-\" \"{}\"", row.uri, row.agent);
            site.log("apache2/access.log", row.end() - 3, text);
            site.silent(row)
        })
        .collect()
}

#[test]
fn an_ordinary_answer_behind_another_server_says_nothing_of_headers() {
    let mut site = Site::new(Kind::Apache);
    let rays = ordinary(&mut site, false);
    site.report().proves(&rays, "headers-too-large", &["request"], "\" 200 2174");
    let mut site = Site::new(Kind::Apache);
    let rays = ordinary(&mut site, true);
    site.report().denies(&rays, "headers-too-large");
}

const CLOSED: &str = "upstream prematurely closed connection while reading response header from upstream";

/// Why a backend closed stands in its own log.
#[test]
fn a_backend_that_closed_without_its_own_log() {
    let mut site = Site::new(Kind::Nginx);
    let rays = offers(&mut site, |site, row| site.nginx_about(row.end() - 4, "error", CLOSED, row, "http://127.0.0.1:8000/offers"));
    let report = site.report();
    report.proves(&rays, "backend-closed", &["request", "chain"], CLOSED).lacks(&rays, "application server's own log");
    assert!(rays.iter().all(|r| report.confidence(r) <= 0.8));
    for i in 0..90 {
        let at = i * 1_000;
        site.log("app.log", at, format!("{} INFO app: job {i} done", stamp(at, "%Y-%m-%d %H:%M:%S,%3f")));
    }
    let report = site.report();
    assert!(rays.iter().all(|r| report.row(r)["cause"] == "backend-closed" && report.confidence(r) > 0.9));
}

/// The kernel kills Apache's children so often that a kill is near answered requests, too.
fn kills(site: &mut Site, name: &str) -> Vec<String> {
    site.kernel_noise();
    for i in 0..60 {
        site.kernel(1_000 + i * 1_450, &out_of_memory(4_300 + i as u32, name));
    }
    site.strangers(12)
}

#[test]
fn a_kill_of_that_moment_says_no_less_than_one_of_that_minute() {
    let mut site = Site::new(Kind::Apache);
    let rays = kills(&mut site, "apache2");
    let report = site.report();
    report.proves(&rays, "oom-kill", &["window"], "Out of memory: Killed process");
    assert!(rays.iter().all(|r| report.confidence(r) <= 0.6));
    let mut site = Site::new(Kind::Apache);
    let rays = kills(&mut site, "mysqld");
    site.report().denies(&rays, "oom-kill");
}
