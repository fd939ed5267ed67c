//! Apache: prefork with mod_php of Debian 11 to 13, event with PHP-FPM.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::{cgroup, follow_kernel, kernel_log, oom_pids};
use crate::scenarios::race::{devices, raced};
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{apache, certificates, fpm, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held5-worker-crash-heap-modphp", "A native library under mod_php 8.4 frees what is not its own and aborts (signal 6); Apache of Debian 13, CF-Connecting-IP first in the log; Los Angeles, clock ahead.", heap,
            { debian: Debian::Trixie, client: "visitor", tz: "America/Los_Angeles", site: Site::UsEast, stamp: Stamp::Unix, profile: Profile::Magento, skew_s: 21 }),
        scenario!("held5-oom-kill-modphp-journal", "mod_php 8.4 imports outgrow the memory cgroup of Apache (Debian 13) and the kernel kills its processes; journal with the kernel's lines, sampled; Karachi, clock behind.", imports,
            { debian: Debian::Trixie, wrap: Wrap::Journal, tz: "Asia/Karachi", site: Site::India, job: Job::Sampled(85), stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, skew_s: -7 }),
        scenario!("held5-headers-too-large-preload", "A theme sends a Link header for every image of a landing page, through PHP-FPM 8.4 and Apache event of Debian 13 with TLS; combinedio; Chicago, clock behind.", preload,
            { debian: Debian::Trixie, tz: "America/Chicago", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: -48 }),
        scenario!("held5-keepalive-race-prefork12", "Apache prefork of Debian 11 (mod_php 7.4) closes idle connections after 12 s; devices report about five times a minute; X-Forwarded-For first and the edge's address last in the log; Warsaw.", race,
            { debian: Debian::Bullseye, client: "visitor", tz: "Europe/Warsaw", stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, seconds: 110, rate: 18.0, skew_s: 4 }),
        scenario!("held5-cannot-tell-accessonly", "Apache children die on any page, by one signal or another, and only Apache's access log is there: no line of those requests, no error log, no kernel log.", access_only,
            { tz: "Europe/Madrid", stamp: Stamp::UnixNano, profile: Profile::Forum, skew_s: 13 }),
    ]
}

const CONNECTING: &str = r#"%{CF-Connecting-IP}i %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""#;
const COMBINED_IO: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %I %O"#;
const FORWARDED: &str = r#"%{X-Forwarded-For}i %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %h"#;

const NATIVE: &str = r#"<?php
// The binding of a native image library; its release function gets an address that malloc never gave.
usleep(random_int(2000, 40000));
$c = FFI::cdef('void *malloc(size_t size); void free(void *block);', 'libc.so.6');
$image = $c->cast('char *', $c->malloc(8192));
$c->free($c->cast('void *', $image + 24));
echo 'done';
"#;

async fn heap(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/media/resize/", "lib/native.php")], &[])?;
    run.write("var/www/site/lib/native.php", NATIVE)?;
    let global = "php_admin_value ffi.enable 1".into();
    apache::Apache { format: apache::Format::Custom(CONNECTING), global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/media/resize/{n}-640x480.webp"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("worker-crash", "exit signal Abort (6)")));
    Ok(())
}

async fn imports(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/supplier/", "lib/import.php")], &[])?;
    let group = cgroup(run, 340)?;
    let global = "php_admin_value memory_limit -1".into();
    let web = apache::Apache { workers: 70, format: apache::Format::Combined, global, ..Default::default() };
    web.start(run, Some(&group)).await?;
    follow_kernel(run)?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 0.7, (6.0, end - 5.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/supplier/feed/{n}"), who)
    })
    .await;
    let pids = oom_pids(run);
    let unit = "/system.slice/apache2.service";
    kernel_log(run, unit, move |m| m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))).await?;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("oom-kill", "Killed process")));
    Ok(())
}

const LANDING: &str = r#"<?php
// One preload for each image that the page may show.
$n = crc32($_SERVER['REQUEST_URI']);
$images = $n % 5 < 2 ? 1350 + $n % 300 : 4 + $n % 30;
for ($i = 0; $i < $images; $i++) {
    header('Link: </wp-content/uploads/2026/11/' . md5($n . $i) . "-$i-1600x900.webp>; rel=preload; as=image; fetchpriority=high", false);
}
header('Content-Type: text/html; charset=UTF-8');
usleep(random_int(3000, 40000));
echo str_repeat('<img src="' . md5($path) . '">', 100 + $n % 60);
"#;

async fn preload(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/landing/", "lib/landing.php")], &[])?;
    run.write("var/www/site/lib/landing.php", LANDING)?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let web = apache::Apache { tls: true, app: apache::App::Fpm("www"), format: apache::Format::Custom(COMBINED_IO), ..Default::default() };
    web.start(run, None).await?;
    run.origin(10, 28443, Some(client(TlsOptions::default())?));
    let end = run.set.seconds as f64;
    drive(run, 3.2, (3.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..80);
        v.req(rng, "landing", "GET", format!("/landing/winter-{n}/"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::HeaderTooLarge && row.req.tag == "landing").then(|| Label::new("headers-too-large", access(row, "200 ")))
    });
    Ok(())
}

async fn race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    apache::Apache {
        keepalive: 12,
        workers: 250,
        format: apache::Format::Custom(FORWARDED),
        vhost: format!("ServerAlias iot.{}", run.visitors.zone()),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    devices(run, 12.0, 40);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 12.0).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

const PREPEND: &str = r#"<?php
// A broken extension takes the process with it now and then, one way or another.
if (random_int(1, 24) == 1) { usleep(random_int(1000, 60000)); posix_kill(getmypid(), random_int(0, 1) ? 11 : 9); sleep(1); }
"#;

async fn access_only(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let prepend = run.write("var/www/site/lib/prepend.php", PREPEND)?.display().to_string();
    let global = format!("php_admin_value auto_prepend_file {prepend}");
    apache::Apache { global, format: apache::Format::Timed, ..Default::default() }.start(run, None).await?;
    run.logs.retain(|(_, to, _)| !to.ends_with("error.log"));
    run.notes.push("Apache's error log is left out. Pages kill their own process with signal 11 or 9, by chance.".into());
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("unknown", "")));
    Ok(())
}
