//! Bans and limits by address: whose address it is decides between three causes.

use super::site::{Kind, Row, Site, Wire, stamp};

const BANNED: &str = "172.70.240.27";

/// Connections from one edge address are cut, then refused.
fn ban(site: &mut Site, address: &str) -> Vec<String> {
    site.log(
        "fail2ban.log",
        1_000,
        format!("{},000 fail2ban.server [7]: INFO    Starting Fail2ban v1.0.2", stamp(1_000, "%Y-%m-%d %H:%M:%S")),
    );
    let mut rays = Vec::new();
    for round in 0..3 {
        let at = 10_000 + round * 25_000;
        let line = format!("{},120 fail2ban.actions        [7]: NOTICE  [nginx-botsearch] Ban {address}", stamp(at, "%Y-%m-%d %H:%M:%S"));
        site.log("fail2ban.log", at, line);
        for i in 0..4 {
            let mut row = site.request(at + 700 + i * 600).reused().ended(Wire::Closed).lasting(9);
            (row.edge_ip, row.colo) = (BANNED.to_owned(), "FRA".to_owned());
            rays.push(site.silent(row));
            let mut row = site.request(at + 900 + i * 600).ended(Wire::Valid(521)).lasting(9);
            (row.edge_ip, row.colo) = (BANNED.to_owned(), "FRA".to_owned());
            site.silent(row);
        }
        let unban = format!(
            "{},120 fail2ban.actions        [7]: NOTICE  [nginx-botsearch] Unban {address}",
            stamp(at + 8_000, "%Y-%m-%d %H:%M:%S")
        );
        site.log("fail2ban.log", at + 8_000, unban);
    }
    rays
}

#[test]
fn a_ban_of_the_edge_address() {
    let mut site = Site::new(Kind::Nginx);
    let rays = ban(&mut site, BANNED);
    site.report().proves(&rays, "edge-ip-blocked", &["window"], "Ban 172.70.240.27");
}

#[test]
fn a_ban_of_another_address() {
    let mut site = Site::new(Kind::Nginx);
    let rays = ban(&mut site, "198.18.7.7");
    site.report().denies(&rays, "edge-ip-blocked");
}

