//! Connections that end before an answer: keepalive-race, http2-fault, proxy-protocol,
//! origin-pull-rejected, request-rejected.

use super::site::{Kind, Row, Site, Wire};

/// Colos of the failing connections and their distance.
const FROM: [(&str, i64); 3] = [("CDG", 20), ("IAD", 92), ("SIN", 168)];

/// A pair of requests over one connection of an edge address of its own: one that is answered, and one
/// after a pause.
fn pair(site: &mut Site, i: i64, pause: i64) -> (Row, Row) {
    let (colo, rtt) = FROM[(i % 3) as usize];
    let mut first = site.request(3_000 + i * 4_100);
    colo.clone_into(&mut first.colo);
    first.edge_ip = format!("172.69.12.{}", 10 + i);
    (first.tcp, first.tls) = (rtt, rtt + 3);
    first = first.lasting(rtt + 40);
    let mut second = site.request(first.end() + pause);
    (second.colo, second.edge_ip) = (first.colo.clone(), first.edge_ip.clone());
    (second.tcp, second.tls) = (first.tcp, first.tls);
    (first, second)
}

/// Requests that come when Apache's five seconds are over. Closed: over the connection that is being
/// closed. Valid: Cloudflare has seen the close and opened another.
pub fn race(site: &mut Site, wire: Wire, pause: impl Fn(i64) -> i64) -> Vec<String> {
    (0..18)
        .map(|i| {
            let (first, second) = pair(site, i, pause(i));
            let rtt = first.tcp;
            site.answered(first, 200, 4_100);
            let second = second.ended(wire);
            let ray = second.ray();
            match wire {
                Wire::Closed => site.rows.push(second.lasting(rtt + 4).reused()),
                Wire::Valid(s) => site.answered(second, s, 4_100),
            }
            ray
        })
        .collect()
}

/// At the end of Apache's KeepAliveTimeout, within half a round trip.
pub const fn at_five_seconds(i: i64) -> i64 {
    4_985 + (i * 37) % 60
}

#[test]
fn keepalive_race() {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, at_five_seconds);
    let report = site.report();
    report.proves(&rays, "keepalive-race", &["none"], "");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("reused connection (TCP 0 ms, TLS 0 ms)")));
    assert!(rays.iter().all(|r| report.confidence(r) > 0.8), "{}", report.csv);
}

/// The same requests at the same pauses were answered; others fail on reused connections, but seconds after.
#[test]
fn keepalive_race_near() {
    let mut site = Site::new(Kind::Apache);
    let answered = race(&mut site, Wire::Valid(200), at_five_seconds);
    let slow: Vec<String> = (0..9)
        .map(|i| {
            let row = site.request(6_000 + i * 8_800).ended(Wire::Closed).lasting(1_900 + 120 * i).reused();
            site.silent(row)
        })
        .collect();
    site.report().leaves_out(&answered).denies(&slow, "keepalive-race");
}

/// Without a pause that they share it is no more than likely.
#[test]
fn keepalive_race_without_a_common_pause() {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, |i| 250 + (i * 1_237) % 4_300);
    let report = site.report();
    for ray in &rays {
        let row = report.row(ray);
        assert!(row["cause"] == "unknown" || report.confidence(ray) <= 0.6, "{row:#?}");
    }
}

/// Each of them was on a child that died.
#[test]
fn keepalive_race_near_with_deaths() {
    let mut site = Site::new(Kind::Apache);
    let rays: Vec<String> = (0..12)
        .map(|i| {
            let (first, second) = pair(&mut site, i, 900 + (i * 431) % 2_900);
            let rtt = first.tcp;
            site.answered(first, 200, 4_100);
            let row = second.ended(Wire::Closed).lasting(rtt + 4).reused();
            let text = format!("AH00052: child pid {} exit signal Segmentation fault (11)", 14_500 + i);
            site.apache_error(row.end() + 300, "core:notice", 2200, None, &text);
            site.silent(row)
        })
        .collect();
    site.report().denies(&rays, "keepalive-race").proves(&rays, "worker-crash", &["window"], "AH00052");
}

