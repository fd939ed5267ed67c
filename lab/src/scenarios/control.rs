//! Recordings without any 520, and recordings with several causes at once.

use anyhow::Result;
use rand::Rng;

use super::crash::{DROP, HIDE, took};
use super::edge_side::nginx_and_apache;
use super::{Scenario, access, background, cut_off};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("control-no-520-apache", "Apache event and PHP-FPM: crashes, a full pool, timeouts, denials and a graceful reload, all answered validly.", near_misses,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::WordPress }),
        scenario!("control-no-520-nginx-ray", "nginx and PHP-FPM: the same faults, all answered validly; ray in the log.", near_misses_nginx,
            { ray: "nginx $http_cf_ray", stamp: Stamp::UnixNano, skew_s: 20 }),
        scenario!("mixed-two-servers", "Two servers whose clocks differ: web1 (nginx) drops a location with 444, web2 (Apache, mod_php) crashes.", two_servers,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms }),
        scenario!("mixed-one-server", "One nginx with PHP-FPM in the same minute: scrapers closed, uncaught errors and time-outs hidden behind 444.", one_server,
            { stamp: Stamp::Unix, status_on_520: 520, job: Job::All, profile: Profile::Shop }),
    ]
}

const FAULTS: &[(&str, &str)] = &[
    ("^/export/tree", "lib/tree.php"),
    ("^/invoice/", "lib/invoice.php"),
    ("^/quote/", "lib/rates.php"),
    ("^/media/thumb/", "lib/thumbs.php"),
];

fn faulty(run: &mut Run) {
    let end = run.set.seconds as f64;
    run.load(2.2, (4.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..4) {
            0 => format!("/export/tree?n={n}"),
            1 => format!("/invoice/{n}/pdf"),
            2 => format!("/quote/shipping?zip={n}"),
            _ => format!("/media/thumb/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    });
}

fn fpm() -> fpm::Fpm {
    fpm::Fpm {
        children: 5,
        extra: "request_terminate_timeout = 4s\nlisten.backlog = 4\nphp_admin_value[memory_limit] = 1G".into(),
        ..Default::default()
    }
}

async fn near_misses(run: &mut Run) -> Result<()> {
    site::write(run, FAULTS, &[("SLEEP", "6")])?;
    fpm().start(run, None).await?;
    let at = apache::Apache { app: apache::App::Fpm("www"), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    // Before the traffic: a graceful restart closes idle connections, which would be a race of its own.
    run.event("graceful restart of Apache");
    run.procs[at].signal(libc::SIGUSR1);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    background(run);
    faulty(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    Ok(())
}

async fn near_misses_nginx(run: &mut Run) -> Result<()> {
    site::write(run, FAULTS, &[("SLEEP", "6")])?;
    fpm().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::CfCustom, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    faulty(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    Ok(())
}

async fn two_servers(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    run.skews.insert("web1".into(), -48);
    run.skews.insert("web2".into(), 33);
    nginx_and_apache(run, "location ^~ /vendor/ { return 444; }".into()).await?;
    background(run);
    let end = run.set.seconds as f64;
    run.load(run.set.rate * 0.6, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.origin = 1;
        r
    });
    run.load(1.1, (5.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..500);
        v.req(rng, "rule", "GET", format!("/vendor/widgets/{n}.js"), who)
    });
    run.load(1.1, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let mut r = v.req(rng, "crash", "GET", format!("/export/tree?n={n}"), who);
        r.origin = 1;
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| match row.req.tag {
        "rule" if cut_off(row) => Some(Label::new("rule-dropped", access(row, "444 0"))),
        "crash" if cut_off(row) => Some(Label::new("worker-crash", "exit signal Segmentation fault (11)")),
        _ => None,
    });
    Ok(())
}

async fn one_server(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/invoice/", "lib/invoice.php"), ("^/quote/", "lib/rates.php")], &[("SLEEP", "7")])?;
    fpm::Fpm { extra: "request_terminate_timeout = 3s".into(), children: 14, ..Default::default() }.start(run, None).await?;
    let http = "map $http_user_agent $bad_agent { default 0; ~*(petalbot|scrapy|ahrefs) 1; }";
    nginx::Nginx {
        http: http.into(),
        in_app: HIDE.into(),
        server: format!("if ($bad_agent) {{ return 444; }} {DROP}"),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(1.7, (5.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = if rng.random_bool(0.5) { format!("/invoice/{n}/pdf") } else { format!("/quote/shipping?zip={n}") };
        v.req(rng, "fault", "GET", uri, who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        if !cut_off(row) {
            None
        } else if row.req.visitor.ua.contains("Ahrefs") {
            Some(Label::new("client-blocked", access(row, "444 0")))
        } else if row.req.tag == "fault" && row.req.uri.starts_with("/invoice") {
            Some(Label::new("app-fatal", "Uncaught Error: Call to a member function diff() on null"))
        } else {
            (row.req.tag == "fault" && took(row) > 2.5)
                .then(|| Label::new("timeout-kill", format!("execution timed out||{}", access(row, "444"))))
        }
    });
    Ok(())
}