fn limited(site: &mut Site, visitors: u64, n: i64) -> Vec<String> {
    (0..n)
        .map(|i| {
            let mut row = site.request(5_000 + i * 80_000 / n).ended(Wire::Closed).lasting(14);
            row.client = format!("198.18.99.{}", 20 + i as u64 % visitors);
            site.nginx_about(row.end() - 3, "error", "limiting connections by zone \"greedy\"", &row, "");
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect()
}

#[test]
fn a_limit_that_hits_two_visitors() {
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = limited(&mut site, 2, 16);
    site.report().proves(&rays, "client-blocked", &["request"], "limiting connections");
}

#[test]
fn a_limit_that_hits_everybody() {
    let mut site = Site::new(Kind::NginxRealIp);
    let rays = limited(&mut site, 16, 16);
    site.report().proves(&rays, "rule-dropped", &["request"], "limiting connections");
}

fn qos(site: &mut Site, counted: impl Fn(&Row) -> String) -> Vec<String> {
    (0..12)
        .map(|i| {
            let row = site.request(6_000 + i * 6_500).ended(Wire::Closed);
            let row = row.clone().lasting(row.tcp * 2 + 4);
            let text =
                format!("mod_qos(031): access denied, QS_SrvMaxConnPerIP rule: max=6, concurrent connections=7, c={}", counted(&row));
            site.apache_error(row.end() - 3, "qos:error", 2210, None, &text);
            site.silent(row)
        })
        .collect()
}

#[test]
fn mod_qos_counted_the_edge() {
    let mut site = Site::new(Kind::Apache);
    let rays = qos(&mut site, |row| row.edge_ip.clone());
    site.report().proves(&rays, "throttled", &["window"], "QS_SrvMaxConnPerIP");
}

#[test]
fn mod_qos_counted_somebody_else() {
    let mut site = Site::new(Kind::Apache);
    let rays = qos(&mut site, |_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "throttled");
}

/// ModSecurity's counter of an address goes over its threshold; the rule drops.
fn over_the_counter(site: &mut Site, variable: &str, (status, size): (u16, u64), client: impl Fn(&Row) -> String) -> Vec<String> {
    (0..12)
        .map(|i| {
            let method = if matches!(status, 400 | 408) { "POST" } else { "GET" };
            let row = site.request(6_000 + i * 6_500).asking(method, &format!("/p/{i}-lamp")).ended(Wire::Closed).lasting(60);
            let matched = format!("Operator GT matched 12 at {variable}");
            site.modsecurity(&row, &client(&row), "connection close (phase 1)", &matched, &format!("/p/{i}-lamp"));
            let ray = row.ray();
            site.answered(row, status, size);
            ray
        })
        .collect()
}

#[test]
fn a_counter_of_modsecurity_counted_the_edge() {
    let mut site = Site::new(Kind::Apache);
    let rays = over_the_counter(&mut site, "IP:dos_counter", (403, 0), |row| row.edge_ip.clone());
    site.report().proves(&rays, "throttled", &["request", "chain"], "at IP:dos_counter");
}

/// Apache wanted to read the body of what was dropped.
#[test]
fn a_counter_of_modsecurity_dropped_a_post() {
    // Of the page that it makes nothing is sent; `%b` tells its size. Where it waited for the body it says 408.
    for answer in [(400, 0), (400, 624), (408, 0)] {
        let mut site = Site::new(Kind::Apache);
        let rays = over_the_counter(&mut site, "IP:dos_counter", answer, |row| row.edge_ip.clone());
        site.report().proves(&rays, "throttled", &["request", "chain"], "at IP:dos_counter");
    }
}

/// Bytes on the wire: the 400 went out, so the line beside it is of another request.
#[test]
fn a_400_that_was_sent_was_not_dropped() {
    let mut site = Site::new(Kind::ApacheIo);
    let rays = over_the_counter(&mut site, "IP:dos_counter", (400, 624), |row| row.edge_ip.clone());
    site.report().denies(&rays, "throttled");
}

/// The lines name another client.
#[test]
fn a_counter_of_modsecurity_dropped_somebody_elses_post() {
    let mut site = Site::new(Kind::Apache);
    let rays = over_the_counter(&mut site, "IP:dos_counter", (400, 624), |_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "throttled");
}

/// Drops without an access line: Apache writes it when it gives up waiting for the body, if at all.
fn dropped_without_a_line(site: &mut Site, client: impl Fn(&Row) -> String, page: &str) -> Vec<String> {
    (0..12)
        .map(|i| {
            let row = site.request(6_000 + i * 6_500).asking("POST", "/basket?add=7").ended(Wire::Closed).lasting(60);
            site.modsecurity(&row, &client(&row), "connection close (phase 1)", "Operator GT matched 12 at IP:dos_counter", page);
            site.silent(row)
        })
        .collect()
}

#[test]
fn a_drop_whose_access_line_is_missing() {
    let mut site = Site::new(Kind::Apache);
    let rays = dropped_without_a_line(&mut site, |row| row.edge_ip.clone(), "/basket");
    site.report().proves(&rays, "throttled", &["chain"], "at IP:dos_counter");
}

#[test]
fn a_drop_whose_access_line_is_missing_near() {
    let mut site = Site::new(Kind::Apache);
    let rays = dropped_without_a_line(&mut site, |_| "198.18.7.7".to_owned(), "/basket");
    site.report().denies(&rays, "throttled");
    let mut site = Site::new(Kind::Apache);
    let rays = dropped_without_a_line(&mut site, |row| row.edge_ip.clone(), "/cart");
    site.report().denies(&rays, "throttled");
}

/// Everybody's counter, and a score of the request itself.
#[test]
fn a_counter_of_modsecurity_that_is_no_address() {
    for variable in ["GLOBAL:requests", "TX:blocking_inbound_anomaly_score"] {
        let mut site = Site::new(Kind::Apache);
        let rays = over_the_counter(&mut site, variable, (403, 0), |row| row.edge_ip.clone());
        site.report().denies(&rays, "throttled");
    }
}

/// nginx's stream module in front of Apache closes new connections, one a 520. It knows addresses and no requests.
fn in_front(site: &mut Site, text: &str, address: impl Fn(&Row) -> String) -> Vec<String> {
    (0..12)
        .map(|i| {
            let row = site.request(6_000 + i * 6_500).ended(Wire::Closed);
            let row = row.clone().lasting(row.tcp * 2 + 2);
            let at = row.end() - row.tcp / 2;
            let head = format!("{} [error] 980#980: *{}", stamp(at, "%Y/%m/%d %H:%M:%S"), 159 + i);
            site.log("stream/error.log", at, format!("{head} {text}, client: {}, server: 192.0.2.10:80", address(&row)));
            site.silent(row)
        })
        .collect()
}

const STREAM_LIMIT: &str = "limiting connections by zone \"peraddr\" while initializing session";
const STREAM_LIST: &str = "access forbidden by rule while initializing session";

#[test]
fn a_limit_of_the_stream_module_counted_the_edge() {
    for text in [STREAM_LIMIT, "limiting connections by zone \"peraddr\" while initializing connection"] {
        let mut site = Site::new(Kind::Apache);
        let rays = in_front(&mut site, text, |row| row.edge_ip.clone());
        site.report().proves(&rays, "throttled", &["window"], "limiting connections by zone");
    }
}

#[test]
fn a_limit_of_the_stream_module_counted_somebody_else_or_nothing() {
    let mut site = Site::new(Kind::Apache);
    let rays = in_front(&mut site, STREAM_LIMIT, |_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "throttled");
    let mut site = Site::new(Kind::Apache);
    let dry = "limiting connections, dry run, by zone \"peraddr\" while initializing session";
    let rays = in_front(&mut site, dry, |row| row.edge_ip.clone());
    site.report().denies(&rays, "throttled");
}

/// The limit is on connections that open: a request on an older one met something else.
#[test]
fn a_limit_of_the_stream_module_spares_open_connections() {
    let mut site = Site::new(Kind::Apache);
    let rays = in_front(&mut site, STREAM_LIMIT, |row| row.edge_ip.clone());
    for row in site.rows.iter_mut().filter(|row| rays.contains(&row.ray())) {
        *row = row.clone().reused();
    }
    site.report().denies(&rays, "throttled");
}

#[test]
fn a_list_of_the_stream_module_refuses_the_edge() {
    let mut site = Site::new(Kind::Apache);
    let rays = in_front(&mut site, STREAM_LIST, |row| row.edge_ip.clone());
    site.report().proves(&rays, "edge-ip-blocked", &["window"], "access forbidden by rule");
}

#[test]
fn a_list_of_the_stream_module_refuses_somebody_else() {
    let mut site = Site::new(Kind::Apache);
    let rays = in_front(&mut site, STREAM_LIST, |_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "edge-ip-blocked");
}

/// A job filtered to failures: what blocked visitors are compared with stands in the access log only.
fn failures_only(kind: Kind) -> (Site, Vec<String>) {
    let mut site = Site::new(kind);
    let rays = super::blocked::by_agent(&mut site, Wire::Closed);
    site.rows.retain(|r| r.status >= 500);
    (site, rays)
}

#[test]
fn a_failures_only_job_is_compared_with_the_access_log() {
    for kind in [Kind::Nginx, Kind::NginxRealIp] {
        let (site, rays) = failures_only(kind);
        let report = site.report_thin();
        report.proves(&rays, "client-blocked", &["request"], "GreedyBot");
    }
}

#[test]
fn without_answers_in_it_nobody_is_known_to_be_singled_out() {
    let (mut site, rays) = failures_only(Kind::Nginx);
    assert!(site.each_line("\" 200 ", |_, _| None) > 100);
    let report = site.report_thin();
    assert!(rays.iter().all(|r| report.row(r)["cause"] != "client-blocked" || report.confidence(r) <= 0.6), "{}", report.csv);
}
