//! Application fatals that the web server hides behind a close.

use anyhow::Result;
use rand::Rng;
use rand::rngs::StdRng;

use super::crash::{DROP, HIDE};
use super::{Scenario, access, cut_off, drive};
use crate::edge::Req;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Label, Run, Wrap};
use crate::scenario;
use crate::stacks::{fpm, nginx, site};
use crate::traffic::{Profile, Visitors};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("app-fatal-nginx-stderr", "Uncaught errors and exhausted memory limits in PHP; nginx answers the 500 with `return 444`.", fatal_stderr,
            { stamp: Stamp::Rfc3339, status_on_520: 520 }),
        scenario!("app-fatal-phplog-kolkata", "Uncaught PHP errors, written to PHP's own log in UTC while nginx logs Kolkata time; nginx answers the 500 with `return 444`.", fatal_phplog,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, skew_s: -35 }),
        scenario!("plugin-fault-wp-stderr", "A WordPress plugin throws in a hook; nginx answers the 500 with `return 444`.", plugin_stderr,
            { profile: Profile::WordPress, ray: "nginx $http_cf_ray", stamp: Stamp::UnixNano }),
        scenario!("plugin-fault-wp-syslog", "A WordPress plugin throws in a hook; nginx answers the 500 with `return 444`. Everything in syslog.", plugin_syslog,
            { profile: Profile::WordPress, wrap: Wrap::Syslog, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Unix }),
    ]
}

fn invoice(rng: &mut StdRng, v: &Visitors) -> Req {
    let who = v.person(rng);
    let n = rng.random_range(1..700);
    let uri = if rng.random_bool(0.3) { format!("/media/thumb/{n}") } else { format!("/invoice/{n}/pdf") };
    v.req(rng, "fault", "GET", uri, who)
}

fn booking(rng: &mut StdRng, v: &Visitors) -> Req {
    let who = v.person(rng);
    let n = rng.random_range(1..28);
    v.req(rng, "fault", "GET", format!("/booking/2026-12-{n:02}/"), who)
}

async fn fatal(run: &mut Run, fpm: fpm::Fpm, format: nginx::Format) -> Result<()> {
    site::write(run, &[("^/invoice/", "lib/invoice.php"), ("^/media/thumb/", "lib/thumbs.php")], &[])?;
    fpm.start(run, None).await?;
    nginx::Nginx { format, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 3.0), invoice).await;
    run.label = Box::new(|row, _| {
        let text = if row.req.uri.starts_with("/media") {
            "Allowed memory size of"
        } else {
            "Uncaught Error: Call to a member function diff() on null"
        };
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", text))
    });
    Ok(())
}

async fn fatal_stderr(run: &mut Run) -> Result<()> {
    fatal(run, fpm::Fpm::default(), nginx::Format::Combined).await
}

async fn fatal_phplog(run: &mut Run) -> Result<()> {
    fatal(run, fpm::Fpm { php_log: true, ..Default::default() }, nginx::Format::JsonPlain).await
}

async fn plugin(run: &mut Run, format: nginx::Format) -> Result<()> {
    site::write(run, &[("^/booking/", "wp-content/plugins/booking-calendar-lite/booking.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 3.0), booking).await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault")
            .then(|| Label::new("plugin-fault", format!("wp-content/plugins/booking-calendar-lite||{}", access(row, "444"))))
    });
    Ok(())
}

async fn plugin_stderr(run: &mut Run) -> Result<()> {
    plugin(run, nginx::Format::CfCustom).await
}

async fn plugin_syslog(run: &mut Run) -> Result<()> {
    plugin(run, nginx::Format::Timed).await
}
