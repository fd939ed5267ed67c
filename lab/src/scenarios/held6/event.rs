//! Apache event before PHP-FPM or an application.

use anyhow::Result;
use rand::Rng;

use super::{LONG_PHP, as_covered, uploads};
use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::apaches::all_workers_taken;
use crate::scenarios::race::{periodic, raced};
use crate::scenarios::{Scenario, access, backend, background, cut_off};
use crate::stacks::{apache, certificates, fpm, site};
use crate::traffic::{Crowd, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held6-keepalive-race-crawldelay", "Apache event of Debian 13 (PHP-FPM 8.4) in a container keeps idle connections for its default of 5 s, and crawlers keep to a Crawl-delay of 5; vhost_combined, CSV job; Berlin, most visitors far away.", crawl_delay,
            { debian: Debian::Trixie, tz: "Europe/Berlin", site: Site::Europe, audience: Some(Site::UsEast), job: Job::Csv, stamp: Stamp::Rfc3339, profile: Profile::WordPress, crowd: Crowd::Bots, status_on_520: 520, seconds: 100, rate: 17.0 }),
        // Drawn with HTTP/2, over which Apache 2.4.69 answers such a script with a valid 500.
        scenario!("held6-malformed-response-nphreport", "An nph- script under Apache event of Debian testing prints an ordinary CGI header and no status line; TLS, mod_remoteip, own format with durations; journal that begins at half of the time; Kolkata.", nph_report,
            { debian: Debian::Forky, client: "visitor", wrap: Wrap::Journal, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, covered: (0.45, 1.0), status_on_520: 520 }),
        scenario!("held6-pool-exhausted-event-api", "Few clients' slow calls take all 50 threads of Apache event (Debian testing) before an application, which then closes idle connections that are about to be reused; containers, combined and ray; Kolkata, clock behind.", all_threads,
            { debian: Debian::Forky, ray: "apache %{CF-Ray}i", tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::UnixNano, profile: Profile::Api, crowd: Crowd::Few, status_on_520: 520, seconds: 75, skew_s: -90 }),
        // Drawn with HTTP/2, over which Apache 2.4.69 answers a valid 500: HTTP/2 is on for the first third only.
        scenario!("held6-backend-closed-h2off", "An application behind Apache event of Debian testing drops some calls without an answer: over HTTP/2 clients get a 500, and after HTTP/2 to origin is switched off reused connections are closed; containers, own format with the ray, older log beside; 5xx only; Sao Paulo, clock behind, clients far away.", closed,
            { debian: Debian::Forky, ray: "apache %{CF-Ray}i", tz: "America/Sao_Paulo", site: Site::Brazil, audience: Some(Site::UsEast), job: Job::Only5xx, stamp: Stamp::Rfc3339, profile: Profile::Api, crowd: Crowd::Few, rotate: true, skew_s: -90 }),
    ]
}

const VHOST_COMBINED: &str = r#"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""#;

fn containers(run: &mut Run, app: Source, into: &str) -> Result<()> {
    let out = [Source { file: "var/log/apache2/access.log", name: "stdout" }, Source { file: "var/log/apache2/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &out, "docker/web-json.log")?;
    collect::start(run, Frame::Docker, &[app], into)
}

const CRAWLERS: &[&str] = &[
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
];

async fn crawl_delay(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache {
        app: apache::App::Fpm("www"),
        keepalive: 5,
        format: apache::Format::Custom(VHOST_COMBINED),
        // Apache ends no child of its own accord, whose connections would end too.
        global: "MaxSpareThreads 400".into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    containers(run, Source { file: "var/log/php/php8.2-fpm.log", name: "stderr" }, "docker/php-json.log")?;
    run.origin(10, 28080, None);
    background(run);
    periodic(run, 5.0, 24, CRAWLERS, |rng, v, who, i, n| {
        let at = (n as usize * 7 + i) % 440;
        v.req(rng, "crawler", "GET", format!("/2026/{:02}/spring-sale-{}/", at % 11 + 1, at % 40), who)
    });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 5.0).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

const NPH: &str = r#"#!/bin/sh
# Once it was report.cgi; somebody renamed it so that the server would not buffer it.
echo "Content-Type: text/plain"
echo
echo "report ${QUERY_STRING#n=}"
for i in 1 2 3 4 5 6 7 8 9; do echo "line $i;12.50;ok"; done
"#;
const MEASURED: &str = r#"%a %u %t \"%r\" %>s %I/%O %{ms}Tms %k%X \"%{User-Agent}i\""#;

async fn nph_report(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/exports/", "lib/long.php")], &[])?;
    run.write("var/www/site/lib/long.php", LONG_PHP)?;
    certificates(run).await?;
    fpm::Fpm { children: 16, ..Default::default() }.start(run, None).await?;
    let script = run.write("var/www/site/cgi/nph-report.cgi", NPH)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let root = run.root.display();
    let vhost = format!(
        "ScriptAlias /cgi-bin/ {root}/var/www/site/cgi/\n<Directory {root}/var/www/site/cgi>\nRequire all granted\nOptions ExecCGI\n</Directory>\n"
    );
    let global = format!("ScriptSock {root}/run/cgid.sock\n");
    apache::Apache {
        tls: true,
        real_ip: true,
        app: apache::App::Fpm("www"),
        modules: &["cgid"],
        format: apache::Format::Custom(MEASURED),
        global,
        vhost,
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28443, Some(client(TlsOptions::default())?));
    background(run);
    uploads(run, "/files/", "/exports/");
    let end = run.set.seconds as f64;
    run.load(1.9, (3.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/cgi-bin/nph-report.cgi?n={n}"), who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let label = Label::new("malformed-response", access(row, "200 "));
        (row.why == Why::NotHttp && row.req.tag == "fault").then(|| as_covered(label, row, run))
    });
    Ok(())
}

async fn all_threads(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 8180, "app.log", &["/v1/reports=slow:1700"]).await?;
    apache::Apache {
        app: apache::App::Proxy(run.ip(20).to_string() + ":8180"),
        workers: 50,
        format: apache::Format::CfCustom,
        global: "MinSpareThreads 10\nMaxSpareThreads 60".into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    containers(run, Source { file: "var/log/app.log", name: "stdout" }, "docker/app-json.log")?;
    run.origin(10, 28080, None);
    all_workers_taken(run, [8.0, 17.0, 26.0, 35.5, 44.0, 53.0, 61.5], 40.0, |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/v1/reports/{n}"), who)
    })
    .await;
    Ok(())
}

const RAY_KEYS: &str = r#"%t ray=%{CF-Ray}i vhost=%v from=%h \"%r\" status=%>s bytes=%B ua=\"%{User-Agent}i\""#;

async fn closed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 8280, "app.log", &["/v1/search=sometimes:3"]).await?;
    apache::Apache {
        tls: true,
        app: apache::App::Proxy(run.ip(20).to_string() + ":8280"),
        modules: &["http2"],
        format: apache::Format::Custom(RAY_KEYS),
        global: "Protocols h2 http/1.1\n".into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    containers(run, Source { file: "var/log/app.log", name: "stdout" }, "docker/app-json.log")?;
    let origin = run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    run.until(18.0).await;
    run.event("HTTP/2 to origin off");
    run.edge.set_origin(origin, Origin { tls: Some(client(TlsOptions::default())?), ..now });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.uri.starts_with("/v1/search")).then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}
