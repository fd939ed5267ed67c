//! nginx before Apache or an application.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, slow_reports, took};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, fpm, nginx, site, uvicorn};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held5-timeout-kill-plesk-fpm", "request_terminate_timeout of PHP-FPM 7.4 ends pages that hang behind Apache event (proxy_fcgi, a 503) behind nginx 1.18, which maps the 503 to 444; the extended format with names; Helsinki, clock behind.", plesk,
            { debian: Debian::Bullseye, tz: "Europe/Helsinki", stamp: Stamp::UnixNano, profile: Profile::Magento, skew_s: -23 }),
        scenario!("held5-app-fatal-asgi", "An ASGI application raises under uvicorn, whose lines the journal keeps; nginx with TLS maps the 500 to 444; 5xx only; Toronto.", asgi,
            { job: Job::Only5xx, tz: "America/Toronto", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, status_on_520: 520 }),
        scenario!("held5-server-restart-shutdown-timeout", "Deploys reload nginx of Debian testing, whose worker_shutdown_timeout cuts slow answers off after half a second; JSON log with $msec, notice level; Lima.", shutdown,
            { debian: Debian::Forky, tz: "America/Lima", site: Site::Brazil, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas }),
        scenario!("held5-client-blocked-ai-bots", "nginx before Apache with mod_php 8.2 closes (444) on crawlers that collect for language models on one virtual host, and lets them read another; the ray in brackets; Melbourne, clock ahead.", ai_bots,
            { ray: "nginx $http_cf_ray", tz: "Australia/Melbourne", site: Site::India, stamp: Stamp::Rfc3339, profile: Profile::Forum, skew_s: 37 }),
    ]
}

const EXTENDED: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for" "$host" sn="$server_name" rt=$request_time ua="$upstream_addr" us="$upstream_status" ut="$upstream_response_time" ul="$upstream_response_length"';"#;
const HOST_FIRST: &str = r#"log_format main '$host $remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$http_referer" "$http_user_agent" $upstream_status $upstream_response_time';"#;
const JSON_MSEC: &str = r#"log_format main escape=json '{"ts":$msec,"id":"$request_id","remote_addr":"$remote_addr","host":"$host","request":"$request","status":$status,"bytes_sent":$bytes_sent,"request_time":$request_time,"upstream_response_time":"$upstream_response_time","user_agent":"$http_user_agent"}';"#;
const RAY_BRACKETS: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" [$http_cf_ray] [$http_cf_connecting_ip]';"#;

async fn plesk(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/checkout/payment/", "lib/rates.php")], &[("SLEEP", "9")])?;
    fpm::Fpm { children: 24, extra: "request_terminate_timeout = 4s".into(), ..Default::default() }.start(run, None).await?;
    let to = run.local(20, 28080);
    run.addresses.insert(to.to_string(), "127.0.0.1:7080".into());
    apache::Apache { host: 20, app: apache::App::Fpm("www"), workers: 150, ..Default::default() }.start(run, None).await?;
    nginx::Nginx {
        app: nginx::App::Proxy(to.to_string()),
        format: nginx::Format::Custom(EXTENDED),
        in_app: "error_page 502 503 504 = @drop; proxy_intercept_errors on;".into(),
        server: DROP.into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.3, (4.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..9000);
        v.req(rng, "fault", "POST", format!("/checkout/payment/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("execution timed out||{}", access(row, "444"));
        (cut_off(row) && row.req.tag == "fault" && took(row) > 3.4).then(|| Label::new("timeout-kill", text))
    });
    Ok(())
}

async fn asgi(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    let app = run.local(20, 9820).to_string();
    uvicorn::start(run, 20, 9820, "30").await?;
    collect::start(run, Frame::ShortIso, &[Source { file: "run/uvicorn.out", name: "uvicorn" }], "journal/uvicorn.log")?;
    nginx::Nginx {
        tls: true,
        app: nginx::App::Proxy(app),
        format: nginx::Format::Custom(HOST_FIRST),
        in_app: HIDE_PROXY.into(),
        server: DROP.into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28443, Some(client(TlsOptions::default())?));
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/documents/offer-{n}.pdf"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("KeyError: 'currency'||{}", access(row, "444"));
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", text))
    });
    Ok(())
}

async fn shutdown(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9821, "app.log", &["/reports/build=slow:1700"]).await?;
    let at = nginx::Nginx {
        app: nginx::App::Proxy(run.ip(20).to_string() + ":9821"),
        format: nginx::Format::Custom(JSON_MSEC),
        level: "notice",
        main: "worker_shutdown_timeout 500ms;".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    slow_reports(run);
    for t in [10.6, 22.3, 35.1, 46.8] {
        run.until(t).await;
        run.event("reload: SIGHUP to nginx");
        run.procs[at].signal(libc::SIGHUP);
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let reloaded = run.near_event(row, "reload", 0.02, 1.0 + row.rtt.as_secs_f64() * 2.0);
        // To a reused connection the reload may be no more than the end of an idle connection.
        if cut_off(row) && reloaded && row.reused && took(row) < 0.05 {
            return Some(Label { cause: "keepalive-race", accept: "server-restart", evidence: String::new() });
        }
        let text = format!("\"request\":\"{} {} HTTP/1.1\",\"status\":000||(SIGHUP) received", row.req.method, row.req.uri);
        (cut_off(row) && reloaded).then(|| Label::new("server-restart", text))
    });
    Ok(())
}

const AI: &[&str] = &[
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3; +https://openai.com/gptbot)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot) Chrome/119.0.6045.214 Safari/537.36",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
];

async fn ai_bots(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let to = run.local(20, 28080);
    run.addresses.insert(to.to_string(), "127.0.0.1:8080".into());
    apache::Apache { host: 20, ..Default::default() }.start(run, None).await?;
    let http = format!(
        "map $http_user_agent $ai_bot {{ default 0; ~*(GPTBot|CCBot|ClaudeBot|Amazonbot|meta-externalagent|PerplexityBot) 1; }}\n  \
         server {{ listen {}:28080; server_name docs.{}; location / {{ proxy_set_header Host $host; proxy_pass http://{to}; }} }}",
        run.ip(10),
        run.visitors.zone()
    );
    nginx::Nginx {
        app: nginx::App::Proxy(to.to_string()),
        format: nginx::Format::Custom(RAY_BRACKETS),
        http,
        server: "if ($ai_bot) { return 444; }".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let mut rng = run.rng.clone();
    let group: Vec<Arc<Visitor>> = (0..8).map(|_| Arc::new(traffic::visitor(&run.edge.colos, AI, None, &mut rng))).collect();
    background(run);
    let end = run.set.seconds as f64;
    run.load(2.6, (2.0, end), move |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.cacheable) = ("crawler", None, false);
        r.host = if rng.random_bool(0.3) { format!("docs.{}", v.zone()) } else { v.host().into() };
        r.visitor = group[rng.random_range(0..group.len())].clone();
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let ua = &row.req.visitor.ua;
        let named = ["GPTBot", "CCBot", "ClaudeBot", "Amazonbot", "meta-externalagent"].iter().any(|b| ua.contains(b));
        (cut_off(row) && named && row.req.host == run.visitors.host()).then(|| Label::new("client-blocked", access(row, "444 0")))
    });
    Ok(())
}
