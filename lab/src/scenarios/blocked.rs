//! Origin rules that close without answering: by client, by edge address, by URI, by rate.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use super::{Scenario, access, background, cut_off, drive};
use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("client-blocked-apache-modsec", "ModSecurity 2 drops scrapers by User-Agent; others succeed on the same paths.", client_modsec,
            { client: "edge", stamp: Stamp::UnixNano }),
        scenario!("client-blocked-nginx-network", "nginx closes on one visitor network and two agents (444); the access log shows visitors.", client_nginx,
            { client: "visitor", tz: "America/New_York", site: Site::UsEast, skew_s: 12, profile: Profile::WordPress }),
        scenario!("edge-ip-blocked-apache-modsec", "ModSecurity 2 drops everything from one Cloudflare network that a list does not know.", edge_modsec,
            { site: Site::UsEast, tz: "America/New_York", stamp: Stamp::Rfc3339Ms }),
        scenario!("edge-ip-blocked-nginx-realip", "nginx closes (444) on one Cloudflare network by $realip_remote_addr, while the log shows visitors.", edge_nginx,
            { client: "visitor", ray: "json cf_ray", stamp: Stamp::Unix }),
        scenario!("rule-dropped-nginx-rules", "nginx rules by method, query and location answer nobody (444).", rules,
            { ray: "nginx $http_cf_ray", stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, status_on_520: 520 }),
        scenario!("rule-dropped-limitreq-444", "limit_req over the whole server (key: $server_name) with limit_req_status 444: bursts of everybody are closed.", limit_req,
            { tz: "Asia/Kolkata", site: Site::India, job: Job::All }),
        scenario!("rule-dropped-apache-modsec", "ModSecurity 2 drops requests by argument, whoever sends them.", rule_modsec,
            { skew_s: -8, stamp: Stamp::Unix }),
        scenario!("throttled-limitconn-combined", "limit_conn by $binary_remote_addr with status 444 and no real_ip: busy Cloudflare addresses are closed.", throttled,
            { stamp: Stamp::Rfc3339 }),
        scenario!("throttled-limitconn-json-kolkata", "limit_conn by $binary_remote_addr with status 444 and no real_ip; JSON log, Kolkata time.", throttled_json,
            { tz: "Asia/Kolkata", site: Site::India, skew_s: 22, ray: "json cf_ray", stamp: Stamp::UnixNano }),
    ]
}

const SCRAPERS: &[&str] =
    &["Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)", "Scrapy/2.13 (+https://scrapy.org)"];
const MODSEC: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditEngine Off\nSecRule REQUEST_URI \"@contains /cgi-bin/test\" \"id:100001,phase:1,deny,status:403,log,msg:'Probe'\"\n";
const DROPPED: &str = "Access denied with connection close";

/// A few scrapers behind different colos, asking for ordinary pages.
fn scrapers(run: &mut Run, rate: f64) {
    let mut rng = run.rng.clone();
    let group: Vec<Arc<Visitor>> = (0..6).map(|_| Arc::new(traffic::visitor(&run.edge.colos, SCRAPERS, None, &mut rng))).collect();
    let end = run.set.seconds as f64;
    run.load(rate, (3.0, end), move |rng, v| {
        let mut r = v.background(rng);
        r.tag = "scraper";
        r.cached = None;
        r.cacheable = false;
        r.host = v.host().into();
        r.visitor = group[rng.random_range(0..group.len())].clone();
        r
    });
}

async fn client_modsec(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let global = format!(
        "{MODSEC}SecRule REQUEST_HEADERS:User-Agent \"@pmf {}/etc/agents.data\" \"id:100010,phase:1,drop,log,msg:'Bad bot'\"\n",
        run.root.display()
    );
    run.write("etc/agents.data", "petalbot\nscrapy\nsemrush\n")?;
    apache::Apache { modules: &["unique_id", "security2"], global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    scrapers(run, 2.2);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "scraper").then(|| Label::new("client-blocked", DROPPED)));
    Ok(())
}

async fn client_nginx(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let http = "map $http_user_agent $bad_agent { default 0; ~*(petalbot|scrapy) 1; }\n  geo $bad_net { default 0; 198.51.100.192/28 1; }";
    nginx::Nginx {
        real_ip: true,
        http: http.into(),
        server: "if ($bad_agent) { return 444; } if ($bad_net) { return 444; }".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    scrapers(run, 1.8);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let last: Option<u8> = row.req.visitor.ip.strip_prefix("198.51.100.").and_then(|n| n.parse().ok());
        let named = row.req.tag == "scraper" || last.is_some_and(|n| (192..208).contains(&n));
        (cut_off(row) && named).then(|| Label::new("client-blocked", access(row, "444 0")))
    });
    Ok(())
}

