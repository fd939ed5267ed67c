//! Processes that die: by a signal, for memory, for taking too long.

use std::path::PathBuf;

use anyhow::Result;
use rand::Rng;

use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::Row;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run, Wrap};
use crate::scenario;
use crate::stacks::{self, apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("oom-kill-apache-kern", "mod_php import pages outgrow the memory cgroup; the kernel kills the Apache child (SIGKILL), Apache logs nothing.", oom_apache,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms }),
        scenario!("oom-kill-fpm-journal", "PHP-FPM children outgrow the memory cgroup and are killed; nginx turns its 502 into `return 444`. Everything in the journal.", oom_fpm,
            { ray: "nginx $http_cf_ray", wrap: Wrap::Journal, status_on_520: 520 }),
        scenario!("timeout-kill-fpm-ray", "PHP-FPM ends requests that run longer than request_terminate_timeout; nginx turns its 502 into `return 444`.", timeout_fpm_ray,
            { tz: "America/New_York", site: Site::UsEast, ray: "nginx $http_cf_ray", stamp: Stamp::UnixNano }),
        scenario!("timeout-kill-hard-combined", "PHP's hard timeout ends a child inside a long C function (exit code 124); nginx turns its 502 into `return 444`.", timeout_hard,
            { skew_s: 31, stamp: Stamp::Unix, rate: 20.0 }),
        scenario!("worker-crash-nginx-combined", "nginx workers in front of an application die of SIGSEGV with requests in flight.", nginx_crash_combined,
            { tz: "America/New_York", site: Site::UsEast, skew_s: -90, profile: Profile::Saas, rotate: true }),
        scenario!("worker-crash-nginx-jsonray-14", "nginx workers die of SIGSEGV with requests in flight; the Logpush job has fourteen fields.", nginx_crash_json,
            { profile: Profile::Saas, ray: "json cf_ray", job: Job::Fourteen, stamp: Stamp::Rfc3339Ms }),
        scenario!("worker-crash-fpm-444", "PHP-FPM children die of a real stack overflow; nginx turns its 502 into `return 444`.", fpm_crash,
            { client: "visitor", stamp: Stamp::UnixNano, profile: Profile::WordPress }),
        scenario!("worker-crash-apache-event", "An Apache event child dies of SIGSEGV with the requests of many threads in flight.", event_crash,
            { site: Site::UsEast, tz: "America/New_York", profile: Profile::Saas, job: Job::Only5xx }),
        scenario!("worker-crash-nginxcore-reload", "nginx workers dump core (`core dumped`) under an application's requests; a reload half a minute before the first is a decoy; JSON log with the ray under another key.", nginx_core,
            { profile: Profile::Saas, ray: "json edge_req", stamp: Stamp::Unix, skew_s: 45, seconds: 75 }),
    ]
}

/// nginx hides the application's gateway errors: common "hardening".
pub const HIDE: &str = "error_page 500 502 504 = @drop; fastcgi_intercept_errors on;";
pub const DROP: &str = "location @drop { return 444; }";

pub fn took(row: &Row) -> f64 {
    row.over_at.duration_since(row.sent_at).unwrap_or_default().as_secs_f64()
}

pub fn cgroup_of(name: &str) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup/memory/cfray-lab-{name}"))
}

pub fn cgroup(run: &Run, mib: u64) -> Result<PathBuf> {
    let dir = cgroup_of(&run.name);
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("memory.limit_in_bytes"), format!("{}", mib << 20))?;
    Ok(dir)
}

/// Keeps the kernel's messages from now on: each OOM report lists all processes, and many of them overrun the ring buffer.
pub fn follow_kernel(run: &mut Run) -> Result<()> {
    let proc = stacks::Proc::start(run, "dmesg", &["dmesg", "--follow-new", "--time-format", "iso"], None)?;
    run.procs.push(proc);
    Ok(())
}

