//! nginx with PHP-FPM: a plugin, a pool on TCP, a maintenance switch, a list that fail2ban writes, and a healthy site.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, took};
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{certificates, fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held5-plugin-fault-wp-debuglog", "A WordPress shipping plugin throws under PHP-FPM 7.4, WP_DEBUG_LOG keeps it in debug.log in UTC, and nginx 1.18 (Kathmandu) maps the 500 to 444; fourteen fields, clock behind.", debug_log,
            { debian: Debian::Bullseye, tz: "Asia/Kathmandu", site: Site::India, job: Job::Fourteen, stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: -11 }),
        scenario!("held5-pool-exhausted-fpm-tcp", "A shop's search has a PHP-FPM 8.4 pool of its own on TCP with four children: in bursts its queue is full, connects time out, and nginx 1.26 with TLS maps the 504 to 444; time and visitor in JSON; Athens, clock ahead.", tcp_pool,
            { debian: Debian::Trixie, tz: "Europe/Athens", stamp: Stamp::UnixNano, profile: Profile::Magento, skew_s: 31 }),
        scenario!("held5-rule-dropped-maintenance", "While a deploy runs, nginx answers nobody (444, if -f); both of its logs go to syslog; PHP-FPM 8.2, TLS; Chicago.", maintenance,
            { tz: "America/Chicago", site: Site::UsEast, stamp: Stamp::Unix, profile: Profile::Saas, status_on_520: 520 }),
        scenario!("held5-edge-ip-blocked-blockmap", "fail2ban takes Cloudflare's addresses for attackers (no real_ip) and writes them into a map of nginx 1.18, which closes (444) after a reload; PHP-FPM 7.4; London.", block_map,
            { debian: Debian::Bullseye, tz: "Europe/London", stamp: Stamp::Rfc3339Ms, profile: Profile::WordPress }),
        scenario!("held5-control-no-520-laravel", "The nginx of Debian testing with PHP-FPM 8.4: crashes, fatal errors, time-outs, a full pool, a limit and reloads of PHP-FPM are all answered with pages of its own; CSV job; Buenos Aires, clock ahead.", valid,
            { debian: Debian::Forky, tz: "America/Argentina/Buenos_Aires", site: Site::Brazil, job: Job::Csv, stamp: Stamp::Rfc3339, profile: Profile::Saas, skew_s: 17 }),
    ]
}

const JSON_VISITOR: &str = r#"log_format main escape=json '{"time":"$time_iso8601","client":"$http_cf_connecting_ip","peer":"$remote_addr","method":"$request_method","uri":"$request_uri","status":$status,"body_bytes":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status","agent":"$http_user_agent"}';"#;
const UPSTREAM_TIMES: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time $upstream_response_time $pipe';"#;
const VISITOR_LAST: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] $host "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';"#;

const CONFIG: &str = r#"<?php
// What WordPress does for WP_DEBUG_LOG, and always: its times are UTC.
error_reporting(E_ALL);
date_default_timezone_set('UTC');
ini_set('log_errors', '1');
ini_set('error_log', __DIR__ . '/wp-content/debug.log');
"#;
const ZONES: &str = r#"<?php
class Parcel_Zones {
    private $table = null;
    public static function quote($order) { echo (new self())->price($order['zip']); }
    public function price($zip) { usleep(random_int(3000, 25000)); return $this->zone($zip)->rate * 1.2; }
    private function zone($zip): Parcel_Zone { return $this->table[$zip] ?? null; }
}
"#;
const PARCEL: &str = r#"<?php
require __DIR__ . '/../../../wp-includes/plugin.php';
require __DIR__ . '/src/class-parcel-zones.php';
add_action('woocommerce_package_rates', ['Parcel_Zones', 'quote']);
do_action('woocommerce_package_rates', ['zip' => '4051']);
"#;

