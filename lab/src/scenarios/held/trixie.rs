//! The servers of Debian 13.

use anyhow::Result;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, cgroup, crashes, kernel_log, oom_pids, slow_reports, took};
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, fpm, nginx, node, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held-worker-crash-abort", "nginx 1.26 workers abort (signal 6) under an application's requests; virtual host first in the log, IPv6 edges, Tokyo.", abort,
            { debian: Debian::Trixie, ipv6: true, tz: "Asia/Tokyo", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, ray: "nginx $http_cf_ray" }),
        scenario!("held-app-fatal-php84", "PHP 8.4 throws behind nginx 1.26, 500 mapped to 444; log with the duration before the request, Sao Paulo, clock behind.", php84,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::UsEast, skew_s: -62, stamp: Stamp::Rfc3339 }),
        scenario!("held-plugin-fault-module", "A contributed Drupal module throws under PHP 8.4; nginx 1.26 maps the 500 to 444; journal.", module,
            { debian: Debian::Trixie, wrap: Wrap::Journal, stamp: Stamp::UnixNano, ray: "json request_ray" }),
        scenario!("held-timeout-kill-php84", "request_terminate_timeout under PHP-FPM 8.4, 502 mapped to 444; IPv6 edges, 5xx only.", terminate,
            { debian: Debian::Trixie, ipv6: true, job: Job::Only5xx, stamp: Stamp::Unix, profile: Profile::WordPress, tz: "Europe/Berlin", skew_s: 19 }),
        scenario!("held-oom-kill-php84", "FPM 8.4 children are killed for memory; kernel log beside; 502 mapped to 444.", oom,
            { debian: Debian::Trixie, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, skew_s: 37 }),
        scenario!("held-headers-too-large-json", "mod_php 8.4 sets too many cookies; Apache writes JSON with %O and %B; IPv6 edges.", headers_json,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::Rfc3339, status_on_520: 520 }),
        scenario!("held-edge-ip-blocked-allowlist", "nginx 1.26 allows a list of Cloudflare networks that lacks one; 403 is mapped to 444.", allow_list,
            { debian: Debian::Trixie, stamp: Stamp::UnixNano, tz: "Australia/Sydney", site: Site::India, profile: Profile::WordPress }),
        scenario!("held-throttled-limitconn6", "limit_conn by address with status 444 and no real_ip on nginx 1.26; edges have IPv6 addresses.", throttled,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::Rfc3339Ms, skew_s: -7 }),
        scenario!("held-origin-pull-rejected-optional", "ssl_verify_client optional, and a rule closes on whoever shows no certificate; $ssl_client_verify is in the log.", optional,
            { debian: Debian::Trixie, stamp: Stamp::Unix, tz: "America/New_York", site: Site::UsEast }),
        scenario!("held-request-rejected-http2", "HTTP/2 to nginx 1.26: cookies over the limit end the connection; vhost first in the log, info level.", h2_header,
            { debian: Debian::Trixie, stamp: Stamp::UnixNano, profile: Profile::WordPress }),
        scenario!("held-backend-closed-node", "A Node application drops connections behind Apache 2.4 of Debian 13; IPv6 edges, fourteen fields.", node_closes,
            { debian: Debian::Trixie, ipv6: true, job: Job::Fourteen, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, skew_s: 11 }),
    ]
}

const VHOST_FIRST: &str = r#"log_format main '$host $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_cf_ray" $request_time';"#;
pub const VHOST_NO_RAY: &str = r#"log_format main '$host $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"';"#;
const TIMED_END: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time $upstream_response_time $pipe';"#;
const JSON_RAY: &str = r#"log_format main escape=json '{"ts":$msec,"remote_ip":"$remote_addr","request_ray":"$http_cf_ray","host":"$host","method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,"user_agent":"$http_user_agent"}';"#;

async fn abort(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9301, "app.log", &["/reports/build=slow:1300"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9301");
    let at = nginx::Nginx { app, format: nginx::Format::Custom(VHOST_FIRST), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    crashes(run, master, libc::SIGABRT, &[8.3, 14.9, 19.2, 25.5, 31.4, 37.7, 44.6]).await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.4;
        (cut_off(row) && run.near_event(row, "signal 6", 0.02, late)).then(|| Label::new("worker-crash", "exited on signal 6"))
    });
    Ok(())
}

async fn php84(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/invoice/", "lib/invoice.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::Custom(TIMED_END), in_app: HIDE.into(), server: DROP.into(), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "POST", format!("/invoice/{n}/send"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault")
            .then(|| Label::new("app-fatal", "Uncaught Error: Call to a member function diff() on null"))
    });
    Ok(())
}

async fn module(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/form/", "modules/contrib/webform_stock/src/StockElement.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::Custom(JSON_RAY), in_app: HIDE.into(), server: DROP.into(), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "fault", "GET", format!("/form/order-{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("plugin-fault", "modules/contrib/webform_stock/src/StockElement.php"))
    });
    Ok(())
}

async fn terminate(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/wp-json/rates/", "lib/rates.php")], &[("SLEEP", "9")])?;
    fpm::Fpm { extra: "request_terminate_timeout = 4s\n".into(), children: 18, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.3, (6.0, end - 7.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/wp-json/rates/v1/zip/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 3.0)
            .then(|| Label::new("timeout-kill", format!("execution timed out||{}", access(row, "444"))))
    });
    Ok(())
}