/// What was kept, or what the ring buffer still holds.
fn kernel_says(run: &Run) -> String {
    if let Ok(text) = std::fs::read_to_string(run.path("run/dmesg.out")) {
        return text;
    }
    let out = std::process::Command::new("dmesg").args(["--time-format", "iso"]).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

/// The kernel's OOM lines about this run's cgroup, with the header a log daemon puts before them.
pub async fn kernel_log(run: &mut Run, unit: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let text = kernel_says(run);
    let tz = jiff::tz::TimeZone::get(run.set.tz)?;
    let from = jiff::Timestamp::try_from(run.began_at)?;
    let up = std::fs::read_to_string("/proc/uptime")?;
    let up: f64 = up.split(' ').next().unwrap_or("0").parse()?;
    let group = format!("/cfray-lab-{}", run.name);
    let mut log = String::new();
    for line in text.lines() {
        let Some((stamp, message)) = line.split_once(' ') else { continue };
        let Ok(t) = stamp.replace(',', ".").parse::<jiff::Timestamp>() else { continue };
        if t < from || !(message.contains(&group) || wanted(message)) {
            continue;
        }
        let at = up - jiff::Timestamp::now().duration_since(t).as_secs_f64();
        let head = t.to_zoned(tz.clone()).strftime("%b %e %H:%M:%S").to_string();
        log += &format!("{head} web1 kernel: [{at:>12.6}] {}\n", message.replace(&group, unit));
    }
    run.write("var/log/kern.log", &log)?;
    run.log("var/log/kern.log", "kern.log", "kernel");
    run.notes.push("kern.log: the kernel's own lines (dmesg) of this run; the syslog header before them was written by the lab, the cgroup's name replaced.".into());
    Ok(())
}

/// Pids the kernel says it killed in this run's cgroup.
pub fn oom_pids(run: &Run) -> Vec<String> {
    let out = kernel_says(run);
    let group = format!("/cfray-lab-{}", run.name);
    out.lines()
        .filter(|l| l.contains("oom-kill:") && l.contains(&group))
        .filter_map(|l| l.split("pid=").nth(1).map(|p| p.split(',').next().unwrap_or("").to_owned()))
        .collect()
}

async fn imports(run: &mut Run, unit: &str, evidence: fn(&Row) -> String) -> Result<()> {
    let end = run.set.seconds as f64;
    drive(run, 1.1, (7.0, end - 5.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/import/feed/{n}"), who)
    })
    .await;
    let pids = oom_pids(run);
    kernel_log(run, unit, move |m| m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))).await?;
    run.label = Box::new(move |row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("oom-kill", evidence(row))));
    Ok(())
}

async fn oom_apache(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/import/", "lib/import.php")], &[])?;
    let group = cgroup(run, 330)?;
    apache::Apache { workers: 60, global: "php_admin_value memory_limit -1".into(), ..Default::default() }.start(run, Some(&group)).await?;
    run.origin(10, 28080, None);
    imports(run, "/system.slice/apache2.service", |_| "Killed process".into()).await
}

async fn oom_fpm(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/import/", "lib/import.php")], &[])?;
    let group = cgroup(run, 300)?;
    fpm::Fpm { extra: "php_admin_value[memory_limit] = -1".into(), ..Default::default() }.start(run, Some(&group)).await?;
    nginx::Nginx { format: nginx::Format::CfCustom, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    imports(run, "/system.slice/php8.2-fpm.service", |_| "Killed process||exited on signal 9".into()).await
}

async fn timeout_fpm_ray(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "9")])?;
    fpm::Fpm { extra: "request_terminate_timeout = 3s\n".into(), children: 14, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { format: nginx::Format::CfCustom, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.4, (8.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/quote/shipping?zip={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 2.5)
            .then(|| Label::new("timeout-kill", format!("execution timed out||{}", access(row, "444"))))
    });
    Ok(())
}

async fn timeout_hard(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/account/export", "lib/digest.php")], &[])?;
    fpm::Fpm { extra: "catch_workers_output = yes\nphp_admin_value[hard_timeout] = 1\n".into(), children: 12, ..Default::default() }
        .start(run, None)
        .await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 0.3, (6.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/account/export?id={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 2.0)
            .then(|| Label::new("timeout-kill", format!("exited with code 124||seconds exceeded (terminated)||{}", access(row, "444"))))
    });
    Ok(())
}

