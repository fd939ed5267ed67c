//! Applications that die, throw or take too long behind a server that closes instead of answering 5xx.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, cgroup, kernel_log, oom_pids, slow_reports, took};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{Proc, fpm, nginx, site, uwsgi, version, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-timeout-kill-harakiri", "uWSGI's harakiri ends workers that are busy for more than 3 s with SIGKILL; nginx maps the 502 to 444. Berlin, clock ahead.", harakiri,
            { tz: "Europe/Berlin", skew_s: 33, stamp: Stamp::Rfc3339Ms, profile: Profile::Api, rate: 18.0 }),
        scenario!("dev2-oom-kill-node-pm2", "Workers of a Node cluster outgrow the memory cgroup; a PM2-like log and the kernel's beside nginx 1.26, which maps the 502 to 444. Sao Paulo, 5xx only.", node_oom,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, job: Job::Only5xx, stamp: Stamp::Unix, profile: Profile::Magento }),
        scenario!("dev2-app-fatal-laravel", "Exceptions in a Laravel-like application on PHP 8.4, logged in UTC without a zone beside nginx in Berlin time; 500 mapped to 444; other errors are answered with a page.", laravel,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Api, skew_s: -7 }),
        scenario!("dev2-plugin-fault-theme-docker", "A WordPress child theme throws; nginx and PHP-FPM in containers, FPM's undecorated worker output, Docker's JSON around every line.", theme,
            { stamp: Stamp::Rfc3339, profile: Profile::WordPress, status_on_520: 520 }),
    ]
}

const TIMINGS: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time "$upstream_status" "$http_user_agent"';"#;

async fn harakiri(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    uwsgi::start(run, 20, 9401, &["--processes", "14", "--harakiri", "3"]).await?;
    let app = nginx::App::Uwsgi(run.ip(20).to_string() + ":9401");
    let in_app = "error_page 500 502 504 = @drop; uwsgi_intercept_errors on;".into();
    nginx::Nginx { app, in_app, server: DROP.into(), format: nginx::Format::Custom(TIMINGS), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.0, (5.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "fault", "GET", format!("/reports/build/{n}?format=xlsx"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 2.5)
            .then(|| Label::new("timeout-kill", format!("HARAKIRI||{}", access(row, "444 0"))))
    });
    Ok(())
}

async fn node_oom(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let group = cgroup(run, 560)?;
    let script = run.write("srv/store/cluster.js", include_str!("../../../apps/cluster.js"))?.display().to_string();
    let log = run.write("var/log/pm2/pm2.log", "")?.display().to_string();
    let kills = run.path("run/kills").display().to_string();
    let ip = run.local(20, 9402).ip().to_string();
    let proc = Proc::start(run, "node", &["node", &script, &ip, "9402", &log, &kills], Some(&group))?;
    run.procs.push(proc);
    run.log("var/log/pm2/pm2.log", "pm2/pm2.log", "pm2");
    run.servers.push(("node".into(), version(&["node", "--version"], "v").await));
    wait_port(run, 20, 9402).await?;
    let app = nginx::App::Proxy(ip + ":9402");
    nginx::Nginx { app, in_app: HIDE_PROXY.into(), server: DROP.into(), format: nginx::Format::Custom(TIMINGS), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    slow_reports(run);
    run.load(0.33, (6.0, end - 4.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "GET", format!("/catalog/export/{n}.csv"), who)
    });
    run.until(end).await;
    run.drain().await;
    let times = std::fs::read_to_string(run.path("run/kills")).unwrap_or_default();
    for ms in times.lines().filter_map(|l| l.parse().ok()) {
        run.events.lock().unwrap().push((UNIX_EPOCH + Duration::from_millis(ms), "kill of a worker by the kernel".into()));
    }
    let pids = oom_pids(run);
    kernel_log(run, "/system.slice/pm2-deploy.service", move |m| {
        m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))
    })
    .await?;
    run.label = Box::new(|row, run| {
        (cut_off(row) && run.near_event(row, "kill", 0.4, 0.3)).then(|| Label::new("oom-kill", "Killed process||via signal [SIGKILL]"))
    });
    Ok(())
}