async fn debug_log(run: &mut Run) -> Result<()> {
    let plugin = "wp-content/plugins/parcel-zones-for-woocommerce";
    let loader = format!("{plugin}/parcel-zones.php");
    site::write(run, &[("^/cart/rates", &loader)], &[])?;
    run.write(&format!("var/www/site/{loader}"), PARCEL)?;
    run.write(&format!("var/www/site/{plugin}/src/class-parcel-zones.php"), ZONES)?;
    let config = run.write("var/www/site/wp-config.php", CONFIG)?.display().to_string();
    let log = run.write("var/www/site/wp-content/debug.log", "")?;
    std::os::unix::fs::chown(&log, Some(33), Some(33))?;
    let extra = format!("php_admin_value[auto_prepend_file] = {config}");
    fpm::Fpm { extra, ..Default::default() }.start(run, None).await?;
    run.log("var/www/site/wp-content/debug.log", "wordpress/debug.log", "php");
    let format = nginx::Format::Custom(UPSTREAM_TIMES);
    nginx::Nginx { format, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1000..9999);
        v.req(rng, "fault", "POST", format!("/cart/rates?zip={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault")
            .then(|| Label::new("plugin-fault", "wp-content/plugins/parcel-zones-for-woocommerce/src/class-parcel-zones.php"))
    });
    Ok(())
}

async fn tcp_pool(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/catalogsearch/advanced/", "lib/rates.php")], &[("SLEEP", "1.5")])?;
    certificates(run).await?;
    let to = run.local(20, 9000);
    let extra = format!(
        "[search]\nuser = www-data\ngroup = www-data\nlisten = {to}\nlisten.backlog = 3\npm = dynamic\npm.max_children = 4\npm.start_servers = 2\n\
         pm.min_spare_servers = 1\npm.max_spare_servers = 3\nphp_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off"
    );
    fpm::Fpm { extra, ..Default::default() }.start(run, None).await?;
    let root = run.root.display();
    let server = format!(
        "location ^~ /catalogsearch/ {{ include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {root}/var/www/site/public/index.php; \
         fastcgi_param SCRIPT_NAME /index.php; fastcgi_connect_timeout 2s; fastcgi_pass {to}; {HIDE} }} {DROP}"
    );
    nginx::Nginx { tls: true, format: nginx::Format::Custom(JSON_VISITOR), server, ..Default::default() }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions::default())?));
    background(run);
    for at in [8.0, 24.0, 40.0] {
        run.load(10.0, (at, at + 2.8), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "slow", "GET", format!("/catalogsearch/advanced/result/?name=lamp&price={n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let search = row.req.uri.starts_with("/catalogsearch/");
        (cut_off(row) && search && took(row) > 1.8).then(|| Label::new("pool-exhausted", "upstream timed out (110: Connection timed out)"))
    });
    Ok(())
}

async fn maintenance(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let down = run.path("var/www/site/storage/framework/down");
    std::fs::create_dir_all(run.path("var/www/site/storage/framework"))?;
    let server = format!("if (-f {}) {{ return 444; }}", down.display());
    nginx::Nginx { tls: true, syslog: true, server, ..Default::default() }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions::default())?));
    background(run);
    for (from, to) in [(12.0, 15.1), (29.4, 31.6), (44.0, 46.3)] {
        run.until(from).await;
        run.event("down: the maintenance file is there");
        std::fs::write(&down, "{}")?;
        run.until(to).await;
        std::fs::remove_file(&down)?;
        run.event("up: it is gone");
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let spell = run.events_of("down").into_iter().zip(run.events_of("up"));
        let during = spell.into_iter().any(|(from, to)| row.over_at >= from && row.sent_at <= to + Duration::from_millis(50));
        (cut_off(row) && during).then(|| Label::new("rule-dropped", access(row, "444 0")))
    });
    Ok(())
}

/// fail2ban's lines about one address: what it found, and the ban.
fn ban_lines(run: &Run, ip: &str) -> Result<()> {
    let now = Timestamp::now().to_zoned(TimeZone::get(run.set.tz)?);
    let at = now.strftime("%Y-%m-%d %H:%M:%S,%3f");
    let mut file = std::fs::File::options().create(true).append(true).open(run.path("var/log/fail2ban.log"))?;
    for _ in 0..5 {
        writeln!(file, "{at} fail2ban.filter         [634]: INFO    [wordpress-login] Found {ip} - {}", now.strftime("%Y-%m-%d %H:%M:%S"))?;
    }
    writeln!(file, "{at} fail2ban.actions        [634]: NOTICE  [wordpress-login] Ban {ip}")?;
    Ok(())
}

