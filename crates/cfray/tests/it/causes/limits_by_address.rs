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
fn over_the_counter(site: &mut Site, variable: &str, status: u16, client: impl Fn(&Row) -> String) -> Vec<String> {
    (0..12)
        .map(|i| {
            let method = if status == 400 { "POST" } else { "GET" };
            let row = site.request(6_000 + i * 6_500).asking(method, &format!("/p/{i}-lamp")).ended(Wire::Closed).lasting(60);
            let text = format!(
                "[client {0}] ModSecurity: Access denied with connection close (phase 1). Operator GT matched 12 at {variable}. [file \"/etc/modsecurity/dos.conf\"] [line \"61\"] [id \"912120\"] [hostname \"{1}\"] [uri \"/p/{i}-lamp\"] [unique_id \"aSGw3H8AAQEAAAT{i}\"]",
                client(&row),
                row.host
            );
            site.apache_error(row.end() - 20, "security2:error", 2240, Some(&client(&row)), &text);
            let ray = row.ray();
            site.answered(row, status, 0);
            ray
        })
        .collect()
}

#[test]
fn a_counter_of_modsecurity_counted_the_edge() {
    let mut site = Site::new(Kind::Apache);
    let rays = over_the_counter(&mut site, "IP:dos_counter", 403, |row| row.edge_ip.clone());
    site.report().proves(&rays, "throttled", &["request", "chain"], "at IP:dos_counter");
}

/// Apache wanted to read the body of what was dropped.
#[test]
fn a_counter_of_modsecurity_dropped_a_post() {
    let mut site = Site::new(Kind::Apache);
    let rays = over_the_counter(&mut site, "IP:dos_counter", 400, |row| row.edge_ip.clone());
    site.report().proves(&rays, "throttled", &["request", "chain"], "at IP:dos_counter");
}

/// The lines name another client.
#[test]
fn a_counter_of_modsecurity_dropped_somebody_elses_post() {
    let mut site = Site::new(Kind::Apache);
    let rays = over_the_counter(&mut site, "IP:dos_counter", 400, |_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "throttled");
}

/// Everybody's counter, and a score of the request itself.
#[test]
fn a_counter_of_modsecurity_that_is_no_address() {
    for variable in ["GLOBAL:requests", "TX:blocking_inbound_anomaly_score"] {
        let mut site = Site::new(Kind::Apache);
        let rays = over_the_counter(&mut site, variable, 403, |row| row.edge_ip.clone());
        site.report().denies(&rays, "throttled");
    }
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
