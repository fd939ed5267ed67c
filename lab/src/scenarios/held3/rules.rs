//! Rules of nginx that close, and an address that is not the origin's.

use anyhow::Result;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, access, backend, cut_off, drive, noise};
use crate::stacks::{fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-client-blocked-country", "nginx before an application closes (444) on two countries by CF-IPCountry; combined log with the edges' addresses that begins when two fifths are over; New York, clock behind.", country,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::Saas, covered: (0.4, 1.0), skew_s: -15 }),
        scenario!("held3-rule-dropped-wphardening", "nginx 1.18 with PHP-FPM 7.4 and a WordPress hardening snippet: xmlrpc.php, readme and TRACE-like methods get 444; fourteen fields; Kolkata, clock ahead.", hardening,
            { debian: Debian::Bullseye, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339, job: Job::Fourteen, profile: Profile::WordPress, skew_s: 45 }),
        scenario!("held3-wrong-origin-moved", "The only record of a zone points for ten seconds to a server it has moved away from, where something accepts and closes; nginx 1.26 with PHP-FPM; JSON log with the ray.", moved,
            { debian: Debian::Trixie, ray: "json ray", stamp: Stamp::UnixNano, profile: Profile::Forum, skew_s: -7, status_on_520: 520 }),
    ]
}

async fn country(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9630, "app.log", &[]).await?;
    let http = "map $http_cf_ipcountry $closed { default 0; CA 1; IE 1; }".into();
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9630");
    nginx::Nginx { app, http, server: "if ($closed) { return 444; }".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    crate::scenarios::background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
        // Before the log begins there is the edge's side alone.
        let accept = if at < run.set.seconds as f64 * 0.42 { "unknown" } else { "" };
        let named = ["ca", "ie"].contains(&row.req.visitor.country.as_str());
        let evidence = if accept.is_empty() { access(row, "444 0") } else { String::new() };
        (cut_off(row) && named).then_some(Label { cause: "client-blocked", accept, evidence })
    });
    Ok(())
}

async fn hardening(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let server = "if ($request_method !~ ^(GET|HEAD|POST)$) { return 444; } location = /xmlrpc.php { return 444; } location ~* ^/(readme|license|wp-config)\\. { return 444; }";
    nginx::Nginx { server: server.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.7, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        match rng.random_range(0..10) {
            0..=5 => v.req(rng, "rule", "POST", "/xmlrpc.php".into(), who),
            6..=7 => v.req(rng, "rule", "GET", "/readme.html".into(), who),
            _ => {
                let n = rng.random_range(1..400);
                v.req(rng, "rule", "PUT", format!("/wp-json/wp/v2/posts/{n}"), who)
            }
        }
    })
    .await;
    run.label = Box::new(|row, _| {
        // Scanners ask for xmlrpc.php as well.
        let meant = row.req.tag == "rule" || row.req.uri == "/xmlrpc.php";
        (cut_off(row) && meant).then(|| Label::new("rule-dropped", access(row, "444 0")))
    });
    Ok(())
}

const JSON_RAY: &str = r#"log_format main escape=json '{"time":"$time_iso8601","ray":"$http_cf_ray","remote_addr":"$remote_addr","method":"$request_method","uri":"$request_uri","status":$status,"body_bytes_sent":$body_bytes_sent,"request_time":$request_time,"upstream_response_time":"$upstream_response_time","http_user_agent":"$http_user_agent"}';"#;

async fn moved(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::Custom(JSON_RAY), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "stale.log", &["/=close"]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    run.start_clock();
    noise::start(run);
    let (rate, end) = (run.set.rate, run.set.seconds as f64);
    run.event("from 26 s to 36 s the record holds the old address");
    for (window, origin) in [((0.0, 26.0), 0), ((26.0, 36.0), 1), ((36.0, end), 0)] {
        run.load(rate, window, move |rng, v| {
            let mut r = v.background(rng);
            r.origin = origin;
            r
        });
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.origin == 1).then(|| Label::new("wrong-origin", "")));
    Ok(())
}
