//! Other servers at the front: Caddy, haproxy, hypercorn, Apache with a JSON log, nginx with rules on referers.

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::protocol::h2_spells;
use crate::scenarios::race::{devices, raced};
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, edges, fpm, front, gunicorn, nginx, site, uvicorn};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held2-headers-too-large-caddy", "An application behind Caddy sends 140 KB of debug headers; Caddy's JSON log lists them all and shows the body's size only.", headers,
            { stamp: Stamp::Rfc3339, profile: Profile::Saas, ray: "json Cf-Ray" }),
        scenario!("held2-origin-520-apache-json", "An application behind Apache 2.4 of Debian 13 answers 520 itself; Apache's JSON log; CSV job; Kolkata, clock behind.", says_520,
            { debian: Debian::Trixie, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, job: Job::Csv, profile: Profile::Forum, skew_s: -38 }),
        scenario!("held2-http2-fault-gunicorn", "haproxy 3.0 offers h2 by ALPN in TCP mode before gunicorn, which answers the preface with an HTTP/1 page; Berlin, clock ahead.", h2_gunicorn,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Unix, profile: Profile::Saas, skew_s: 9, rate: 18.0 }),
        scenario!("held2-edge-ip-blocked-haproxy", "haproxy rejects a listed network that is one of Cloudflare's; its HTTP log shows the edge's addresses and the ray.", listed,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339, profile: Profile::Magento, skew_s: 26, ray: "haproxy capture" }),
        scenario!("held2-backend-closed-haproxy", "An application closes without an answer; on a reused connection haproxy 3.0 closes too and logs nothing of the request; Berlin.", closed,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Shop, skew_s: 12, ray: "haproxy capture" }),
        scenario!("held2-proxy-protocol-haproxy", "One of two addresses of haproxy has accept-proxy; it says what it did not get; 5xx only.", accept_proxy,
            { debian: Debian::Trixie, stamp: Stamp::UnixNano, profile: Profile::Forum, tz: "America/New_York", site: Site::UsEast, job: Job::Only5xx, ray: "haproxy capture" }),
        scenario!("held2-keepalive-race-uvicorn", "uvicorn is the origin itself and closes idle connections after 8 s; its lines have ports and no time, the kubelet's prefix has.", race,
            { tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Api, seconds: 85, rate: 20.0, status_on_520: 520 }),
        scenario!("held2-rule-dropped-hotlink", "nginx 1.26 closes (444) on images with a foreign referer; one access log for each virtual host, RFC 5424 by rsyslog; Sao Paulo.", hotlink,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Unix, profile: Profile::WordPress, skew_s: -90 }),
    ]
}

async fn headers(run: &mut Run) -> Result<()> {
    backend(run, 20, 9520, "app.log", &["/api/v2/users=headers:140"]).await?;
    edges::caddy(run, 10, 20, 9520, "").await?;
    run.origin(10, 28080, None);
    run.set.rate = 16.0;
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("{}||\"uri\":\"{}\"", row.ray, row.req.uri);
        (row.why == Why::HeaderTooLarge && row.req.uri.starts_with("/api/v2/users")).then(|| Label::new("headers-too-large", text))
    });
    Ok(())
}

const JSON: &str = r#"{ \"@timestamp\":\"%{%Y-%m-%dT%H:%M:%S%z}t\", \"remote\":\"%a\", \"vhost\":\"%v\", \"request\":\"%r\", \"code\":\"%>s\", \"sent\":\"%O\", \"took_us\":\"%D\", \"ua\":\"%{User-Agent}i\" }"#;

async fn says_520(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9521, "app.log", &["/u/=status:520"]).await?;
    let app = apache::App::Proxy(run.ip(20).to_string() + ":9521");
    apache::Apache { app, format: apache::Format::Custom(JSON), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.set.rate = 20.0;
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("\"request\":\"{} {} HTTP/1.1\", \"code\":\"520\"", row.req.method, row.req.uri);
        (row.why == Why::Answer && row.req.uri.starts_with("/u/")).then(|| Label::new("origin-520", text))
    });
    Ok(())
}