async fn oom(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/import/", "lib/import.php")], &[])?;
    let group = cgroup(run, 300)?;
    fpm::Fpm { extra: "php_admin_value[memory_limit] = -1".into(), ..Default::default() }.start(run, Some(&group)).await?;
    nginx::Nginx { format: nginx::Format::Timed, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.1, (7.0, end - 5.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/import/stock/{n}"), who)
    })
    .await;
    let pids = oom_pids(run);
    kernel_log(run, "/system.slice/php8.4-fpm.service", move |m| {
        m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))
    })
    .await?;
    run.label =
        Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("oom-kill", "Killed process||exited on signal 9")));
    Ok(())
}

const APACHE_JSON: &str = r#"{ \"time\":\"%{%Y-%m-%dT%T}t.%{msec_frac}tZ\", \"client\":\"%h\", \"method\":\"%m\", \"uri\":\"%U%q\", \"status\":%>s, \"bytes_out\":%O, \"body\":%B, \"us\":%D, \"agent\":\"%{User-Agent}i\", \"host\":\"%v\" }"#;

async fn headers_json(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/account/seen", "lib/wishes.php")], &[])?;
    apache::Apache { format: apache::Format::Custom(APACHE_JSON), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..50_000);
        v.req(rng, "fault", "GET", format!("/account/seen?u={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("\"uri\":\"{}\", \"status\":200", row.req.uri);
        (row.why == Why::HeaderTooLarge && row.req.tag == "fault").then(|| Label::new("headers-too-large", text))
    });
    Ok(())
}

async fn allow_list(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    // Colo 8 (SIN) is the network that the list lacks.
    let mut server = String::from("error_page 403 = @drop; ");
    for (i, _) in run.edge.colos.iter().enumerate().filter(|(i, _)| *i != 8) {
        server += &format!("allow 127.200.{}.0/24; ", i + 1);
    }
    server += &format!("allow {}; allow 127.202.0.0/16; deny all; {DROP}", run.ip(2));
    nginx::Nginx { server, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.notes.push("The dropped answers of SIN's addresses come of an allow list without their network.".into());
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.visitor.colo == 8)
            .then(|| Label::new("edge-ip-blocked", format!("access forbidden by rule||{}", access(row, "444 0"))))
    });
    Ok(())
}

async fn throttled(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.9")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    let http = "limit_conn_zone $binary_remote_addr zone=perip:1m; limit_conn_status 444; limit_conn_log_level warn;";
    let in_app = "limit_conn perip 3;".into();
    nginx::Nginx { level: "warn", format: nginx::Format::Custom(VHOST_NO_RAY), http: http.into(), in_app, ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 10.0, (8.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    })
    .await;
    run.label =
        Box::new(|row, _| cut_off(row).then(|| Label::new("throttled", format!("limiting connections by zone||{}", access(row, "444 0")))));
    Ok(())
}

const VERIFY: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $ssl_protocol $ssl_client_verify';"#;

async fn optional(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let ca = run.path("etc/ssl/pull-ca.crt");
    let server = format!(
        "ssl_verify_client optional; ssl_client_certificate {}; if ($ssl_client_verify != SUCCESS) {{ return 444; }} keepalive_requests 40;",
        ca.display()
    );
    nginx::Nginx { tls: true, format: nginx::Format::Custom(VERIFY), server, ..Default::default() }.start(run).await?;
    let ssl = run.path("etc/ssl");
    let (crt, key) = (ssl.join("pull.crt"), ssl.join("pull.key"));
    let origin = run.origin(10, 28443, Some(client(TlsOptions { client_cert: Some((&crt, &key)), h2: false })?));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    run.until(33.0).await;
    run.event("the edge shows no client certificate any more");
    run.edge.set_origin(origin, Origin { tls: Some(client(TlsOptions::default())?), ..now });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && !row.reused).then(|| Label { cause: "origin-pull-rejected", accept: "", evidence: access(row, "444 0") })
    });
    Ok(())
}

async fn h2_header(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.8")])?;
    certificates(run).await?;
    fpm::Fpm { children: 20, ..Default::default() }.start(run, None).await?;
    nginx::Nginx {
        tls: true,
        level: "info",
        server: "http2 on;".into(),
        format: nginx::Format::Custom(VHOST_NO_RAY),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    background(run);
    let end = run.set.seconds as f64;
    run.load(5.0, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    });
    run.load(0.9, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..40);
        let mut r = v.req(rng, "fault", "GET", format!("/2026/09/lamp-{n}/"), who);
        let cookie = (0..260).map(|i| format!("seen_{i}={:0130}", rng.random::<u64>())).collect::<Vec<_>>().join("; ");
        r.headers.push(("cookie".into(), cookie));
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = if row.req.tag == "fault" {
            "client sent too large header||\"-\" 000 0".into()
        } else {
            format!("\"{} {} HTTP/2.0\" 499 0||client sent too large header", row.req.method, row.req.uri)
        };
        (row.why == Why::Http2).then(|| Label::new("request-rejected", text))
    });
    Ok(())
}

async fn node_closes(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    run.local(20, 9302);
    node::start(run, 20, 9302, "").await?;
    let to = run.ip(20).to_string() + ":9302";
    apache::Apache { app: apache::App::Proxy(to), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.8, (5.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/api/v2/search?q={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}
