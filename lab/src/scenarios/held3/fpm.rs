//! nginx and PHP-FPM, as most sites run them: what goes wrong in PHP is hidden behind a 444.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng;
use tokio::process::Command;

use crate::edge::Body;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, took};
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{fpm, nginx, rootfs, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-timeout-kill-slowlog", "request_terminate_timeout ends pages that hang; others are only slow and in the slow log as well; real_ip, upstream's times in the log; Berlin.", slowlog,
            { client: "visitor", tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Magento }),
        scenario!("held3-server-restart-fpm-deploy", "Deploys reload PHP-FPM 7.4 (process_control_timeout 0) under the requests of nginx 1.18, which maps its 502 to 444; JSON log, Kolkata, clock behind.", deploy,
            { debian: Debian::Bullseye, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, skew_s: -28 }),
        scenario!("held3-server-io-inodes", "The file system under the fastcgi_cache of nginx 1.26 has no inodes left: pages to be cached are aborted; ray and cache status in the log, 5xx only; New York.", inodes,
            { debian: Debian::Trixie, client: "visitor", ray: "nginx $http_cf_ray", job: Job::Only5xx, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: 8 }),
        scenario!("held3-app-fatal-phpzone", "Exhausted memory and uncaught errors, in PHP's own log in New York time (date.timezone) beside nginx in UTC, which maps the 500 to 444; clock ahead.", phpzone,
            { stamp: Stamp::Unix, profile: Profile::Forum, skew_s: 33, status_on_520: 520 }),
        scenario!("held3-plugin-fault-prestashop", "A PrestaShop module's hook throws a TypeError under PHP 8.4 and the nginx of Debian testing, which maps the 500 to 444; time first and the ray inside the line; Berlin.", prestashop,
            { debian: Debian::Forky, ray: "nginx $http_cf_ray", tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Shop }),
        scenario!("held3-request-rejected-uploads", "Uploads stall for longer than client_body_timeout of nginx 1.26; real_ip, log with request_length and request_time; Sao Paulo, clock behind.", uploads,
            { debian: Debian::Trixie, client: "visitor", tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Unix, profile: Profile::Forum, skew_s: -16 }),
    ]
}

const UPSTREAM: &str = r#"log_format main '$remote_addr - $host [$time_local] "$request" $status $body_bytes_sent $request_time "$upstream_addr" $upstream_status $upstream_response_time "$http_user_agent"';"#;
const JSON_DEPLOY: &str = r#"log_format main escape=json '{"@timestamp":"$time_iso8601","remote_ip":"$remote_addr","xff":"$http_x_forwarded_for","request":"$request","status":"$status","bytes":"$bytes_sent","duration":"$request_time","upstream":"$upstream_addr","upstream_status":"$upstream_status","agent":"$http_user_agent","connection":"$connection"}';"#;
const CACHE: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $http_cf_ray $upstream_cache_status $request_time';"#;
const TIME_FIRST: &str =
    r#"log_format main '$time_iso8601 $remote_addr "$http_cf_ray" $host "$request" $status $bytes_sent $request_time "$http_user_agent"';"#;
const LENGTHS: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time';"#;

const SHIPPING: &str = r#"<?php
// The carrier's service: slow for some, dead for others.
function ask_carrier(float $seconds): string { $until = microtime(true) + $seconds; while (microtime(true) < $until) { usleep(100000); } return 'ok'; }
$answer = ask_carrier(crc32($_SERVER['REQUEST_URI']) % 5 < 2 ? 9.5 : 2.4);
header('Content-Type: application/json');
echo json_encode(['carrier' => $answer]);
"#;

async fn slowlog(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/rest/V1/shipping/", "lib/shipping.php")], &[])?;
    run.write("var/www/site/lib/shipping.php", SHIPPING)?;
    let extra =
        format!("request_terminate_timeout = 5s\nrequest_slowlog_timeout = 1s\nslowlog = {}/var/log/php/www-slow.log", run.root.display());
    fpm::Fpm { children: 20, extra, ..Default::default() }.start(run, None).await?;
    run.log("var/log/php/www-slow.log", "php/www-slow.log", "php");
    let format = nginx::Format::Custom(UPSTREAM);
    nginx::Nginx { format, real_ip: true, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.4, (5.0, end - 7.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..9000);
        v.req(rng, "fault", "GET", format!("/rest/V1/shipping/estimate?zip={n:05}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 4.5)
            .then(|| Label::new("timeout-kill", format!("execution timed out||{}", access(row, "444"))))
    });
    Ok(())
}

async fn deploy(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "1.2")])?;
    let at = fpm::Fpm { children: 30, ..Default::default() }.start(run, None).await?;
    let format = nginx::Format::Custom(JSON_DEPLOY);
    nginx::Nginx { format, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(8.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    });
    for t in [7.4, 14.0, 21.7, 29.3, 37.2, 45.1] {
        run.until(t).await;
        run.event("reload: SIGUSR2 to PHP-FPM");
        run.procs[at].signal(libc::SIGUSR2);
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        (cut_off(row) && run.near_event(row, "reload", 0.02, 1.5)).then(|| Label::new("server-restart", "Reloading in progress"))
    });
    Ok(())
}

