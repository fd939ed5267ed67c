//! Gateway errors that a site maps to 444, by other ways and under other applications.

use anyhow::Result;
use rand::Rng;

use super::crash::{DROP, HIDE, cgroup, took};
use super::{Scenario, access, background, cut_off, drive};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run, Wrap};
use crate::scenario;
use crate::stacks::{fpm, gunicorn, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("timeout-kill-gunicorn", "gunicorn aborts a sync worker that is busy for longer than --timeout; nginx maps the 502 to 444.", gunicorn_timeout,
            { profile: Profile::Saas, stamp: Stamp::Rfc3339Ms, skew_s: 14 }),
        scenario!("app-fatal-gunicorn-journal", "A Python application raises; proxy_intercept_errors and `return 444`; everything in the journal, New York time.", gunicorn_raises,
            { wrap: Wrap::Journal, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Unix }),
        scenario!("plugin-fault-muplugin-5xx", "A must-use plugin throws on some pages; error_page names an internal location that returns 444, so the log says 500 with 0 bytes; the job delivers 5xx only.", muplugin,
            { profile: Profile::WordPress, job: Job::Only5xx, stamp: Stamp::UnixNano, skew_s: -31 }),
        scenario!("pool-exhausted-readtimeout-json", "Four FPM children are busy with slow pages; whoever waits in the queue for longer than fastcgi_read_timeout gets a 504, mapped to 444. JSON log with the ray under another key.", queue,
            { ray: "json edge_req", stamp: Stamp::Rfc3339, tz: "America/New_York", site: Site::UsEast }),
        scenario!("timeout-kill-location-syslog", "request_terminate_timeout; error_page to an internal location that returns 444; nginx logs to syslog.", terminate_syslog,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Unix, profile: Profile::WordPress }),
        scenario!("oom-kill-nokernel-json", "FPM children are killed by the memory cgroup; no kernel log is at hand, only FPM's `signal 9`; JSON log.", oom_quiet,
            { ray: "json cf_ray", stamp: Stamp::UnixNano, status_on_520: 520 }),
    ]
}

/// Another way to the same end as `HIDE` and `DROP`; nginx then logs the first status with 0 bytes, not 444.
pub const HIDE_BY_PATH: &str = "error_page 500 502 503 504 /hidden-error; fastcgi_intercept_errors on;";
pub const DROP_BY_PATH: &str = "location = /hidden-error { internal; return 444; }";
pub const HIDE_PROXY: &str = "error_page 500 502 504 = @drop; proxy_intercept_errors on;";
pub const JSON_EDGE_REQ: &str = r#"log_format main escape=json '{"time":"$time_iso8601","vhost":"$host","client":"$remote_addr","edge_req":"$http_cf_ray","verb":"$request_method","path":"$request_uri","code":$status,"size":$body_bytes_sent,"took":"$request_time","backend_took":"$upstream_response_time","backend_code":"$upstream_status","agent":"$http_user_agent"}';"#;

async fn gunicorn_timeout(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    gunicorn::start(run, 20, 9180, &["--workers", "14", "--timeout", "3"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9180");
    nginx::Nginx { app, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    run.set.rate = 16.0;
    let end = run.set.seconds as f64;
    drive(run, 0.9, (5.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "fault", "GET", format!("/reports/build/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 2.5)
            .then(|| Label::new("timeout-kill", format!("WORKER TIMEOUT||{}", access(row, "444"))))
    });
    Ok(())
}

async fn gunicorn_raises(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    gunicorn::start(run, 20, 9181, &["--workers", "5"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9181");
    nginx::Nginx { app, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/invoice/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("KeyError: 'vat_rate'||Exception on {}", row.req.uri);
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", text))
    });
    Ok(())
}

async fn muplugin(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/shop/", "wp-content/mu-plugins/geo-price.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { in_app: HIDE_BY_PATH.into(), server: DROP_BY_PATH.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.7, (5.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..200);
        v.req(rng, "fault", "GET", format!("/shop/item-{n}/"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault")
            .then(|| Label::new("plugin-fault", format!("wp-content/mu-plugins/geo-price.php||{}", access(row, "500 0"))))
    });
    Ok(())
}

async fn queue(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "2.0")])?;
    fpm::Fpm { children: 4, ..Default::default() }.start(run, None).await?;
    nginx::Nginx {
        format: nginx::Format::Custom(JSON_EDGE_REQ),
        read_timeout: 3,
        in_app: HIDE.into(),
        server: DROP.into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    run.set.rate = 15.0;
    background(run);
    for at in [11.0, 33.0] {
        run.load(6.5, (at, at + 2.6), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && took(row) > 2.7).then(|| Label::new("pool-exhausted", "upstream timed out (110: Connection timed out)"))
    });
    Ok(())
}

async fn terminate_syslog(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/wp-json/rates/", "lib/rates.php")], &[("SLEEP", "9")])?;
    fpm::Fpm { extra: "request_terminate_timeout = 2s\n".into(), children: 16, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { syslog: true, in_app: HIDE_BY_PATH.into(), server: DROP_BY_PATH.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.3, (6.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/wp-json/rates/v1/zip/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 1.5)
            .then(|| Label::new("timeout-kill", format!("execution timed out||{}", access(row, "502 0"))))
    });
    Ok(())
}

async fn oom_quiet(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/import/", "lib/import.php")], &[])?;
    let group = cgroup(run, 300)?;
    fpm::Fpm { extra: "php_admin_value[memory_limit] = -1".into(), ..Default::default() }.start(run, Some(&group)).await?;
    nginx::Nginx { format: nginx::Format::JsonRay, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.1, (7.0, end - 5.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/import/feed/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label {
            cause: "oom-kill",
            accept: "worker-crash",
            evidence: "exited on signal 9".into(),
        })
    });
    Ok(())
}