const HANDLER: &str = r##"<?php
// Writes what Laravel's handler writes by way of Monolog's LineFormatter; its clock is config('app.timezone'), UTC.
function report(Throwable $e) {
    $trace = '';
    foreach ($e->getTrace() as $i => $f) {
        $trace .= "#$i " . (isset($f['file']) ? "{$f['file']}({$f['line']})" : '[internal function]') . ': ' . ($f['class'] ?? '') . ($f['type'] ?? '') . $f['function'] . "()\n";
    }
    $trace .= '#' . count($e->getTrace()) . ' {main}';
    $line = '[' . gmdate('Y-m-d H:i:s') . '] production.ERROR: ' . $e->getMessage() . ' {"exception":"[object] (' . get_class($e) . '(code: ' . $e->getCode() . '): ' . $e->getMessage() . ' at ' . $e->getFile() . ':' . $e->getLine() . ")\n[stacktrace]\n" . $trace . "\n\"} \n";
    file_put_contents(__DIR__ . '/../storage/logs/laravel.log', $line, FILE_APPEND | LOCK_EX);
}
set_exception_handler(function (Throwable $e) { report($e); http_response_code(500); echo '<h1>Server Error</h1>'; });
"##;
const CONTROLLER: &str = r#"<?php
namespace App\Http\Controllers;
require_once __DIR__ . '/../../../bootstrap/handler.php';
require_once __DIR__ . '/../../Services/PriceList.php';
class QuoteController {
    public function show(int $id) { usleep(random_int(2000, 30000)); return (new \App\Services\PriceList())->forCustomer($id); }
}
require __DIR__ . '/../../../vendor/laravel/framework/src/Illuminate/Routing/ControllerDispatcher.php';
(new \Illuminate\Routing\ControllerDispatcher())->dispatch(new QuoteController(), 'show', 7);
"#;
const SERVICE: &str = r#"<?php
namespace App\Services;
class PriceList {
    private ?\ArrayObject $tiers = null;
    public function forCustomer(int $id) { return $this->tier($id)->offsetGet('net'); }
    private function tier(int $id) { return $this->tiers->getIterator()->current(); }
}
"#;
const DISPATCHER: &str = r#"<?php
namespace Illuminate\Routing;
class ControllerDispatcher { public function dispatch($controller, $method, ...$args) { return $controller->{$method}(...$args); } }
"#;
const CAUGHT: &str = r#"<?php
require_once __DIR__ . '/../bootstrap/handler.php';
try { throw new RuntimeException('cURL error 28: Operation timed out after 2001 milliseconds (https://prices.internal/v3)'); } catch (Throwable $e) { report($e); }
http_response_code(500);
echo '<h1>Something went wrong</h1>';
"#;

async fn laravel(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/v1/quotes/", "app/Http/Controllers/QuoteController.php")], &[])?;
    let base = "var/www/site";
    run.write(&format!("{base}/bootstrap/handler.php"), HANDLER)?;
    run.write(&format!("{base}/app/Http/Controllers/QuoteController.php"), CONTROLLER)?;
    run.write(&format!("{base}/app/Services/PriceList.php"), SERVICE)?;
    run.write(&format!("{base}/vendor/laravel/framework/src/Illuminate/Routing/ControllerDispatcher.php"), DISPATCHER)?;
    run.write(&format!("{base}/lib/widget.php"), CAUGHT)?;
    let log = format!("{base}/storage/logs/laravel.log");
    let file = run.write(&log, "")?;
    std::os::unix::fs::chown(&file, Some(33), Some(33))?;
    run.log(&log, "laravel/laravel.log", "laravel");
    run.notes.push("laravel.log: a small application's exception handler writes the form of Laravel's log.".into());
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), format: nginx::Format::Custom(TIMINGS), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (4.0, end - 3.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/v1/quotes/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", "Call to a member function getIterator() on null"))
    });
    Ok(())
}

const THEME: &str = r#"<?php
require __DIR__ . '/../../../wp-includes/plugin.php';
function sfc_badge_color(array $badge): string { return $badge['color']; }
function sfc_loop_badge($product) { usleep(random_int(1000, 20000)); echo sfc_badge_color($product['badge'] ?? null); }
add_action('woocommerce_before_shop_loop_item_title', 'sfc_loop_badge');
do_action('woocommerce_before_shop_loop_item_title', ['id' => 12]);
"#;

async fn theme(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/product/", "wp-content/themes/storefront-child/functions.php")], &[])?;
    run.write("var/www/site/wp-content/themes/storefront-child/functions.php", THEME)?;
    let access_log = run.path("var/log/php/access.log").display().to_string();
    let extra = format!(
        "catch_workers_output = yes\ndecorate_workers_output = no\nclear_env = no\naccess.log = {access_log}\nphp_admin_value[fastcgi.logging] = 0\n"
    );
    fpm::Fpm { extra, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), level: "notice", real_ip: true, ..Default::default() }.start(run).await?;
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &web, "containers/3f2a9c/3f2a9c-json.log")?;
    let php = [Source { file: "var/log/php/php8.2-fpm.log", name: "stderr" }, Source { file: "var/log/php/access.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &php, "containers/b81d07/b81d07-json.log")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.8, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..200);
        v.req(rng, "fault", "GET", format!("/product/lamp-{n}/"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("plugin-fault", "wp-content/themes/storefront-child/functions.php"))
    });
    Ok(())
}
