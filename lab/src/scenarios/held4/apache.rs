//! Apache with mod_php, PHP-FPM or a backend, and behind nginx as hosting panels set it up.

use anyhow::Result;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::apaches::stops;
use crate::scenarios::crash::{DROP, slow_reports, took};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held4-plugin-fault-wp-panel", "A WordPress gateway plugin throws under Apache's mod_php 8.4, and the nginx 1.26 in front maps its 500 to 444; nginx shows the edges, Apache the visitors; Berlin, clock ahead.", gateway,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: 24 }),
        scenario!("held4-pool-exhausted-panel", "Apache prefork behind nginx has 12 processes, all busy with slow pages in bursts; nginx gives up after 3 s and maps its 504 to 444; ray in nginx's log; Sao Paulo.", busy,
            { ray: "nginx $http_cf_ray", tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::UnixNano, profile: Profile::Magento, status_on_520: 520 }),
        scenario!("held4-server-restart-modphp", "Apache of Debian 11 with mod_php is stopped and started four times (systemctl restart); vhost first, everything in syslog; New York, clock behind.", restart,
            { debian: Debian::Bullseye, wrap: Wrap::Syslog, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Forum, skew_s: -33 }),
        scenario!("held4-client-blocked-modsec-country", "ModSecurity 2 in Apache event of Debian 13 (PHP-FPM) drops two countries by CF-IPCountry; mod_remoteip, JSON log; Kolkata.", country,
            { debian: Debian::Trixie, client: "visitor", tz: "Asia/Kolkata", site: Site::Europe, stamp: Stamp::Unix, profile: Profile::Shop, skew_s: 3 }),
        scenario!("held4-backend-closed-events", "An application behind Apache event of Debian 11 drops some posted events; duration in microseconds and %X in the log; 5xx only; clock ahead.", events,
            { debian: Debian::Bullseye, job: Job::Only5xx, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, skew_s: 41 }),
    ]
}

const FORWARDED: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_cf_connecting_ip"';"#;
const RAY_TIMES: &str = r#"log_format main '[$time_local] $remote_addr $http_cf_ray "$request" $status $bytes_sent rt=$request_time urt=$upstream_response_time us=$upstream_status "$http_user_agent"';"#;
const VHOST_MS: &str = r#"%v %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %{ms}T"#;
const JSON_A: &str = r#"{\"@timestamp\":\"%{%Y-%m-%dT%H:%M:%S%z}t\",\"remote_addr\":\"%h\",\"method\":\"%m\",\"uri\":\"%U%q\",\"protocol\":\"%H\",\"status\":%>s,\"bytes\":%B,\"duration_us\":%D,\"host\":\"%{Host}i\",\"user_agent\":\"%{User-Agent}i\"}"#;
const MICROS_X: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D %X"#;

/// Apache on the same machine; its port is shown as panels have it.
async fn apache_behind(run: &mut Run, web: apache::Apache) -> Result<nginx::App> {
    let to = run.local(20, 28080);
    run.addresses.insert(to.to_string(), "127.0.0.1:7080".into());
    apache::Apache { host: 20, ..web }.start(run, None).await?;
    Ok(nginx::App::Proxy(to.to_string()))
}

const GATEWAY: &str = r#"<?php
class WC_Gateway_Fastpay {
    private ?array $settings = null;
    public static function init($order) { (new self())->process_payment($order); }
    public function process_payment($order) { usleep(random_int(4000, 30000)); return $this->request(['order' => $order, 'key' => $this->option('merchant')]); }
    private function option(string $name): string { return $this->settings[$name]; }
    private function request(array $data): string { return json_encode($data); }
}
"#;
const LOADER: &str = r#"<?php
require __DIR__ . '/../../../wp-includes/plugin.php';
require __DIR__ . '/includes/class-wc-gateway-fastpay.php';
add_action('woocommerce_checkout_order_processed', ['WC_Gateway_Fastpay', 'init']);
do_action('woocommerce_checkout_order_processed', 4711);
"#;

async fn gateway(run: &mut Run) -> Result<()> {
    let plugin = "wp-content/plugins/fastpay-for-woocommerce";
    let loader = format!("{plugin}/fastpay.php");
    site::write(run, &[("^/checkout/", &loader)], &[])?;
    run.write(&format!("var/www/site/{loader}"), LOADER)?;
    run.write(&format!("var/www/site/{plugin}/includes/class-wc-gateway-fastpay.php"), GATEWAY)?;
    let app = apache_behind(run, apache::Apache { real_ip: true, format: apache::Format::Combined, ..Default::default() }).await?;
    let format = nginx::Format::Custom(FORWARDED);
    nginx::Nginx { app, format, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "POST", format!("/checkout/?wc-ajax=checkout&cart={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("plugin-fault", "wp-content/plugins/fastpay-for-woocommerce/"))
    });
    Ok(())
}

async fn busy(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/layered/", "lib/rates.php")], &[("SLEEP", "2.3")])?;
    let app = apache_behind(run, apache::Apache { workers: 12, ..Default::default() }).await?;
    let format = nginx::Format::Custom(RAY_TIMES);
    let web = nginx::Nginx { app, format, read_timeout: 3, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() };
    web.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for at in [9.0, 25.0, 41.0] {
        run.load(13.0, (at, at + 2.4), |rng, v| {
            let who = v.anyone(rng);
            let n = rng.random_range(1..400);
            v.req(rng, "slow", "GET", format!("/layered/filter?color={n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("AH00161: server reached MaxRequestWorkers||upstream timed out (110||{}", access(row, "444"));
        (cut_off(row) && took(row) > 2.7).then(|| Label::new("pool-exhausted", text))
    });
    Ok(())
}

async fn restart(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/reports/build/", "lib/rates.php")], &[("SLEEP", "1.1")])?;
    let web = apache::Apache { workers: 220, format: apache::Format::Custom(VHOST_MS), ..Default::default() };
    let at = web.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    slow_reports(run);
    stops(run, &web, at, &[11.2, 23.9, 36.3, 47.0], 450).await
}

async fn country(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let global = "SecRuleEngine On\nSecAuditEngine Off\n\
         SecRule REQUEST_URI \"@contains /.env\" \"id:10010,phase:1,deny,status:403,log,msg:'Probe for secrets'\"\n\
         SecRule REQUEST_HEADERS:CF-IPCountry \"@rx ^(?:CH|NZ)$\" \"id:10020,phase:1,drop,log,msg:'Country not served'\"\n";
    apache::Apache {
        app: apache::App::Fpm("www"),
        real_ip: true,
        format: apache::Format::Custom(JSON_A),
        modules: &["unique_id", "security2"],
        global: global.into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let named = ["ch", "nz"].contains(&row.req.visitor.country.as_str());
        (cut_off(row) && named).then(|| Label::new("client-blocked", "Access denied with connection close"))
    });
    Ok(())
}

async fn events(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9710, "app.log", &["/api/v2/events=sometimes:3"]).await?;
    let app = apache::App::Proxy(run.ip(20).to_string() + ":9710");
    apache::Apache { app, format: apache::Format::Custom(MICROS_X), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.uri.starts_with("/api/v2/events"))
            .then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}
