//! Causes that lie before the origin: wrong-origin, edge-incident, origin-520, and the statuses beside 520.

use super::site::{HOST, Kind, Row, Site, Wire};

const ELSEWHERE: &str = "198.51.100.240";

/// Requests that Cloudflare sent to another address.
fn to_elsewhere(site: &mut Site, n: i64) -> Vec<Row> {
    (0..n)
        .map(|i| {
            let mut row = site.request(5_000 + i * 80_000 / n);
            ELSEWHERE.clone_into(&mut row.origin_ip);
            row.ended(Wire::Closed).lasting(310)
        })
        .collect()
}

#[test]
fn wrong_origin() {
    let mut site = Site::new(Kind::NginxRay);
    let rays: Vec<String> = to_elsewhere(&mut site, 12).into_iter().map(|row| site.silent(row)).collect();
    let report = site.report();
    report.proves(&rays, "wrong-origin", &["none"], "");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains(ELSEWHERE)));
}

/// The other address answers half of what it is asked: it is a server whose log is not here.
#[test]
fn wrong_origin_near() {
    let mut site = Site::new(Kind::NginxRay);
    let mut rays = Vec::new();
    for (i, row) in to_elsewhere(&mut site, 24).into_iter().enumerate() {
        if i % 2 == 0 {
            rays.push(site.silent(row));
        } else {
            site.silent(row.ended(Wire::Valid(200)));
        }
    }
    let report = site.report();
    report.denies(&rays, "wrong-origin").lacks(&rays, "logs of the origin server");
    assert!(rays.iter().all(|r| report.row(r)["cause"] == "unknown"));
}

/// A listener that takes only PROXY protocol has another address, which its lines' peers tell.
#[test]
fn wrong_origin_beside_a_proxy_listener() {
    let (mut site, refused) = super::connections::proxy_listener_apart(str::to_owned);
    let rays: Vec<String> = to_elsewhere(&mut site, 12).into_iter().map(|row| site.silent(row)).collect();
    site.report().proves(&rays, "wrong-origin", &["none"], "").proves(&refused, "proxy-protocol", &["window"], "broken header:");
}

/// Whose its lines are is not known.
#[test]
fn wrong_origin_near_a_proxy_listener() {
    let (mut site, _) = super::connections::proxy_listener_apart(|_| "198.18.7.7".to_owned());
    let rays: Vec<String> = to_elsewhere(&mut site, 12).into_iter().map(|row| site.silent(row)).collect();
    site.report().denies(&rays, "wrong-origin");
}

/// Cloudflare did not ask the origin.
fn not_asked(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..10)
        .map(|i| {
            let mut row = site.request(9_000 + i * 7_000).ended(wire).lasting(12);
            (row.edge_ip, row.origin_ip) = (String::new(), String::new());
            (row.tcp, row.tls, row.header_ms, row.origin_status) = (0, 0, 0, 0);
            row.origin_tls = "unknown".to_owned();
            site.silent(row)
        })
        .collect()
}

#[test]
fn edge_incident() {
    let mut site = Site::new(Kind::Nginx);
    let rays = not_asked(&mut site, Wire::Closed);
    let report = site.report();
    report.proves(&rays, "edge-incident", &["none"], "");
    assert!(rays.iter().all(|r| report.row(r)["connection"] == "none"));
}