/// Kills a worker of the server now and then, as a broken module would.
pub async fn crashes(run: &mut Run, master: i32, signal: i32, times: &[f64]) {
    for t in times {
        run.until(*t).await;
        let workers = stacks::children(master);
        if let Some(pid) = workers.get(run.rng.random_range(0..workers.len().max(1))) {
            run.event(format!("{} to worker {pid}", if signal == libc::SIGSEGV { "SIGSEGV".into() } else { format!("signal {signal}") }));
            stacks::kill(*pid, signal);
        }
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
}

pub fn slow_reports(run: &mut Run) {
    let end = run.set.seconds as f64;
    run.load(9.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
}

fn label_crash(run: &mut Run) {
    run.label = Box::new(|row, run| {
        // A far colo still sends on a connection, even a just opened one, whose end it has not heard of.
        let late = row.rtt.as_secs_f64() * 2.0 + 0.1;
        (cut_off(row) && run.near_event(row, "SIGSEGV", 0.02, late))
            .then(|| Label::new("worker-crash", "exited on signal 11||exit signal Segmentation fault"))
    });
}

async fn nginx_crash(run: &mut Run, format: nginx::Format) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9120, "app.log", &["/reports/build=slow:1100"]).await?;
    let to = run.ip(20).to_string() + ":9120";
    let web = nginx::Nginx { format, app: nginx::App::Proxy(to), ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    crashes(run, master, libc::SIGSEGV, &[9.0, 13.4, 20.1, 26.7, 27.9, 34.6, 41.3, 48.0]).await;
    label_crash(run);
    Ok(())
}

async fn nginx_crash_combined(run: &mut Run) -> Result<()> {
    nginx_crash(run, nginx::Format::Combined).await
}

async fn nginx_crash_json(run: &mut Run) -> Result<()> {
    nginx_crash(run, nginx::Format::JsonRay).await
}

async fn nginx_core(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9122, "app.log", &["/reports/build=slow:1100"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9122");
    let dumps = run.path("run/core");
    std::fs::create_dir_all(&dumps)?;
    std::os::unix::fs::chown(&dumps, Some(33), Some(33))?;
    let main = format!("worker_rlimit_core 200m;\nworking_directory {};", dumps.display());
    let web =
        nginx::Nginx { level: "notice", format: nginx::Format::Custom(super::hardened::JSON_EDGE_REQ), app, main, ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    run.until(2.0).await;
    run.event("reload of nginx");
    run.procs[at].signal(libc::SIGHUP);
    crashes(run, master, libc::SIGSEGV, &[31.0, 36.4, 41.1, 47.7, 52.9, 58.6, 64.3]).await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.5;
        if cut_off(row) && run.near_event(row, "SIGSEGV", 0.02, late) {
            return Some(Label::new("worker-crash", "(core dumped)"));
        }
        // A reload closes idle connections: to a reused one that is the race.
        (cut_off(row) && row.reused && run.near_event(row, "reload", 0.02, 2.5)).then(|| Label {
            cause: "keepalive-race",
            accept: "server-restart",
            evidence: String::new(),
        })
    });
    Ok(())
}

async fn event_crash(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9121, "app.log", &["/reports/build=slow:1900"]).await?;
    let to = run.ip(20).to_string() + ":9121";
    let at =
        apache::Apache { app: apache::App::Proxy(to), format: apache::Format::Combined, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    crashes(run, master, libc::SIGSEGV, &[8.2, 12.1, 15.7, 19.9, 22.4, 26.6, 30.9, 34.8, 38.3, 42.0, 46.6]).await;
    label_crash(run);
    Ok(())
}

async fn fpm_crash(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/wp-json/menu/", "lib/tree.php")], &[])?;
    fpm::Fpm { extra: "php_admin_value[memory_limit] = 1G".into(), ..Default::default() }.start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), real_ip: true, format: nginx::Format::Timed, ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (6.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "GET", format!("/wp-json/menu/v1/tree/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("worker-crash", "exited on signal 11")));
    Ok(())
}
