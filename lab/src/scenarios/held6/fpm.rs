//! nginx with PHP-FPM, with or without 5xx mapped to 444.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use super::{access_h2, as_covered, ssh_bans, unanswered};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, crashes};
use crate::scenarios::hardened::{DROP_BY_PATH, HIDE_BY_PATH};
use crate::scenarios::{Scenario, background, cut_off, drive};
use crate::stacks::{certificates, fpm, nginx, site};
use crate::traffic::{Crowd, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held6-worker-crash-nginx118", "Workers of nginx 1.18 abort (signal 6) over requests to PHP-FPM 7.4; JSON with the ray, real_ip; the logs begin at half of the time; fourteen fields; Berlin, clock ahead.", aborts,
            { debian: Debian::Bullseye, client: "visitor", ray: "json ray_id", tz: "Europe/Berlin", job: Job::Fourteen, stamp: Stamp::Unix, profile: Profile::WordPress, crowd: Crowd::Bots, covered: (0.42, 1.0), status_on_520: 520, skew_s: 12, seconds: 75 }),
        scenario!("held6-app-fatal-typeerror", "An API on PHP-FPM 8.4 dies of an uncaught TypeError on some state changes, and the nginx of Debian testing maps the 500 to 444, over HTTP/2; nginx.org's main format; 5xx only; Sao Paulo, clock behind.", type_error,
            { debian: Debian::Forky, tz: "America/Sao_Paulo", site: Site::Brazil, job: Job::Only5xx, stamp: Stamp::UnixNano, profile: Profile::Api, crowd: Crowd::Few, status_on_520: 520, skew_s: -37 }),
        scenario!("held6-origin-pull-rejected-nginx118", "nginx 1.18 (PHP-FPM 7.4) verifies Cloudflare's client certificate and maps 495 and 496 to 444; for some time the zone shows a certificate of its own, over HTTP/2; journal with level info, own format with durations, real_ip; CSV job; clock ahead, visitors far away.", pull,
            { debian: Debian::Bullseye, client: "visitor", wrap: Wrap::Journal, site: Site::Europe, audience: Some(Site::UsEast), job: Job::Csv, stamp: Stamp::Rfc3339, skew_s: 12 }),
        scenario!("held6-plugin-fault-webservice", "A module for stock in a PrestaShop-like shop throws in the webservice under PHP-FPM 7.4, and nginx 1.18 maps the 500 to an internal location that returns 444, over HTTP/2; real_ip, own format with the ray; fourteen fields; Kolkata, clock ahead, clients far away.", webservice,
            { debian: Debian::Bullseye, client: "visitor", ray: "nginx $http_cf_ray", tz: "Asia/Kolkata", site: Site::India, audience: Some(Site::Europe), job: Job::Fourteen, stamp: Stamp::Rfc3339Ms, profile: Profile::Api, crowd: Crowd::Few, skew_s: 45 }),
    ]
}

const JSON_RAY_ID: &str = r#"log_format main escape=json '{"@timestamp":"$time_iso8601","ray_id":"$http_cf_ray","ip":"$remote_addr","domain":"$host","request":"$request_method $request_uri $server_protocol","code":$status,"bytes":$body_bytes_sent,"rt":$request_time,"upstream":"$upstream_response_time","referer":"$http_referer","ua":"$http_user_agent"}';"#;
/// The form that nginx.org's packages bring.
const MAIN: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';"#;
const DURATIONS: &str = r#"log_format main '[$time_local]|$remote_addr|$host|$request|$status|$bytes_sent|$request_time|$upstream_connect_time|$upstream_header_time|$upstream_response_time|$upstream_status|$http_user_agent';"#;
const RAY_THIRD: &str =
    r#"log_format main '[$time_local] $remote_addr $http_cf_ray $host "$request" $status $body_bytes_sent $pipe "$http_user_agent"';"#;

async fn aborts(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/availability/", "lib/rates.php")], &[("SLEEP", "1.1")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    let at = nginx::Nginx { real_ip: true, format: nginx::Format::Custom(JSON_RAY_ID), ..Default::default() }.start(run).await?;
    ssh_bans(run)?;
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    let end = run.set.seconds as f64;
    run.load(9.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/availability/room-{n}/"), who)
    });
    crashes(run, master, libc::SIGABRT, &[12.3, 19.8, 27.1, 36.6, 43.2, 50.7, 57.4, 64.9]).await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.2;
        let label = Label::new("worker-crash", "exited on signal 6");
        (cut_off(row) && run.near_event(row, "signal 6", 0.02, late)).then(|| as_covered(label, row, run))
    });
    Ok(())
}