async fn inodes(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/collection/", "lib/list.php")], &[("ROWS", "260")])?;
    fpm::Fpm::default().start(run, None).await?;
    let cache = run.path("var/cache").display().to_string();
    std::fs::create_dir_all(&cache)?;
    // Where Debian 13's servers see it.
    let seen = format!("{}{cache}", rootfs::TRIXIE);
    if !Command::new("mount").args(["-t", "tmpfs", "-o", "size=40m,nr_inodes=500,mode=777", "tmpfs", &seen]).status().await?.success() {
        bail!("tmpfs");
    }
    let http = format!(
        "fastcgi_cache_path {cache} levels=1:2 keys_zone=wp:4m inactive=10m use_temp_path=off;\n  map $uri $skip {{ default 1; ~^/collection/ \"\"; }}"
    );
    let in_app = "fastcgi_cache wp; fastcgi_cache_key $host$request_uri; fastcgi_cache_valid 200 5s; fastcgi_cache_bypass $skip; fastcgi_no_cache $skip;";
    let format = nginx::Format::Custom(CACHE);
    nginx::Nginx { format, real_ip: true, http, in_app: in_app.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let place = seen.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(17)).await;
        let _ = Command::new("sh").args(["-c", "for i in $(seq 600); do : > sess_$i; done 2>/dev/null"]).current_dir(place).status().await;
    });
    drive(run, 2.5, (1.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..3000);
        v.req(rng, "cached", "GET", format!("/collection/{n}/"), who)
    })
    .await;
    run.snapshot_logs();
    let _ = Command::new("umount").args(["-l", &seen]).status().await;
    run.notes.push("The file system under the cache is a tmpfs of 500 inodes; other files take the rest of them after 17 s.".into());
    run.label = Box::new(|row, _| {
        let text = format!("failed (28: No space left on device)||{}", access(row, "200 0"));
        (cut_off(row) && row.req.tag == "cached").then(|| Label::new("server-io", text))
    });
    Ok(())
}

async fn phpzone(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/gallery/", "lib/thumbs.php"), ("^/billing/", "lib/invoice.php")], &[])?;
    let extra = "php_admin_value[date.timezone] = America/New_York".into();
    fpm::Fpm { php_log: true, extra, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (5.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..700);
        let uri = if rng.random_bool(0.6) { format!("/gallery/album-{n}") } else { format!("/billing/{n}/print") };
        v.req(rng, "fault", "GET", uri, who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = if row.req.uri.starts_with("/gallery") {
            "Allowed memory size of"
        } else {
            "Uncaught Error: Call to a member function diff() on null"
        };
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("app-fatal", text))
    });
    Ok(())
}

const HOOK: &str = r#"<?php
class Hook {
    public static function exec(string $name, array $args) { return self::callHookOn(self::module(), $name, $args); }
    private static function module() { require_once __DIR__ . '/../modules/deliverydate/deliverydate.php'; return new DeliveryDate(); }
    public static function callHookOn($module, string $name, array $args) { return $module->{'hook' . $name}($args); }
}
"#;
const DELIVERY: &str = r#"<?php
class DeliveryDate {
    public function hookDisplayProductExtraContent(array $params): string { return $this->format($this->earliest($params['carrier'] ?? null)); }
    private function earliest(?array $carrier): ?\DateTimeImmutable { return $carrier ? new \DateTimeImmutable('+2 days') : null; }
    private function format(\DateTimeImmutable $day): string { return $day->format('j F'); }
}
"#;
const PRODUCT: &str = r#"<?php
require_once __DIR__ . '/../../classes/Hook.php';
usleep(random_int(2000, 20000));
echo Hook::exec('DisplayProductExtraContent', ['product' => 12]);
"#;

async fn prestashop(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/en/", "controllers/front/ProductController.php")], &[])?;
    for (file, text) in [
        ("classes/Hook.php", HOOK),
        ("modules/deliverydate/deliverydate.php", DELIVERY),
        ("controllers/front/ProductController.php", PRODUCT),
    ] {
        run.write(&format!("var/www/site/{file}"), text)?;
    }
    fpm::Fpm::default().start(run, None).await?;
    let format = nginx::Format::Custom(TIME_FIRST);
    nginx::Nginx { format, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (5.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "fault", "GET", format!("/en/home/{n}-vase.html"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("plugin-fault", "modules/deliverydate/deliverydate.php"))
    });
    Ok(())
}

async fn uploads(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let server = "client_body_timeout 4s; client_max_body_size 50m;".into();
    nginx::Nginx { format: nginx::Format::Custom(LENGTHS), real_ip: true, server, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.4, (3.0, end - 7.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let size = rng.random_range(150_000..1_500_000);
        let mut r = v.req(rng, "upload", "POST", format!("/uploads.json?client_id={n}"), who);
        // Most get through.
        r.body = if rng.random_bool(0.45) { Body::Stalled { declared: size, sent: size / 3 } } else { Body::Full(vec![b'x'; size]) };
        r
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && matches!(row.req.body, Body::Stalled { .. })).then(|| Label::new("request-rejected", access(row, "408 0")))
    });
    Ok(())
}