/// The same rows are the visitors' side of Workers: their subrequests asked the origin and were closed.
#[test]
fn edge_incident_near_worker() {
    let mut site = Site::new(Kind::Nginx);
    let parents = not_asked(&mut site, Wire::Closed);
    let subs: Vec<String> = parents
        .iter()
        .enumerate()
        .map(|(i, parent)| {
            let mut row = site.request(9_001 + i as i64 * 7_000).ended(Wire::Closed).lasting(11);
            row.parent.clone_from(parent);
            row.source = "edgeWorkerFetch".to_owned();
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect();
    site.report().denies(&parents, "edge-incident").denies(&subs, "edge-incident");
}

fn without_addresses(site: &Site) -> String {
    site.edge()
        .lines()
        .map(|line| {
            let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
            row.retain(|name, _| !matches!(name.as_str(), "EdgeServerIP" | "OriginIP"));
            serde_json::to_string(&row).unwrap() + "\n"
        })
        .collect()
}

/// The job does not deliver the addresses: nothing says that the origin was not asked.
#[test]
fn edge_incident_near_fields() {
    let mut site = Site::new(Kind::Nginx);
    let rays = not_asked(&mut site, Wire::Closed);
    let tree = site.write();
    tree.put("logs/cloudflare/http_requests.ndjson", &without_addresses(&site));
    tree.report().denies(&rays, "edge-incident").lacks(&rays, "EdgeServerIP");
}

/// Without the addresses it still shows that nothing was asked: 0 ms for everything, no word on TLS.
#[test]
fn edge_incident_near_fields_is_no_race() {
    let mut site = Site::new(Kind::Nginx);
    let rays = not_asked(&mut site, Wire::Closed);
    let tree = site.write();
    tree.put("logs/cloudflare/http_requests.ndjson", &without_addresses(&site));
    tree.report().denies(&rays, "keepalive-race");
}

/// One colo loses servers that answer all others.
fn bad_colo(servers: u8) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::NginxRay);
    let mut other = Site::seeded(Kind::NginxRay, 5);
    let mut rays = Vec::new();
    for (n, site) in [&mut site, &mut other].into_iter().enumerate() {
        // Nothing else goes through that colo at the time.
        let gone: Vec<String> = site.rows.iter().filter(|r| r.colo == "SIN" && (29_000..52_000).contains(&r.start)).map(Row::ray).collect();
        site.rows.retain(|r| !gone.contains(&r.ray()));
        site.each_line("-SIN", |at, text| (!gone.iter().any(|ray| text.contains(ray.as_str()))).then(|| (at, text.to_owned())));
        if n >= usize::from(servers) {
            continue;
        }
        for i in 0..9 {
            let mut row = site.request(30_000 + i * 2_200).ended(Wire::Closed).lasting(700);
            "SIN".clone_into(&mut row.colo);
            "108.162.193.27".clone_into(&mut row.edge_ip);
            (row.tcp, row.tls) = (168, 171);
            rays.push((n, site.silent(row)));
        }
    }
    super::site::rehost(&mut other, "www.example.org", "192.0.2.77");
    // Rehosting gives the other site's rows rays of their own.
    let theirs: Vec<String> = other.rows.iter().filter(|r| r.status == 520).map(Row::ray).collect();
    let mine = rays.into_iter().filter(|(n, _)| *n == 0).map(|(_, ray)| ray);
    let all = mine.chain(theirs).collect();
    (site.merged(&other, "web1", "web2"), all)
}

#[test]
fn edge_incident_of_a_colo() {
    let (site, rays) = bad_colo(2);
    assert_eq!(rays.len(), 18);
    let report = site.report();
    report.proves(&rays, "edge-incident", &["none"], "");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("through SIN")));
}

/// Twenty minutes after the colo's trouble one more request fails through it, for whatever reason: the trouble was over.
#[test]
fn edge_incident_of_a_colo_long_before_another_failure() {
    let (mut site, rays) = bad_colo(2);
    let through_sin = |site: &mut Site, at: i64, origin: &str, host: &str| {
        let mut row = site.request(at);
        (row.colo, row.edge_ip) = ("SIN".to_owned(), "108.162.193.27".to_owned());
        (row.origin_ip, row.host) = (origin.to_owned(), host.to_owned());
        row
    };
    for i in 0..40 {
        let (origin, host) = if i % 2 == 0 { (super::site::ORIGIN, super::site::HOST) } else { ("192.0.2.77", "www.example.org") };
        let row = through_sin(&mut site, 200_000 + i * 20_000, origin, host);
        site.rows.push(row);
    }
    let late = through_sin(&mut site, 1_290_000, "192.0.2.77", "www.example.org").ended(Wire::Closed);
    let late = site.silent(late);
    let report = site.report();
    report.proves(&rays, "edge-incident", &["none"], "").denies(&[late], "edge-incident");
}

/// One colo and one server: it may as well be the server.
#[test]
fn edge_incident_of_a_colo_near() {
    let (site, rays) = bad_colo(1);
    assert_eq!(rays.len(), 9);
    site.report().denies(&rays, "edge-incident");
}

