//! Answers that Cloudflare cannot take: headers-too-large, malformed-response, backend-closed.

use super::site::{Kind, Site, Wire};

/// Answers of the same size on the wire; the excess is header or body.
fn large(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..11)
        .map(|i| {
            let row = site.request(5_000 + i * 7_300).asking("GET", &format!("/account/orders?from={}", 700 + i)).ended(wire);
            let (body, header) = match wire {
                Wire::Closed => (4_810, 139_400 + 7 * i as u64),
                Wire::Valid(_) => (143_900, 410),
            };
            site.access(&row, 200, body, body + header);
            site.silent(row)
        })
        .collect()
}

/// Apache's `combinedio`, told.
const COMBINEDIO: &str = "*/access.log=%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %I %O";

#[test]
fn headers_too_large() {
    let mut site = Site::new(Kind::ApacheIo);
    let rays = large(&mut site, Wire::Closed);
    let report = site.write().report_with(&["logs", "--log-format", COMBINEDIO]);
    report.proves(&rays, "headers-too-large", &["request"], "GET /account/orders?from=7");
    assert!(rays.iter().all(|r| report.confidence(r) > 0.9 && report.row(r)["evidence"].contains("header of 1394")), "{}", report.csv);
}

/// The same without being told what the last two columns are.
#[test]
fn headers_too_large_in_combinedio() {
    let mut site = Site::new(Kind::ApacheIo);
    let rays = large(&mut site, Wire::Closed);
    let report = site.report();
    report.proves(&rays, "headers-too-large", &["request"], "GET /account/orders?from=7");
    assert!(rays.iter().all(|r| report.confidence(r) > 0.9), "{}", report.csv);
}

/// Debian's `combined` has %O for its only size: what is usual on that path tells.
#[test]
fn headers_too_large_by_one_column() {
    let mut site = Site::new(Kind::Apache);
    let rays: Vec<String> = (0..11)
        .map(|i| {
            let row = site.request(5_000 + i * 7_300).asking("GET", &format!("/account/orders?from={}", 700 + i)).ended(Wire::Closed);
            site.access(&row, 200, 144_300, 0);
            site.silent(row)
        })
        .collect();
    site.report().proves(&rays, "headers-too-large", &["request"], "GET /account/orders?from=7");
}

/// A page of which no answer got through: Apache's %O counts its header, nginx's $body_bytes_sent does not.
#[test]
fn headers_too_large_by_one_column_without_others() {
    for (kind, at_most) in [(Kind::Apache, 0.9), (Kind::Nginx, 0.5)] {
        let mut site = Site::new(kind);
        let rays: Vec<String> = (0..11)
            .map(|i| {
                let row = site.request(5_000 + i * 7_300).asking("GET", &format!("/export/{i}/stock.csv")).ended(Wire::Closed);
                site.access(&row, 200, 186_300, 0);
                site.silent(row)
            })
            .collect();
        let report = site.report();
        for ray in &rays {
            let named = report.row(ray)["cause"] == "headers-too-large" && report.confidence(ray) > at_most - 0.2;
            assert!(report.confidence(ray) <= at_most && (named || kind == Kind::Nginx), "{:#?}", report.row(ray));
        }
    }
}

#[test]
fn headers_too_large_near() {
    let mut site = Site::new(Kind::ApacheIo);
    let answered = large(&mut site, Wire::Valid(200));
    let strangers = site.strangers(7);
    // Ordinary answers that Cloudflare refused all the same: whatever it was, not the size.
    let small: Vec<String> = (0..7)
        .map(|i| {
            let row = site.request(6_100 + i * 11_000).asking("GET", &format!("/api/stock/{}", 10 + i)).ended(Wire::Closed);
            site.access(&row, 200, 640, 1_010);
            site.silent(row)
        })
        .collect();
    let report = site.write().report_with(&["logs", "--log-format", COMBINEDIO]);
    report.leaves_out(&answered).denies(&strangers, "headers-too-large").denies(&small, "headers-too-large");
}

/// Without any size it is a guess, and malformed-response is the other one.
#[test]
fn headers_too_large_without_sizes() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = large(&mut site, Wire::Closed);
    let report = site.report();
    for ray in &rays {
        let row = report.row(ray);
        let guess = if row["cause"] == "unknown" { &row["runner_up"] } else { &row["cause"] };
        assert_eq!(guess, "headers-too-large", "{row:#?}");
        assert!(row["cause"] == "unknown" || (report.confidence(ray) <= 0.5 && row["runner_up"] == "malformed-response"), "{row:#?}");
    }
    report.lacks(&rays, "$bytes_sent");
}

