//! Node as the origin itself: requests in pino's form, warnings without a response, a process that ends itself.

use super::site::{Kind, ORIGIN, Row, Site, Wire, stamp};

const LOG: &str = "node/app.log";

fn pino(site: &mut Site, row: &Row, level: u8, status: Option<u16>, said: &str) {
    let at = row.end() - 2;
    let ms: i64 = stamp(at, "%s%3f").parse().expect("digits");
    let answer = status.map(|s| format!(r#","res":{{"statusCode":{s}}},"responseTime":{}"#, row.dur / 2)).unwrap_or_default();
    let text = format!(
        r#"{{"level":{level},"time":{ms},"pid":905,"hostname":"web1","req":{{"id":{at},"method":"{}","url":"{}","headers":{{"host":"{}","user-agent":"{}"}},"remoteAddress":"{}","remotePort":4711}}{answer},"msg":"{said}"}}"#,
        row.method, row.uri, row.host, row.agent, row.edge_ip
    );
    site.log(LOG, at, text);
}

/// The background, answered by Node on `listens`.
fn service(listens: &str) -> Site {
    let mut site = Site::new(Kind::Nginx);
    site.forget_logs();
    let start = stamp(-900, "%s%3f");
    site.log(
        LOG,
        -900,
        format!(r#"{{"level":30,"time":{start},"pid":905,"hostname":"web1","msg":"Server listening at http://{listens}"}}"#),
    );
    for row in site.rows.clone().iter().filter(|r| !r.origin_ip.is_empty()) {
        pino(&mut site, row, 30, Some(row.origin_status), "request completed");
    }
    site
}

const SCRAPER: &str = "Scrapy/2.13.3 (+https://scrapy.org)";

/// Requests of a scraper over all pages, closed at once; the log warns of each, or says that it came in.
fn scraped(site: &mut Site, level: u8, answered: bool) -> Vec<String> {
    (0..24)
        .map(|i| {
            let mut row = site.request(4_000 + i * 3_300).ended(Wire::Closed);
            row.agent = SCRAPER.to_owned();
            row = row.clone().lasting(row.tcp + 2);
            pino(site, &row, level, None, "not welcome");
            if answered {
                pino(site, &row, 30, Some(200), "request completed");
            }
            site.silent(row)
        })
        .collect()
}

#[test]
fn warnings_about_one_agent_that_get_no_response() {
    let mut site = service(&format!("{ORIGIN}:80"));
    let rays = scraped(&mut site, 40, false);
    site.report().proves(&rays, "client-blocked", &["request"], "not welcome");
}

#[test]
fn what_came_in_or_was_answered_is_no_refusal() {
    let mut site = service(&format!("{ORIGIN}:80"));
    let rays = scraped(&mut site, 30, false);
    site.report().denies(&rays, "client-blocked");
    let mut site = service(&format!("{ORIGIN}:80"));
    let rays = scraped(&mut site, 40, true);
    site.report().denies(&rays, "client-blocked");
}

/// Warnings about requests of all kinds that fail tell of a fault, which the log does not name.
#[test]
fn warnings_that_follow_no_visitor() {
    let mut site = service(&format!("{ORIGIN}:80"));
    let rays: Vec<String> = (0..24)
        .map(|i| {
            let row = site.request(4_000 + i * 3_300).ended(Wire::Closed);
            pino(&mut site, &row, 50, None, "stock service did not answer");
            site.silent(row)
        })
        .collect();
    let report = site.report();
    for cause in ["client-blocked", "edge-ip-blocked", "rule-dropped"] {
        report.denies(&rays, cause);
    }
}

/// What Node prints over an error that nobody catches, and what systemd says of it.
fn dies(site: &mut Site, at: i64, status: &str) {
    let lines = [
        "/srv/api/server.js:20",
        "TypeError: Cannot read properties of undefined (reading 'net')",
        "    at quote (/srv/api/server.js:20:43)",
        "Node.js v20.20.2",
    ];
    for (tag, text) in lines
        .map(|l| ("node[905]", l.to_owned()))
        .into_iter()
        .chain([("systemd[1]", format!("api.service: Main process exited, code=exited, status={status}"))])
    {
        site.log("journal.txt", at, format!("{} web1 {tag}: {text}", stamp(at, "%Y-%m-%dT%H:%M:%S+0000")));
    }
}

fn ended(site: &mut Site, status: &str, wire: Wire) -> Vec<String> {
    let mut rays = Vec::new();
    for i in 0..8 {
        let at = 6_000 + i * 10_000;
        for n in 0..3 {
            let row = site.request(at - 700 + n * 200).ended(wire);
            let took = at - row.start + row.tcp / 2;
            let row = row.lasting(took);
            if wire != Wire::Closed {
                pino(site, &row, 30, Some(500), "request completed");
            }
            rays.push(site.silent(row));
        }
        dies(site, at, status);
    }
    rays
}

#[test]
fn an_error_that_nobody_caught_ends_node_and_its_requests() {
    let mut site = service(&format!("{ORIGIN}:80"));
    let rays = ended(&mut site, "1/FAILURE", Wire::Closed);
    site.report().proves(&rays, "app-fatal", &["window"], "TypeError: Cannot read");
}

#[test]
fn a_process_that_ended_behind_a_proxy_or_on_demand_is_none() {
    // Not where Cloudflare connects.
    let mut site = service("127.0.0.1:9180");
    let rays = ended(&mut site, "1/FAILURE", Wire::Closed);
    site.report().denies(&rays, "app-fatal");
    // Deaths that fall on no failure: each failing request is seconds away from them.
    let mut site = service(&format!("{ORIGIN}:80"));
    for i in 0..8 {
        dies(&mut site, 11_000 + i * 10_000, "1/FAILURE");
    }
    let rays: Vec<String> = (0..8)
        .map(|i| {
            let row = site.request(6_000 + i * 10_000).ended(Wire::Closed);
            site.silent(row)
        })
        .collect();
    site.report().denies(&rays, "app-fatal");
}

/// uvicorn's lines have no time: what they lack is said, and neither presence nor absence counts.
#[test]
fn lines_without_a_time_prove_nothing() {
    let mut site = Site::new(Kind::Nginx);
    site.forget_logs();
    for row in site.rows.clone().iter().filter(|r| !r.origin_ip.is_empty()) {
        let text = format!(r#"INFO:     {}:4711 - "{} {} HTTP/1.1" {} OK"#, row.edge_ip, row.method, row.uri, row.origin_status);
        site.log("uvicorn.log", row.end(), text);
    }
    let rays = site.strangers(12);
    let report = site.report();
    report.lacks(&rays, "a time in the access log's lines");
    for ray in &rays {
        assert_eq!(report.row(ray)["cause"], "unknown");
    }
}