/// A terminator in front offers HTTP/2, the server behind reads its preface and says 400. Cloudflare loses
/// what it had put on that connection, or asks again over HTTP/1.1.
fn preface(site: &mut Site, wire: Wire, from: &str) -> Vec<String> {
    let mut rays = Vec::new();
    for burst in [14_000, 29_000, 51_000, 74_000] {
        for i in 0..4 {
            let row = site.request(burst + 31 * i).ended(wire).lasting(70);
            let text = format!(
                "{from} - - [{}] \"PRI * HTTP/2.0\" 400 157 \"-\" \"-\"",
                super::site::stamp(row.end() - 20, "%d/%b/%Y:%H:%M:%S +0000")
            );
            site.log("nginx/access.log", row.end() - 20, text);
            rays.push(row.ray());
            match wire {
                Wire::Closed => site.rows.push(row),
                Wire::Valid(s) => site.answered(row, s, 3_300),
            }
        }
    }
    rays
}

#[test]
fn http2_fault() {
    let mut site = Site::new(Kind::Nginx);
    let rays = preface(&mut site, Wire::Closed, "127.0.0.1");
    site.report().proves(&rays, "http2-fault", &["window"], "PRI * HTTP/2.0");
}

#[test]
fn http2_fault_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = preface(&mut site, Wire::Valid(200), "127.0.0.1");
    let strangers = site.strangers(8);
    site.report().leaves_out(&answered).denies(&strangers, "http2-fault");
}

/// The same from a server with a JSON log and a syslog header in front: the client's column stands far behind.
fn preface_in_json(site: &mut Site, from: &str) -> Vec<String> {
    let mut rays = Vec::new();
    for burst in [14_000, 29_000, 51_000, 74_000] {
        for i in 0..4 {
            let row = site.request(burst + 31 * i).ended(Wire::Closed).lasting(70);
            let at = row.end() - 20;
            let text = format!(
                "{} web1 nginx: {{\"time_local\":\"{}\",\"host\":\"127.0.0.1\",\"remote_addr\":\"{from}\",\"request\":\"PRI * HTTP/2.0\",\"status\":\"400\",\"body_bytes_sent\":\"157\",\"http_user_agent\":\"\"}}",
                super::site::stamp(at, "%b %e %H:%M:%S"),
                super::site::stamp(at, "%d/%b/%Y:%H:%M:%S +0000")
            );
            site.log("syslog", at, text);
            rays.push(row.ray());
            site.rows.push(row);
        }
    }
    rays
}

#[test]
fn http2_fault_in_json_through_syslog() {
    let mut site = Site::new(Kind::Nginx);
    let rays = preface_in_json(&mut site, "127.0.0.1");
    site.report().proves(&rays, "http2-fault", &["window"], "PRI * HTTP/2.0");
}

/// The local address stands in another column; the client's is a stranger's.
#[test]
fn http2_fault_near_scanner_in_json() {
    let mut site = Site::new(Kind::Nginx);
    let rays = preface_in_json(&mut site, "198.18.7.7");
    site.report().denies(&rays, "http2-fault");
}

/// The prefaces are a scanner's.
#[test]
fn http2_fault_near_scanner() {
    let mut site = Site::new(Kind::Nginx);
    let rays = preface(&mut site, Wire::Closed, "198.18.7.7");
    site.report().denies(&rays, "http2-fault");
}

/// A listener that waits for a PROXY header; on a TLS port the same is a failed handshake.
fn waits_for_proxy(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..18)
        .map(|i| {
            let mut row = site.request(30_000 + i * 1_700).ended(wire).lasting(48);
            "status.example.com".clone_into(&mut row.host);
            row.origin_tls = if wire == Wire::Closed { "none" } else { "unknown" }.to_owned();
            row.tls = 0;
            let text = format!(
                "{} [error] 814#814: *{} broken header: \"{} {} HTTP/1.1\r\nHost: {}\r\nConnection: Keep-Alive\r\nCF-RAY: {}-{}\r\nCF-Connecting-IP: {}\r\nUser-Agent: {}\r\n\r\n\" while reading PROXY protocol, client: {}, server: 0.0.0.0:80",
                super::site::stamp(row.end() - 10, "%Y/%m/%d %H:%M:%S"), 9_000 + i, row.method, row.uri, row.host, row.ray(), row.colo, row.client, row.agent, row.edge_ip
            );
            site.log("nginx/error.log", row.end() - 10, text);
            site.silent(row)
        })
        .collect()
}