/// The backend's answer has no status line, or a header line that is none.
fn bad_answer(site: &mut Site, wire: Wire, text: &str, logged: u16) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(7_500 + i * 8_600).asking("GET", &format!("/legacy/feed/{i}")).ended(wire);
            let text = format!("{text} while reading response header from upstream");
            site.nginx_about(row.end() - 4, "error", &text, &row, "http://127.0.0.1:9100/legacy/feed");
            let ray = row.ray();
            site.answered(row, logged, if logged == 444 { 0 } else { 31 });
            ray
        })
        .collect()
}

#[test]
fn malformed_response() {
    let mut site = Site::new(Kind::Nginx);
    let rays = bad_answer(&mut site, Wire::Closed, "upstream sent no valid HTTP/1.0 header", 9);
    site.report().proves(&rays, "malformed-response", &["request"], "upstream sent no valid HTTP/1.0 header");
}

#[test]
fn malformed_response_behind_444() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = bad_answer(&mut site, Wire::Closed, "upstream sent invalid header: \"<html>\\x0d...\"", 444);
    site.report().proves(&rays, "malformed-response", &["ray"], "upstream sent invalid header");
}

#[test]
fn malformed_response_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = bad_answer(&mut site, Wire::Valid(502), "upstream sent invalid header: \"<html>\\x0d...\"", 502);
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "malformed-response").denies(&closed, "malformed-response");
}

/// A script that writes its own header, and not a good one.
fn script(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(7_500 + i * 8_600).asking("GET", &format!("/cgi-bin/nph-status.cgi?probe={i}")).ended(wire);
            let text = "AH01215: status.cgi: worker table has no entry 7: /usr/lib/cgi-bin/nph-status.cgi";
            site.apache_error(row.end() - 8, "cgi:error", 2251, Some(&row.edge_ip.clone()), text);
            let ray = row.ray();
            site.answered(row, 200, 88);
            ray
        })
        .collect()
}

#[test]
fn malformed_response_of_a_script() {
    let mut site = Site::new(Kind::Apache);
    let rays = script(&mut site, Wire::Closed);
    site.report().proves(&rays, "malformed-response", &["request"], "AH01215: status.cgi");
}

#[test]
fn malformed_response_of_a_script_near() {
    let mut site = Site::new(Kind::Apache);
    let answered = script(&mut site, Wire::Valid(200));
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "malformed-response");
}

/// The backend hangs up. On the first request of a connection Apache answers 502, and says so by AH00898.
fn hung_up(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..10)
        .map(|i| {
            let mut row = site.request(6_000 + i * 8_100).asking("POST", &format!("/api/orders/{}", 90 + i)).ended(wire);
            if wire == Wire::Closed {
                row = row.reused();
            }
            let (pid, at) = (2300 + i as u32, row.end() - 6);
            let text = "(20014)Internal error (specific information not available): AH01102: error reading status line from remote server 127.0.0.1:3000";
            site.apache_error(at, "proxy_http:error", pid, Some(&row.edge_ip.clone()), text);
            if wire != Wire::Closed {
                let text = format!("AH00898: Error reading from remote server returned by {}", row.uri);
                site.apache_error(at, "proxy:error", pid, Some(&row.edge_ip.clone()), &text);
            }
            let ray = row.ray();
            site.answered(row, 502, if wire == Wire::Closed { 0 } else { 341 });
            ray
        })
        .collect()
}

#[test]
fn backend_closed() {
    let mut site = Site::new(Kind::Apache);
    let rays = hung_up(&mut site, Wire::Closed);
    site.report().proves(&rays, "backend-closed", &["request", "chain"], "AH01102: error reading status line");
}

#[test]
fn backend_closed_near() {
    let mut site = Site::new(Kind::Apache);
    let answered = hung_up(&mut site, Wire::Valid(502));
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "backend-closed");
}

/// A backend behind nginx hangs up: a valid 502, unless a rule hides it.
fn hung_up_behind_nginx(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(6_500 + i * 8_300).asking("GET", &format!("/app/board/{}", 20 + i)).ended(wire);
            let text = "upstream prematurely closed connection while reading response header from upstream";
            site.nginx_about(row.end() - 5, "error", text, &row, "http://127.0.0.1:3000/app/board");
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => site.answered(row, s, 157),
            }
            ray
        })
        .collect()
}

#[test]
fn backend_closed_behind_444() {
    let mut site = Site::new(Kind::Nginx);
    let rays = hung_up_behind_nginx(&mut site, Wire::Closed);
    site.report().proves(&rays, "backend-closed", &["request"], "upstream prematurely closed connection");
}

#[test]
fn backend_closed_behind_444_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = hung_up_behind_nginx(&mut site, Wire::Valid(502));
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "backend-closed").denies(&closed, "backend-closed");
}