const STATE: &str = r#"<?php
namespace Api\Item;
final class StateChange {
    public function __construct(private int $version, private ?string $actor) {}
    public function apply(): array { return ['version' => $this->next(), 'by' => $this->signature($this->actor)]; }
    private function next(): int { return $this->version + 1; }
    private function signature(string $actor): string { return hash('sha256', $actor); }
}
usleep(random_int(2000, 30000));
header('Content-Type: application/json');
// Clients that still use the first version of the interface name no actor.
echo json_encode((new StateChange(3, crc32($_SERVER['REQUEST_URI']) % 3 ? null : 'sync'))->apply());
"#;

async fn type_error(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/v1/items/[0-9]+/state", "src/Item/StateChange.php")], &[])?;
    run.write("var/www/site/src/Item/StateChange.php", STATE)?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let server = format!("http2 on; {DROP}");
    nginx::Nginx { tls: true, format: nginx::Format::Custom(MAIN), in_app: HIDE.into(), server, ..Default::default() }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("StateChange::signature(): Argument||{}", access_h2(row, "444"));
        (unanswered(row) && row.req.uri.ends_with("/state")).then(|| Label::new("app-fatal", text))
    });
    Ok(())
}

async fn pull(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let ca = run.path("etc/ssl/pull-ca.crt");
    // Short-lived connections, so that a change of the zone is soon everywhere.
    let server =
        format!("http2_idle_timeout 3s; ssl_verify_client on; ssl_client_certificate {}; error_page 495 496 = @drop; {DROP}", ca.display());
    let format = nginx::Format::Custom(DURATIONS);
    nginx::Nginx { tls: true, listen: "http2", real_ip: true, level: "info", format, server, ..Default::default() }.start(run).await?;
    let ssl = run.path("etc/ssl");
    let shows = |name: &str| -> Result<_> {
        let (crt, key) = (ssl.join(format!("{name}.crt")), ssl.join(format!("{name}.key")));
        client(TlsOptions { client_cert: Some((&crt, &key)), h2: true })
    };
    let (right, wrong) = (shows("pull")?, shows("other")?);
    let origin = run.origin(10, 28443, Some(right.clone()));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    for (at, tls, what) in [(24.0, wrong, "the zone shows a certificate of its own"), (33.0, right, "the zone shows Cloudflare's again")] {
        run.until(at).await;
        run.event(what);
        run.edge.set_origin(origin, Origin { tls: Some(tls), ..now.clone() });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let changed = run.events_of("the zone shows a certificate").first().is_some_and(|t| row.over_at + Duration::from_millis(5) >= *t);
        // nginx ends an idle connection (GOAWAY) that has just been used again.
        if row.why == Why::Http2 && row.reused && row.detail.contains("not a result of an error") {
            return Some(Label { cause: "keepalive-race", accept: "http2-fault", evidence: String::new() });
        }
        let text = format!("client SSL certificate verify error||{} {} HTTP/2.0|444", row.req.method, row.req.uri);
        (unanswered(row) && changed).then(|| Label::new("origin-pull-rejected", text))
    });
    Ok(())
}

const MODULE: &str = r#"<?php
class ErpStockSync {
    private $map = null;
    public function hookActionWebserviceStock(array $params) { usleep(random_int(2000, 20000)); return $this->row($params['id'])->quantity(); }
    private function row($id) { return $this->map[$id] ?? null; }
}
"#;
const HOOK: &str = r#"<?php
final class HookCore {
    public static function exec($name, array $params) {
        require_once __DIR__ . '/../modules/erpstocksync/erpstocksync.php';
        return (new ErpStockSync())->{'hook' . $name}($params);
    }
}
"#;
const DISPATCHER: &str = r#"<?php
require __DIR__ . '/../classes/Hook.php';
header('Content-Type: application/json');
echo json_encode(['stock' => HookCore::exec('ActionWebserviceStock', ['id' => (int) basename($path)])]);
"#;

async fn webservice(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/v1/stock_availables/", "webservice/dispatcher.php")], &[])?;
    run.write("var/www/site/modules/erpstocksync/erpstocksync.php", MODULE)?;
    run.write("var/www/site/classes/Hook.php", HOOK)?;
    run.write("var/www/site/webservice/dispatcher.php", DISPATCHER)?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let format = nginx::Format::Custom(RAY_THIRD);
    let (in_app, server) = (HIDE_BY_PATH.into(), DROP_BY_PATH.into());
    nginx::Nginx { tls: true, listen: "http2", real_ip: true, format, in_app, server, ..Default::default() }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    let end = run.set.seconds as f64;
    drive(run, 1.7, (3.0, end - 1.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/v1/stock_availables/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (unanswered(row) && row.req.tag == "fault").then(|| Label::new("plugin-fault", "modules/erpstocksync/erpstocksync.php"))
    });
    Ok(())
}