#[test]
fn proxy_protocol() {
    let mut site = Site::new(Kind::Nginx);
    let rays = waits_for_proxy(&mut site, Wire::Closed);
    site.report().proves(&rays, "proxy-protocol", &["window", "ray", "request"], "broken header:");
}

#[test]
fn proxy_protocol_near() {
    let mut site = Site::new(Kind::Nginx);
    let neighbours = waits_for_proxy(&mut site, Wire::Valid(525));
    let strangers = site.strangers(12);
    site.report().leaves_out(&neighbours).denies(&strangers, "proxy-protocol");
}

/// The listener has an address of its own, which owns no line of any request. Whose it is, of two servers, the peers tell that
/// its lines name.
pub fn proxy_listener_apart(peers: fn(&str) -> String) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    let rays = waits_for_proxy(&mut site, Wire::Closed);
    for row in site.rows.iter_mut().filter(|row| rays.contains(&row.ray())) {
        "192.0.2.78".clone_into(&mut row.origin_ip);
    }
    let changed = site.each_line("broken header:", |at, text| {
        let (quoted, tail) = text.rsplit_once(", client: ")?;
        let (peer, rest) = tail.split_once(", ")?;
        Some((at, format!("{quoted}, client: {}, {rest}", peers(peer))))
    });
    assert_eq!(changed, rays.len());
    let mut other = Site::seeded(Kind::Apache, 7);
    super::site::rehost(&mut other, "www.example.org", "192.0.2.77");
    (site.merged(&other, "web1", "web2"), rays)
}

#[test]
fn proxy_protocol_at_an_address_of_its_own() {
    let (site, rays) = proxy_listener_apart(str::to_owned);
    site.report().proves(&rays, "proxy-protocol", &["window"], "broken header:");
}

/// Another address, whose logs are not there, fails through the same edge addresses in the same seconds: at times it answers.
#[test]
fn proxy_protocol_near_an_address_that_answers() {
    let (mut site, refused) = proxy_listener_apart(str::to_owned);
    let met: Vec<Row> = site.rows.iter().filter(|row| refused.contains(&row.ray())).cloned().collect();
    let mut rays = Vec::new();
    for (i, met) in met.iter().enumerate() {
        let mut row = site.request(met.start + 5).ended(if i % 4 == 0 { Wire::Valid(200) } else { Wire::Closed }).lasting(900);
        (row.edge_ip, row.colo, row.tcp) = (met.edge_ip.clone(), met.colo.clone(), met.tcp);
        row.origin_ip = "198.51.100.240".to_owned();
        let ray = site.silent(row);
        if i % 4 != 0 {
            rays.push(ray);
        }
    }
    site.report().denies(&rays, "proxy-protocol").proves(&refused, "proxy-protocol", &["window"], "broken header:");
}

/// Somebody else's connections met the listener.
#[test]
fn proxy_protocol_near_at_an_address_of_its_own() {
    let (site, rays) = proxy_listener_apart(|_| "198.18.7.7".to_owned());
    site.report().denies(&rays, "proxy-protocol");
}

/// The header opens a connection. Those that were open before the listener changed are lost to the reload, not to it.
#[test]
fn proxy_protocol_near_open_connections() {
    let mut site = Site::new(Kind::Nginx);
    let refused = waits_for_proxy(&mut site, Wire::Closed);
    let peers: Vec<Row> = site.rows.iter().filter(|row| refused.contains(&row.ray())).take(3).cloned().collect();
    let rays: Vec<String> = peers
        .iter()
        .map(|peer| {
            let mut row = site.request(peer.start + 10).ended(Wire::Closed);
            (row.edge_ip, row.colo, row.tcp, row.host) = (peer.edge_ip.clone(), peer.colo.clone(), peer.tcp, peer.host.clone());
            let row = row.reused().lasting(peer.tcp + 6);
            site.silent(row)
        })
        .collect();
    site.report().denies(&rays, "proxy-protocol");
}