async fn h2_gunicorn(run: &mut Run) -> Result<()> {
    certificates(run).await?;
    let log = run.path("var/log/gunicorn/access.log").display().to_string();
    gunicorn::start(run, 20, 9522, &["--workers", "10", "--access-logfile", &log]).await?;
    run.log("var/log/gunicorn/access.log", "gunicorn/access.log", "gunicorn");
    front::haproxy(run, 11, 20, 9522, "h2,http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await?;
    run.label = Box::new(|row, _| (row.why == Why::Http2).then(|| Label::new("http2-fault", "\"PRI * HTTP/2.0\" 200")));
    Ok(())
}

async fn listed(run: &mut Run) -> Result<()> {
    backend(run, 20, 9523, "app.log", &[]).await?;
    // 127.200.3.0/24 are LHR's addresses.
    let rules = "  acl listed src 127.200.3.0/24\n  http-request reject if listed";
    edges::Haproxy { host: 10, to_host: 20, to_port: 9523, rules, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    run.load(2.0, (0.0, run.set.seconds as f64), |rng, v| {
        let mut r = v.background(rng);
        (r.cached, r.cacheable) = (None, false);
        r
    });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.visitor.colo == 2).then(|| Label::new("edge-ip-blocked", row.ray.clone())));
    Ok(())
}

async fn closed(run: &mut Run) -> Result<()> {
    backend(run, 20, 9525, "app.log", &["/api/stock=sometimes:3"]).await?;
    edges::Haproxy { host: 10, to_host: 20, to_port: 9525, rules: "", ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let evidence = format!("\"{} {}\" handler raised BrokenPipeError, connection dropped", row.req.method, row.req.uri);
        // The application sent nothing at all: both names fit.
        let label = Label { cause: "backend-closed", accept: "malformed-response", evidence };
        (cut_off(row) && row.req.uri.starts_with("/api/stock/")).then_some(label)
    });
    Ok(())
}

async fn accept_proxy(run: &mut Run) -> Result<()> {
    backend(run, 20, 9524, "app.log", &[]).await?;
    let bind = format!("\n  bind {}:28080 accept-proxy", run.ip(11));
    edges::Haproxy { host: 10, to_host: 20, to_port: 9524, rules: "", bind }.start(run).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.2, (4.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "fault");
        r.host = v.host().into();
        r
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.origin == 1)
            .then(|| Label::new("proxy-protocol", "Received something which does not look like a PROXY protocol header"))
    });
    Ok(())
}

async fn race(run: &mut Run) -> Result<()> {
    uvicorn::start(run, 10, 28080, "8").await?;
    collect::start(run, Frame::Cri, &[Source { file: "run/uvicorn.out", name: "stdout" }], "pods/api-5b7d/api/0.log")?;
    run.origin(10, 28080, None);
    background(run);
    devices(run, 8.0, 44);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 7.9).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

async fn hotlink(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let (host, log) = (run.visitors.host(), run.path("var/log/nginx").display().to_string());
    let server = format!(
        "access_log {log}/{host}.log main; location ^~ /img/ {{ valid_referers none blocked server_names *.google.com; if ($invalid_referer) {{ return 444; }} rewrite -(\\d+)\\.webp$ /img/s$1.webp break; }}"
    );
    nginx::Nginx { server, ..Default::default() }.start(run).await?;
    std::fs::File::options().create(true).append(true).open(run.path(&format!("var/log/nginx/{host}.log")))?;
    let all = [
        Source { file: "var/log/nginx/blog.example.net.log", name: "nginx" },
        Source { file: "var/log/nginx/access.log", name: "nginx" },
        Source { file: "var/log/nginx/error.log", name: "nginx" },
        Source { file: "var/log/php/php8.2-fpm.log", name: "php-fpm" },
    ];
    collect::start(run, Frame::Rfc5424, &all, "syslog-web1")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.3, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let (n, w) = (rng.random_range(0..30), ["lamp", "desk", "sofa", "vase"][rng.random_range(0..4)]);
        let mut r = v.req(rng, "hotlink", "GET", format!("/img/{w}-{n}.webp"), who);
        r.referer = ["https://forum.example.com/t/nice-lamps/77", "https://deals.example.edu/"][n % 2].into();
        r.cacheable = true;
        r
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "hotlink").then(|| Label::new("rule-dropped", access(row, "444 0"))));
    Ok(())
}
