//! Closed on purpose: edge-ip-blocked, client-blocked, rule-dropped, throttled.

use super::site::{Kind, Site, Wire};

/// Rows of the background that hold a property are refused: closed, or with an open 403.
fn refuse(site: &mut Site, wire: Wire, n: i64, make: impl Fn(&mut Site, i64) -> super::site::Row) -> Vec<String> {
    (0..n)
        .map(|i| {
            let at = 4_000 + i * 82_000 / n;
            let row = make(site, at).ended(wire);
            // The handshake of a new connection, and one round trip more.
            let row = super::site::Row { header_ms: row.tcp + 1, ..row.clone().lasting(row.tcp * 2 + 9) };
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => {
                    site.nginx_about(row.end() - 2, "error", "access forbidden by rule", &row, "");
                    site.answered(row, s, 153);
                }
            }
            ray
        })
        .collect()
}

pub fn by_edge(site: &mut Site, wire: Wire) -> Vec<String> {
    let edges = ["172.71.3.14", "172.71.3.88", "104.22.5.9"];
    refuse(site, wire, 24, |site, at| {
        let mut row = site.request(at);
        let i = site.dice.below(3) as usize;
        edges[i].clone_into(&mut row.edge_ip);
        ["FRA", "FRA", "CDG"][i].clone_into(&mut row.colo);
        (row.tcp, row.tls) = (9, 11);
        row
    })
}

#[test]
fn edge_ip_blocked() {
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = by_edge(&mut site, Wire::Closed);
    let report = site.report();
    report.proves(&rays, "edge-ip-blocked", &["request"], "\" 444 0 ");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("Cloudflare edge")));
}

#[test]
fn edge_ip_blocked_near() {
    let mut site = Site::new(Kind::NginxRealIp);
    let answered = by_edge(&mut site, Wire::Valid(403));
    let closed = site.closed_strangers(12);
    let strangers = site.strangers(6);
    site.report().leaves_out(&answered).denies(&closed, "edge-ip-blocked").denies(&strangers, "edge-ip-blocked");
}

pub fn by_agent(site: &mut Site, wire: Wire) -> Vec<String> {
    refuse(site, wire, 20, |site, at| {
        let mut row = site.request(at);
        "Mozilla/5.0 (compatible; GreedyBot/3.1; +https://greedy.example/bot)".clone_into(&mut row.agent);
        row.client = format!("192.0.2.{}", 200 + site.dice.below(4));
        row
    })
}

#[test]
fn client_blocked() {
    let mut site = Site::new(Kind::Nginx);
    let rays = by_agent(&mut site, Wire::Closed);
    let report = site.report();
    report.proves(&rays, "client-blocked", &["request"], "GreedyBot");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("closing follows the")));
}

#[test]
fn client_blocked_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = by_agent(&mut site, Wire::Valid(403));
    let closed = site.closed_strangers(12);
    let strangers = site.strangers(6);
    site.report().leaves_out(&answered).denies(&closed, "client-blocked").denies(&strangers, "client-blocked");
}

fn by_path(site: &mut Site, wire: Wire) -> Vec<String> {
    refuse(site, wire, 16, |site, at| site.request(at).asking("POST", "/xmlrpc.php"))
}

#[test]
fn rule_dropped_by_path() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = by_path(&mut site, Wire::Closed);
    site.report().proves(&rays, "rule-dropped", &["ray"], "POST /xmlrpc.php HTTP/1.1\" 444 0");
}

#[test]
fn rule_dropped_by_path_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = by_path(&mut site, Wire::Valid(403));
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "rule-dropped");
}

/// A rate limit for everybody, or one for each address with edge addresses in place of visitors'.
fn limited(site: &mut Site, wire: Wire, text: &str) -> Vec<String> {
    (0..14)
        .map(|i| {
            let row = site.request(22_000 + i * 2_900).ended(wire).lasting(35);
            site.nginx_about(row.end() - 4, "error", text, &row, "");
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => site.answered(row, s, 190),
            }
            ray
        })
        .collect()
}

const REQUESTS: &str = "limiting requests, excess: 20.410 by zone \"everybody\"";
const CONNECTIONS: &str = "limiting connections by zone \"peraddr\"";

#[test]
fn rule_dropped_by_rate() {
    let mut site = Site::new(Kind::Nginx);
    let rays = limited(&mut site, Wire::Closed, REQUESTS);
    site.report().proves(&rays, "rule-dropped", &["request"], REQUESTS);
}

#[test]
fn rule_dropped_by_rate_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = limited(&mut site, Wire::Valid(503), REQUESTS);
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "rule-dropped");
}

/// ModSecurity: drop closes (version 2), deny answers; Apache logs 403 for both.
fn modsecurity(site: &mut Site, wire: Wire) -> Vec<String> {
    modsecurity_at(site, wire, "ARGS:q")
}