/// The application says 520 itself; or Cloudflare says so in the field and nothing at the origin does.
#[test]
fn origin_520() {
    let mut site = Site::new(Kind::Nginx);
    let rays: Vec<String> = (0..8)
        .map(|i| {
            let mut row = site.request(6_000 + i * 9_000).asking("GET", &format!("/proxy/feed/{i}")).ended(Wire::Closed);
            row.origin_status = 520;
            let ray = row.ray();
            site.answered(row, 520, 91);
            ray
        })
        .collect();
    site.report().proves(&rays, "origin-520", &["request"], "\" 520 91 ");
}

#[test]
fn origin_520_near() {
    let mut site = Site::new(Kind::Nginx);
    // The application's 520s became something else on the way (a Worker's own page)...
    let answered: Vec<String> = (0..8)
        .map(|i| {
            let mut row = site.request(6_000 + i * 9_000).asking("GET", &format!("/proxy/feed/{i}")).ended(Wire::Valid(200));
            row.origin_status = 520;
            let ray = row.ray();
            site.answered(row, 520, 91);
            ray
        })
        .collect();
    // ... and these have the status in the field only.
    let rays: Vec<String> = (0..8)
        .map(|i| {
            let mut row = site.request(8_000 + i * 9_000).ended(Wire::Closed).lasting(1_700);
            row.origin_status = 520;
            site.silent(row)
        })
        .collect();
    site.report().leaves_out(&answered).denies(&rays, "origin-520");
}

/// Requests that go through a second zone at Cloudflare, every nth of which fails there.
fn through_a_zone(site: &mut Site, every: i64) -> Vec<String> {
    let mut rays = Vec::new();
    for i in 0..12 {
        let fails = i % every == 0;
        let mut row = site.request(6_000 + i * 6_000).ended(if fails { Wire::Closed } else { Wire::Valid(200) }).lasting(900);
        row.o2o = true;
        "104.18.9.9".clone_into(&mut row.origin_ip);
        let ray = site.silent(row);
        rays.extend(fails.then_some(ray));
    }
    rays
}

#[test]
fn origin_520_of_an_inner_zone() {
    let mut site = Site::new(Kind::Nginx);
    let rays = through_a_zone(&mut site, 2);
    site.report().proves(&rays, "origin-520", &["none"], "");
}

#[test]
fn origin_520_of_an_inner_zone_that_always_fails() {
    let mut site = Site::new(Kind::Nginx);
    let rays = through_a_zone(&mut site, 1);
    site.report().proves(&rays, "origin-520", &["none"], "");
}

/// 521 to 530 mean what they mean, whatever stands in the logs; only 520 is judged.
#[test]
fn neighbours() {
    let mut site = Site::new(Kind::Nginx);
    let crashed = super::processes::nginx_deaths(&mut site, "11 (core dumped)", |pid| {
        format!("nginx[{pid}]: segfault at 18 ip 00007f3a1c2b4d10 sp 00007ffd5e1c2a40 error 4 in a.so[7f3a1c2b4000+3000]")
    });
    let table = [
        (521, "origin-refused"),
        (522, "connect-timeout"),
        (523, "origin-unreachable"),
        (524, "response-timeout"),
        (525, "tls-handshake"),
        (526, "tls-certificate"),
        (527, "railgun"),
        (530, "origin-dns"),
    ];
    let mut rays = Vec::new();
    for (i, (status, cause)) in table.into_iter().enumerate() {
        for at in [21_200, 48_100, 60_000] {
            let row = site.request(at + i as i64 * 11).ended(Wire::Valid(status)).lasting(90);
            rays.push((site.silent(row), status, cause));
        }
    }
    let tree = site.write();
    let usual = tree.report();
    assert_eq!(usual.len(), crashed.len(), "only 520s are judged unless others are asked for");
    let report = tree.report_with(&["logs", "--status", "520-530"]);
    for (ray, status, cause) in rays {
        let row = report.row(&ray);
        assert_eq!((row["cause"].as_str(), row["family"].as_str()), (cause, "neighbour"), "{row:#?}");
        assert_eq!(row["edge_status"], status.to_string());
        assert!(report.confidence(&ray) >= 0.9 && !row["evidence"].is_empty(), "{row:#?}");
        assert_eq!(row["host"], HOST);
    }
    report.proves(&crashed, "worker-crash", &["window"], "exited on signal 11");
}
