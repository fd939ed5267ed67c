//! nginx with PHP-FPM or an application behind it.

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Body, Why};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, cgroup, crashes, kernel_log, oom_pids, slow_reports};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::race::{devices, raced};
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{self, certificates, fpm, gunicorn, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held4-worker-crash-sigbus", "Workers of nginx 1.18 die of SIGBUS with PHP-FPM's answers under way; journal, Sao Paulo, clock ahead.", sigbus,
            { debian: Debian::Bullseye, wrap: Wrap::Journal, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: 9 }),
        scenario!("held4-keepalive-race-nginx20", "nginx 1.26 with PHP-FPM closes idle connections after 20 s; devices report three times a minute; the log has $connection and its requests; CSV job, New York, clock behind.", race,
            { debian: Debian::Trixie, tz: "America/New_York", site: Site::UsEast, job: Job::Csv, stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, seconds: 125, rate: 18.0, skew_s: -12 }),
        scenario!("held4-headers-too-large-cachetags", "A shop page's Cache-Tag headers outgrow the limit for large categories (PHP 8.4, nginx of Debian testing); real_ip, JSON log with both sizes; Berlin.", tags,
            { debian: Debian::Forky, client: "visitor", tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Magento, status_on_520: 520 }),
        scenario!("held4-app-fatal-memory-docker", "Exports exhaust PHP 7.4's memory limit; nginx 1.18 maps the 500 to 444; both in containers (Docker's JSON); real_ip; clock behind.", memory,
            { debian: Debian::Bullseye, client: "visitor", stamp: Stamp::Unix, profile: Profile::Saas, skew_s: -19 }),
        scenario!("held4-request-rejected-h2-118", "HTTP/2 to nginx 1.18: cookies over http2_max_field_size end the connection; info level, duration last; Kolkata.", h2_field,
            { debian: Debian::Bullseye, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, skew_s: 14 }),
        scenario!("held4-oom-kill-gunicorn", "Imports outgrow gunicorn's memory cgroup and the kernel kills its workers; nginx maps the 502 to 444; kernel log beside; New York, clock ahead.", imports,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Unix, profile: Profile::Saas, skew_s: 38 }),
    ]
}

const PLAIN_HOST: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$host" "$request" $status $bytes_sent "$http_referer" "$http_user_agent" $request_time';"#;
const CONNECTION: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $connection $connection_requests';"#;
const JSON_SIZES: &str = r#"log_format main escape=json '{"timestamp":"$time_iso8601","client":"$remote_addr","vhost":"$host","verb":"$request_method","url":"$request_uri","status":$status,"bytes_sent":$bytes_sent,"body_bytes_sent":$body_bytes_sent,"rt":$request_time,"upstream_status":"$upstream_status","ua":"$http_user_agent"}';"#;
const SECONDS_LAST: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time';"#;

async fn sigbus(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/reports/build/", "lib/rates.php")], &[("SLEEP", "1.2")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    let web = nginx::Nginx { workers: 4, format: nginx::Format::Custom(PLAIN_HOST), ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    crashes(run, master, libc::SIGBUS, &[6.1, 11.8, 17.3, 22.9, 28.2, 33.6, 39.5, 44.7, 49.9]).await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.4;
        (cut_off(row) && run.near_event(row, "signal 7", 0.02, late)).then(|| Label::new("worker-crash", "exited on signal 7"))
    });
    Ok(())
}

async fn race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { keepalive: 20, format: nginx::Format::Custom(CONNECTION), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    devices(run, 20.0, 44);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 20.0).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

const CATEGORY: &str = r#"<?php
// One tag for every product of the category, in headers of 8 KB.
$n = crc32($_SERVER['REQUEST_URI']);
$products = $n % 3 == 0 ? 11500 + $n % 2500 : 40 + $n % 600;
$line = [];
for ($i = 0, $h = 0; $i < $products; $i++) {
    $line[] = 'catalog_p_' . (10000 + $i);
    if (count($line) == 500) { header('Cache-Tag: ' . implode(',', $line), false); $line = []; }
}
header('Cache-Tag: ' . implode(',', $line), false);
header('Content-Type: text/html; charset=UTF-8');
usleep(random_int(3000, 40000));
echo str_repeat('<li>' . md5($path) . '</li>', 120 + $n % 60);
"#;