async fn edge_modsec(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    // Colo 9 (GRU): about a twentieth of this site's traffic.
    let net = blocked_net(run, 9);
    let global =
        format!("{MODSEC}SecRule REMOTE_ADDR \"@ipMatch {net}\" \"id:100020,phase:1,drop,log,msg:'Address not in the allow list'\"\n");
    apache::Apache { modules: &["unique_id", "security2"], global, format: apache::Format::Timed, ..Default::default() }
        .start(run, None)
        .await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.visitor.colo == 9).then(|| Label::new("edge-ip-blocked", DROPPED)));
    Ok(())
}

/// The loopback network of one colo; in the logs the public /24 it stands for.
pub fn blocked_net(run: &mut Run, colo: usize) -> String {
    let e = run.edge.colos[colo].edges[0];
    let (b, p) = (e.bind.octets(), e.public.octets());
    run.addresses.insert(format!("127.200.{}.0", b[2]), format!("{}.{}.{}.0", p[0], p[1], p[2]));
    run.event(format!("rule against {}.{}.{}.0/24 ({})", p[0], p[1], p[2], run.edge.colos[colo].code));
    format!("127.200.{}.0/24", b[2])
}

async fn edge_nginx(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let net = blocked_net(run, 3);
    let http = format!("geo $realip_remote_addr $unknown_proxy {{ default 0; {net} 1; }}");
    nginx::Nginx {
        real_ip: true,
        http,
        format: nginx::Format::JsonRay,
        server: "if ($unknown_proxy) { return 444; }".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.visitor.colo == 3).then(|| Label::new("edge-ip-blocked", format!("\"ray\":\"{}", row.ray)))
    });
    Ok(())
}

async fn rules(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let server = "if ($request_method !~ ^(GET|HEAD|POST)$) { return 444; } if ($args ~* \"(base64_|union.*select|\\.\\./)\") { return 444; } location ^~ /vendor/ { return 444; }";
    nginx::Nginx { format: nginx::Format::CfCustom, server: server.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.9, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..500);
        match rng.random_range(0..3) {
            0 => v.req(rng, "rule", "DELETE", format!("/api/v2/tasks/{n}"), who),
            1 => v.req(rng, "rule", "GET", format!("/help/office?next=../{n}"), who),
            _ => v.req(rng, "rule", "GET", format!("/vendor/widgets/{n}.js"), who),
        }
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "rule").then(|| Label::new("rule-dropped", access(row, "444 0"))));
    Ok(())
}

async fn limit_req(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let http = "limit_req_zone $server_name zone=whole:1m rate=40r/s; limit_req_status 444;";
    nginx::Nginx { http: http.into(), in_app: "limit_req zone=whole burst=12 nodelay;".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for at in [12.0, 26.0, 41.0] {
        run.load(75.0, (at, at + 2.6), |rng, v| {
            let mut r = v.background(rng);
            (r.cached, r.tag) = (None, "burst");
            r
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("rule-dropped", format!("limiting requests||{}", access(row, "444 0")))));
    Ok(())
}

async fn rule_modsec(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let global =
        format!("{MODSEC}SecRule ARGS \"@rx (?i)(union\\s+select|/etc/passwd|<script)\" \"id:100030,phase:2,drop,log,msg:'Injection'\"\n");
    apache::Apache { modules: &["unique_id", "security2"], global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        let w = ["lamp%20union%20select%201", "..%2F..%2Fetc%2Fpasswd/etc/passwd", "%3Cscript%3Ealert"][rng.random_range(0..3)];
        let n = rng.random_range(1..500);
        v.req(rng, "rule", "GET", format!("/find?q={w}&n={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "rule").then(|| Label::new("rule-dropped", DROPPED)));
    Ok(())
}

async fn throttle(run: &mut Run, format: nginx::Format) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.9")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    let http = "limit_conn_zone $binary_remote_addr zone=peraddr:1m; limit_conn_status 444;";
    nginx::Nginx { http: http.into(), format, in_app: "limit_conn peraddr 3;".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 9.0, (10.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    })
    .await;
    run.label =
        Box::new(|row, _| cut_off(row).then(|| Label::new("throttled", format!("limiting connections by zone||{}", access(row, "444 0")))));
    Ok(())
}

async fn throttled(run: &mut Run) -> Result<()> {
    throttle(run, nginx::Format::Combined).await
}

async fn throttled_json(run: &mut Run) -> Result<()> {
    throttle(run, nginx::Format::JsonRay).await
}
