//! Answers that are no valid header: too large, not HTTP, or none that the web server passed on.

use anyhow::Result;
use rand::Rng;

use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("headers-too-large-apache-O", "mod_php sets so many cookies that the header block exceeds 128 KB; the access log has %O.", headers_o,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::UnixNano, client: "visitor" }),
        scenario!("headers-too-large-apache-body", "The same, but the access log shows the body's size only (%b).", headers_b,
            { status_on_520: 520, stamp: Stamp::Rfc3339, skew_s: 18 }),
        scenario!("headers-too-large-nginx-proxy", "An application behind nginx with large proxy buffers sends 140 KB of debug headers for some users; the log has both sizes.", headers_nginx,
            { profile: Profile::Saas, stamp: Stamp::Unix, job: Job::Sampled(80) }),
        scenario!("malformed-response-nginx-009", "nginx proxies one path to a backend that does not speak HTTP: it is relayed as HTTP/0.9 (status 009).", garbage_nginx,
            { profile: Profile::Saas, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, skew_s: -60 }),
        scenario!("malformed-response-apache-nph", "An nph- CGI script on Apache prints something that is not HTTP.", nph,
            { stamp: Stamp::UnixNano, rotate: true }),
        scenario!("backend-closed-apache-proxy", "Apache mod_proxy: the application drops connections without an answer; on a reused client connection Apache closes too.", closed_apache,
            { profile: Profile::Saas, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms }),
        scenario!("backend-closed-apache-ray", "The same with the ray in the access log and the job filtered to 5xx.", closed_apache_ray,
            { profile: Profile::Saas, ray: "apache %{CF-Ray}i", job: Job::Only5xx, stamp: Stamp::Unix, status_on_520: 520, client: "visitor" }),
        scenario!("headers-too-large-loggedin", "A plugin sets a cookie for everything a logged-in member has seen: only members' pages exceed 128 KB; the log's one size is $bytes_sent.", logged_in,
            { profile: Profile::WordPress, stamp: Stamp::Rfc3339Ms, tz: "America/New_York", site: Site::UsEast, skew_s: -21 }),
    ]
}

async fn wishes(run: &mut Run) {
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..50_000);
        v.req(rng, "fault", "GET", format!("/account/seen?u={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::HeaderTooLarge && row.req.tag == "fault").then(|| Label::new("headers-too-large", access(row, "200 ")))
    });
}

async fn headers_apache(run: &mut Run, format: apache::Format) -> Result<()> {
    site::write(run, &[("^/account/seen", "lib/wishes.php")], &[])?;
    apache::Apache { format, real_ip: run.set.client == "visitor", ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    wishes(run).await;
    Ok(())
}

async fn headers_o(run: &mut Run) -> Result<()> {
    headers_apache(run, apache::Format::DebianCombined).await
}

async fn headers_b(run: &mut Run) -> Result<()> {
    headers_apache(run, apache::Format::Combined).await
}

async fn headers_nginx(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9140, "app.log", &["/account/seen=headers:140"]).await?;
    let to = run.ip(20).to_string() + ":9140";
    nginx::Nginx {
        format: nginx::Format::Timed,
        app: nginx::App::Proxy(to),
        in_app: "proxy_buffer_size 256k; proxy_buffers 8 256k; proxy_busy_buffers_size 512k;".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    wishes(run).await;
    Ok(())
}

const BYTES_SENT: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$http_referer" "$http_user_agent" $host $request_time';"#;

async fn logged_in(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/members/", "lib/member.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx {
        format: nginx::Format::Custom(BYTES_SENT),
        fastcgi_buffers: "fastcgi_buffers 16 256k; fastcgi_buffer_size 256k; fastcgi_busy_buffers_size 512k;",
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 4.5, (2.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..60);
        let mut r = v.req(rng, "guest", "GET", format!("/members/profile/{n}"), who);
        if rng.random_bool(0.3) {
            r.tag = "fault";
            r.headers.push(("Cookie".into(), format!("wordpress_logged_in=user{n}%7C1763851331")));
        }
        r
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::HeaderTooLarge && row.req.tag == "fault").then(|| Label::new("headers-too-large", access(row, "200 ")))
    });
    Ok(())
}

async fn garbage_nginx(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9141, "app.log", &["/api/v2/stream=garbage"]).await?;
    let to = run.ip(20).to_string() + ":9141";
    nginx::Nginx { format: nginx::Format::Combined, app: nginx::App::Proxy(to), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (6.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/api/v2/stream/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::NotHttp && row.req.tag == "fault")
            .then(|| Label::new("malformed-response", format!("no valid HTTP/1.0 header||{}", access(row, "009 "))))
    });
    Ok(())
}

const NPH: &str = r#"#!/bin/sh
n=${QUERY_STRING#n=}
if [ $((n % 3)) = 0 ]; then echo "nph-export: warning: no template for report $n" >&2; fi
case $((n % 2)) in
  0) printf 'Report %s\n\nname;value\na;1\n' "$n" ;;
  *) printf 'Content-Type: text/csv\r\n\r\nname;value\na;%s\n' "$n" ;;
esac
"#;

async fn nph(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let script = run.write("var/www/site/cgi/nph-export.cgi", NPH)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let root = run.root.display();
    let vhost = format!(
        "ScriptAlias /cgi-bin/ {root}/var/www/site/cgi/\n<Directory {root}/var/www/site/cgi>\nRequire all granted\nOptions ExecCGI\n</Directory>\n"
    );
    apache::Apache { modules: &["cgi"], vhost, format: apache::Format::Timed, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/cgi-bin/nph-export.cgi?n={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::NotHttp && row.req.tag == "fault")
            .then(|| Label::new("malformed-response", format!("nph-export: warning||{}", access(row, "200 "))))
    });
    Ok(())
}

async fn closed(run: &mut Run, format: apache::Format) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9142, "app.log", &["/api/v2/search=close"]).await?;
    let to = run.ip(20).to_string() + ":9142";
    apache::Apache { app: apache::App::Proxy(to), format, real_ip: run.set.client == "visitor", ..Default::default() }
        .start(run, None)
        .await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(1.8, (5.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/api/v2/search?q={n}"), who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}

async fn closed_apache(run: &mut Run) -> Result<()> {
    closed(run, apache::Format::Timed).await
}

async fn closed_apache_ray(run: &mut Run) -> Result<()> {
    closed(run, apache::Format::CfCustom).await
}