async fn tags(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/category/", "lib/category.php")], &[])?;
    run.write("var/www/site/lib/category.php", CATEGORY)?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx {
        format: nginx::Format::Custom(JSON_SIZES),
        real_ip: true,
        fastcgi_buffers: "fastcgi_buffers 8 512k; fastcgi_buffer_size 512k; fastcgi_busy_buffers_size 1m;",
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 4.2, (3.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "category", "GET", format!("/category/furniture-{n}?p={}", n % 4), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("\"url\":\"{}\",\"status\":200", row.req.uri);
        (row.why == Why::HeaderTooLarge && row.req.tag == "category").then(|| Label::new("headers-too-large", text))
    });
    Ok(())
}

const EXPORT: &str = r#"<?php
namespace App\Export;
final class CsvWriter {
    private array $rows = [];
    public function add(array $row): void { $this->rows[] = $row; }
    public function join(): string { return implode("\n", array_map(fn($r) => implode(';', $r), $this->rows)); }
}
usleep(random_int(1000, 15000));
$w = new CsvWriter();
for ($i = 0; $i < 400000; $i++) { $w->add([$i, md5((string) $i), str_repeat('n', 40)]); }
echo $w->join();
"#;

async fn memory(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/exports/", "src/Export/download.php")], &[])?;
    run.write("var/www/site/src/Export/download.php", EXPORT)?;
    let extra = "php_admin_value[memory_limit] = 20M".into();
    fpm::Fpm { extra, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { real_ip: true, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &web, "docker/web-json.log")?;
    collect::start(run, Frame::Docker, &[Source { file: "var/log/php/php8.2-fpm.log", name: "stderr" }], "docker/php-json.log")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..600);
        v.req(rng, "fault", "GET", format!("/exports/project-{n}.csv"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", "Allowed memory size of")));
    Ok(())
}

async fn h2_field(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.7")])?;
    certificates(run).await?;
    fpm::Fpm { children: 20, ..Default::default() }.start(run, None).await?;
    let web = nginx::Nginx { tls: true, listen: "http2", level: "info", format: nginx::Format::Custom(SECONDS_LAST), ..Default::default() };
    web.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    background(run);
    let end = run.set.seconds as f64;
    run.load(4.0, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "POST", format!("/quote/freight/{n}"), who)
    });
    run.load(0.8, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..40);
        let mut r = v.req(rng, "fault", "GET", format!("/p/{n}-lamp"), who);
        // One crumb for each page that was looked at.
        let cookie = (0..190).map(|i| format!("viewed_{i}={:0120}", rng.random::<u64>())).collect::<Vec<_>>().join("; ");
        r.headers.push(("cookie".into(), cookie));
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("client exceeded http2_max||\"{} {} HTTP/2.0\" 499 0", row.req.method, row.req.uri);
        (row.why == Why::Http2).then(|| Label::new("request-rejected", text))
    });
    Ok(())
}

async fn imports(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let at = gunicorn::start(run, 20, 9701, &["--workers", "9"]).await?;
    let group = cgroup(run, 420)?;
    let master = run.procs[at].pid;
    for pid in [master].into_iter().chain(stacks::children(master)) {
        std::fs::write(group.join("cgroup.procs"), pid.to_string())?;
    }
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9701");
    let format = nginx::Format::Custom(SECONDS_LAST);
    nginx::Nginx { app, format, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 0.42, (5.0, end - 5.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        let mut r = v.req(rng, "fault", "POST", format!("/import/catalog/{n}"), who);
        r.body = Body::Full(vec![b'x'; rng.random_range(400..4000)]);
        r
    })
    .await;
    let pids = oom_pids(run);
    let unit = "/system.slice/gunicorn.service";
    kernel_log(run, unit, move |m| m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))).await?;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("oom-kill", format!("Killed process||{}", access(row, "444")))));
    Ok(())
}