/// The origin takes another authority for twenty seconds: every new connection is refused, after the
/// handshake under TLS 1.3 and in it under TLS 1.2.
fn other_authority(site: &mut Site, wire: Wire, logged: bool) -> Vec<String> {
    for row in &mut site.rows {
        if !row.origin_ip.is_empty() && (39_000..61_000).contains(&row.start) {
            *row = row.clone().reused();
        }
    }
    (0..16)
        .map(|i| {
            let mut row = site.request(40_000 + i * 1_250).ended(wire);
            row = row.clone().lasting(row.tcp + 5);
            row.origin_tls = if wire == Wire::Closed { "TLSv1.3" } else { "TLSv1.2" }.to_owned();
            if logged {
                let (at, edge) = (row.end() - 4, row.edge_ip.clone());
                let text = "AH02276: Certificate Verification: Error (20): unable to get local issuer certificate [subject: CN=origin-pull / issuer: CN=other-ca / serial: 64C2E664861B3368 / notbefore: Nov 20 02:14:29 2026 GMT / notafter: Dec 23 02:14:29 2026 GMT]";
                site.apache_error(at, "ssl:info", 2261, Some(&edge), text);
                site.apache_error(at, "ssl:info", 2261, Some(&edge), "AH02008: SSL library error 1 in handshake (server www.example.com:443)");
            }
            site.silent(row)
        })
        .collect()
}

#[test]
fn origin_pull_rejected() {
    let mut site = Site::new(Kind::Apache);
    let rays = other_authority(&mut site, Wire::Closed, true);
    site.report().proves(&rays, "origin-pull-rejected", &["window"], "AH0");
}

#[test]
fn origin_pull_rejected_near() {
    let mut site = Site::new(Kind::Apache);
    let neighbours = other_authority(&mut site, Wire::Valid(525), true);
    let strangers = site.strangers(8);
    site.report().leaves_out(&neighbours).denies(&strangers, "origin-pull-rejected");
}

/// At Apache's usual level nothing is logged of it.
#[test]
fn origin_pull_rejected_without_a_line() {
    let mut site = Site::new(Kind::Apache);
    let rays = other_authority(&mut site, Wire::Closed, false);
    // Near the change of the setting other new connections were answered within seconds: not judged here.
    let rays = rays[5..11].to_vec();
    site.report().proves(&rays, "origin-pull-rejected", &["none"], "").lacks(&rays, "ssl:info");
}

/// nginx answers a valid 400, or closes where 495 and 496 are mapped.
fn without_certificate(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..10)
        .map(|i| {
            let row = site.request(8_000 + i * 7_700).ended(wire);
            let text = "client sent no required SSL certificate while reading client request headers";
            site.nginx_about(row.end() - 4, "info", text, &row, "");
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => site.answered(row, s, 237),
            }
            ray
        })
        .collect()
}

#[test]
fn origin_pull_rejected_by_nginx() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = without_certificate(&mut site, Wire::Closed);
    site.report().proves(&rays, "origin-pull-rejected", &["ray"], "client sent no required SSL certificate");
}

#[test]
fn origin_pull_rejected_by_nginx_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = without_certificate(&mut site, Wire::Valid(400));
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "origin-pull-rejected").denies(&closed, "origin-pull-rejected");
}

/// Uploads that take too long: nginx hangs up and logs 408, Apache answers it.
fn slow_uploads(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(2_000 + i * 7_000).asking("POST", &format!("/upload/photo?album={i}")).ended(wire).lasting(20_040);
            let ray = row.ray();
            site.answered(row, 408, if wire == Wire::Closed { 0 } else { 221 });
            ray
        })
        .collect()
}

#[test]
fn request_rejected() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = slow_uploads(&mut site, Wire::Closed);
    site.report().proves(&rays, "request-rejected", &["ray"], "\" 408 0 ");
}

#[test]
fn request_rejected_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = slow_uploads(&mut site, Wire::Valid(408));
    let strangers = site.strangers(8);
    site.report().leaves_out(&answered).denies(&strangers, "request-rejected");
}

/// A `408 0` of a request that failed at once ran into no time limit.
#[test]
fn request_rejected_near_at_once() {
    let mut site = Site::new(Kind::NginxRay);
    let rays: Vec<String> = (0..8)
        .map(|i| {
            let row = site.request(6_000 + i * 9_000).asking("POST", &format!("/upload/{i}")).ended(Wire::Closed);
            let row = row.clone().lasting(row.tcp * 2 + 8);
            let ray = row.ray();
            site.answered(row, 408, 0);
            ray
        })
        .collect();
    site.report().denies(&rays, "request-rejected");
}