/// By a rule that looked at one variable; all of its requests are for one page.
fn modsecurity_at(site: &mut Site, wire: Wire, variable: &str) -> Vec<String> {
    (0..9)
        .map(|i| {
            let uri = format!("/find?q=1%27%20OR%20{i}");
            let row = site.request(9_000 + i * 8_400).asking("GET", &uri).ended(wire).lasting(60);
            let how = if wire == Wire::Closed { "connection close" } else { "code 403" };
            let matched = format!("Pattern match \"OR\" at {variable}");
            site.modsecurity(&row, &row.edge_ip, &format!("{how} (phase 2)"), &matched, "/find");
            let ray = row.ray();
            site.answered(row, 403, 424);
            ray
        })
        .collect()
}

#[test]
fn rule_dropped_by_modsecurity() {
    let mut site = Site::new(Kind::Apache);
    let rays = modsecurity(&mut site, Wire::Closed);
    site.report().proves(&rays, "rule-dropped", &["request", "chain"], "Access denied with connection close");
}

/// What the rule says that it looked at counts more than what its closes happen to share.
#[test]
fn client_blocked_by_modsecurity_although_all_asked_for_one_page() {
    let mut site = Site::new(Kind::Apache);
    let rays = modsecurity_at(&mut site, Wire::Closed, "REQUEST_HEADERS:CF-IPCountry");
    site.report().proves(&rays, "client-blocked", &["request", "chain"], "at REQUEST_HEADERS:CF-IPCountry");
}

#[test]
fn rule_dropped_by_modsecurity_near() {
    let mut site = Site::new(Kind::Apache);
    let answered = modsecurity(&mut site, Wire::Valid(403));
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "rule-dropped");
}

#[test]
fn throttled() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = limited(&mut site, Wire::Closed, CONNECTIONS);
    site.report().proves(&rays, "throttled", &["ray"], CONNECTIONS);
}

#[test]
fn throttled_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = limited(&mut site, Wire::Valid(503), CONNECTIONS);
    let strangers = site.strangers(9);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "throttled").denies(&closed, "throttled");
}

/// The line counted a visitor: addresses are restored, so Cloudflare is not taken for one.
#[test]
fn a_limit_on_visitors_is_not_throttled() {
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = limited(&mut site, Wire::Closed, CONNECTIONS);
    site.report().proves(&rays, "rule-dropped", &["request"], CONNECTIONS);
}

/// LiteSpeed counts connections by address.
fn litespeed(site: &mut Site, wire: Wire, counted: &str) -> Vec<String> {
    for i in 0..30 {
        let time = super::site::stamp(i * 3_000, "%Y-%m-%d %H:%M:%S%.6f");
        site.log("lsws/error.log", i * 3_000, format!("{time} [NOTICE] [9021] [T0] [ACME] certificate check {i} done"));
    }
    let mut rays = Vec::new();
    for burst in [12_000, 26_000, 43_000, 59_000, 77_000] {
        for i in 0..3 {
            let row = site.request(burst + 90 * i).ended(wire);
            let row = row.clone().lasting(row.tcp * 2 + 8);
            let at = row.end() - 8;
            let who = if counted.is_empty() { &row.edge_ip } else { counted };
            let time = super::site::stamp(at, "%Y-%m-%d %H:%M:%S%.6f");
            let text =
                format!("{time} [NOTICE] [9021] [{who}] Reached per client hard connection limit: 50, current: 51, close connection!");
            site.log("lsws/error.log", at, text);
            rays.push(row.ray());
            match wire {
                Wire::Closed => site.rows.push(row),
                Wire::Valid(s) => site.answered(row, s, 2_020),
            }
        }
    }
    rays
}

#[test]
fn throttled_by_litespeed() {
    let mut site = Site::new(Kind::Apache);
    let rays = litespeed(&mut site, Wire::Closed, "");
    site.report().proves(&rays, "throttled", &["window"], "Reached per client hard connection limit");
}

#[test]
fn throttled_by_litespeed_near() {
    let mut site = Site::new(Kind::Apache);
    let answered = litespeed(&mut site, Wire::Valid(503), "");
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "throttled");
}

/// It counted somebody who came past Cloudflare.
#[test]
fn throttled_by_litespeed_near_another_address() {
    let mut site = Site::new(Kind::Apache);
    let rays = litespeed(&mut site, Wire::Closed, "198.18.44.5");
    site.report().denies(&rays, "throttled");
}

/// A visitor of whom most is closed has an edge address nearly for himself: that is no block of the address.
#[test]
fn edge_ip_blocked_near_one_visitor_s_address() {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for i in 0..70 {
        let mut row = site.request(4_000 + i * 1_200).asking("GET", &format!("/p/{}-lamp", 100 + i));
        (row.colo, row.edge_ip, row.tcp, row.client) = ("FRA".to_owned(), "172.70.240.99".to_owned(), 8, "203.0.113.199".to_owned());
        if i % 7 == 0 {
            site.answered(row.lasting(60), 200, 4_000);
            continue;
        }
        let row = row.ended(Wire::Closed).lasting(61);
        site.access(&row, 444, 0, 0);
        rays.push(site.silent(row));
    }
    site.report().denies(&rays, "edge-ip-blocked");
}