async fn block_map(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let map = run.write("etc/blocked-ips.map", "")?;
    let http = format!("map $remote_addr $blocked {{ default 0; include {}; }}", map.display());
    let server = "if ($blocked) { return 444; }".into();
    let at = nginx::Nginx { http, server, format: nginx::Format::Custom(VISITOR_LAST), ..Default::default() }.start(run).await?;
    run.log("var/log/fail2ban.log", "fail2ban.log", "fail2ban");
    run.notes.push(
        "fail2ban.log was written by the lab in fail2ban's format when it put the address into the map and reloaded nginx, as the action nginx-block-map does."
            .into(),
    );
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    for (colo, edge, second) in [(0, 1, 10.0), (2, 0, 27.0)] {
        let mut who = traffic::visitor(&run.edge.colos, &["python-requests/2.32.5"], Some(colo), &mut run.rng);
        who.edge = edge;
        let who = Arc::new(who);
        run.load(2.5, (second - 4.0, second + 3.0), move |rng, v| v.req(rng, "login", "POST", "/wp-login.php".into(), who.clone()));
        let machine = run.edge.colos[colo].edges[edge];
        run.until(second).await;
        ban_lines(run, &machine.bind.to_string())?;
        writeln!(std::fs::File::options().append(true).open(&map)?, "{} 1;", machine.bind)?;
        run.event(format!("ban {}, reload of nginx", machine.public));
        run.procs[at].signal(libc::SIGHUP);
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let public = run.edge.colos[row.req.visitor.colo].edges[row.req.visitor.edge].public;
        // Old workers may serve on for a moment; new ones know the list.
        let banned = run.events_of(&format!("ban {public},")).first().is_some_and(|t| row.over_at >= *t);
        let reloaded = run.near_event(row, "ban", 0.02, 0.6 + row.rtt.as_secs_f64() * 2.0);
        if !cut_off(row) {
            None
        } else if reloaded && row.reused && took(row) < 0.05 {
            // To a reused connection the reload is the end of an idle connection, unless the list spoke first.
            let accept = if banned { "edge-ip-blocked" } else { "server-restart" };
            Some(Label { cause: "keepalive-race", accept, evidence: String::new() })
        } else {
            banned.then(|| Label::new("edge-ip-blocked", access(row, "444 0")))
        }
    });
    Ok(())
}

const FAULTS: &[(&str, &str)] = &[
    ("^/reports/tree", "lib/crash.php"),
    ("^/billing/", "lib/invoice.php"),
    ("^/reports/build", "lib/rates.php"),
    ("^/media/thumb/", "lib/thumbs.php"),
];

async fn valid(run: &mut Run) -> Result<()> {
    site::write(run, FAULTS, &[("SLEEP", "6")])?;
    run.write("var/www/site/public/50x.html", "<h1>Something went wrong</h1>\n")?;
    // PHP 8.4 answers a deep recursion with an error of its own.
    run.write("var/www/site/lib/crash.php", "<?php usleep(random_int(1000, 30000)); posix_kill(getmypid(), 11); sleep(1);\n")?;
    let extra = "request_terminate_timeout = 4s\nlisten.backlog = 4".into();
    let at = fpm::Fpm { children: 6, extra, ..Default::default() }.start(run, None).await?;
    nginx::Nginx {
        http: "limit_req_zone $http_cf_connecting_ip zone=visitor:1m rate=20r/m; limit_req_status 429;".into(),
        server: "error_page 500 502 503 504 /50x.html; location = /50x.html { internal; }".into(),
        in_app: "fastcgi_intercept_errors on; limit_req zone=visitor burst=6 nodelay;".into(),
        format: nginx::Format::Custom(UPSTREAM_TIMES),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(2.4, (4.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..4) {
            0 => format!("/reports/tree?n={n}"),
            1 => format!("/billing/{n}/print"),
            2 => format!("/reports/build/{n}"),
            _ => format!("/media/thumb/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    });
    let greedy = Arc::new(traffic::visitor(&run.edge.colos, &["python-requests/2.32.5"], None, &mut run.rng));
    run.load(4.0, (21.0, 29.0), move |rng, v| {
        let n = rng.random_range(1..9000);
        v.req(rng, "greedy", "GET", format!("/api/v2/tasks?cursor={n}"), greedy.clone())
    });
    for t in [17.0, 38.5] {
        run.until(t).await;
        run.event("reload: SIGUSR2 to PHP-FPM");
        run.procs[at].signal(libc::SIGUSR2);
    }
    run.until(end).await;
    run.drain().await;
    Ok(())
}