/// One stream's header is over the limit, and the connection ends under the others. Over HTTP/1.1 the same
/// is a valid 400 for the one.
fn over_http2(site: &mut Site, wire: Wire) -> Vec<String> {
    let text = match wire {
        Wire::Closed => "client sent too large header while processing HTTP/2 connection",
        Wire::Valid(_) => "client sent too large request while reading client request headers",
    };
    too_large(site, wire, text, |row| row.edge_ip.clone())
}

fn too_large(site: &mut Site, wire: Wire, text: &str, peer: impl Fn(&Row) -> String) -> Vec<String> {
    let mut rays = Vec::new();
    for burst in [17_000, 38_000, 66_000] {
        let culprit = site.request(burst).ended(wire).lasting(90);
        let head = format!("{} [info] 814#814: *{} ", super::site::stamp(burst + 84, "%Y/%m/%d %H:%M:%S"), 7_000 + burst / 1000);
        site.log("nginx/error.log", burst + 84, format!("{head}{text}, client: {}, server: 0.0.0.0:443", peer(&culprit)));
        rays.push(culprit.ray());
        match wire {
            Wire::Closed => {
                let time = super::site::stamp(burst + 84, "%d/%b/%Y:%H:%M:%S +0000");
                let line = format!("{} - - [{time}] \"-\" 000 0 \"-\" \"-\" -", culprit.edge_ip);
                site.log("nginx/access.log", burst + 84, line);
                site.rows.push(culprit.clone());
                for i in 0..3 {
                    let mut row = site.request(burst + 5 + i).ended(wire).lasting(84 - i);
                    (row.edge_ip, row.colo) = (culprit.edge_ip.clone(), culprit.colo.clone());
                    rays.push(row.ray());
                    site.answered(row.reused(), 499, 0);
                }
            }
            Wire::Valid(s) => site.answered(culprit, s, 233),
        }
    }
    rays
}

#[test]
fn request_rejected_over_http2() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = over_http2(&mut site, Wire::Closed);
    site.report().proves(&rays, "request-rejected", &["ray", "window"], "client sent too large header");
}

/// nginx 1.9.5 to 1.19.6 had limits of their own for HTTP/2.
#[test]
fn request_rejected_over_http2_by_older_limits() {
    for limit in ["field", "header"] {
        let mut site = Site::new(Kind::NginxRay);
        let text = format!("client exceeded http2_max_{limit}_size limit while processing HTTP/2 connection");
        let rays = too_large(&mut site, Wire::Closed, &text, |row| row.edge_ip.clone());
        site.report().proves(&rays, "request-rejected", &["ray", "window"], "client exceeded http2_max_");
    }
}

/// The connection that ended is that of another edge address.
#[test]
fn request_rejected_over_http2_near_another_connection() {
    let mut site = Site::new(Kind::NginxRay);
    let text = "client exceeded http2_max_field_size limit while processing HTTP/2 connection";
    let known: Vec<String> = site.rows.iter().map(|row| row.edge_ip.clone()).collect();
    let rays = too_large(&mut site, Wire::Closed, text, |row| known.iter().find(|ip| **ip != row.edge_ip).unwrap().clone());
    site.report().denies(&rays, "request-rejected");
}

#[test]
fn request_rejected_over_http1_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = over_http2(&mut site, Wire::Valid(400));
    let strangers = site.strangers(8);
    site.report().leaves_out(&answered).denies(&strangers, "request-rejected");
}

/// Connections opened ahead of need that never carried a request: noise in every log.
#[test]
fn request_rejected_near_idle_connections() {
    let mut site = Site::new(Kind::NginxRay);
    for i in 0..60 {
        let (at, edge) = (i * 1_480, format!("172.70.240.{}", 20 + (i % 3) * 7));
        let time = super::site::stamp(at, "%d/%b/%Y:%H:%M:%S +0000");
        site.log("nginx/access.log", at, format!("{edge} - - [{time}] \"-\" 408 0 \"-\" \"-\" -"));
    }
    let strangers = site.strangers(12);
    site.report().denies(&strangers, "request-rejected");
}
