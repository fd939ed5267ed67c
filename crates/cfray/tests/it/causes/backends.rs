//! What ends a request behind the web server, as application servers, supervisors and frameworks tell it.

use super::processes::out_of_memory;
use super::site::{Kind, Row, Site, Wire, stamp};

const CLOSED: &str = "upstream prematurely closed connection while reading response header from upstream";

/// Requests for pages of an application that nginx lost and hid behind a 444.
fn lost(site: &mut Site, ms: i64, upstream: &str, mut told: impl FnMut(&mut Site, &Row, u32)) -> Vec<String> {
    (0..10u32)
        .map(|i| {
            let at = 6_000 + i64::from(i) * 7_900;
            let row = site.request(at).asking("GET", &format!("/report/build/{i}?format=xlsx")).ended(Wire::Closed).lasting(ms);
            told(site, &row, 5300 + i);
            site.nginx_about(row.end() - 3, "error", CLOSED, &row, upstream);
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect()
}

/// uWSGI's log: a worker is ended after 3 s of `uri`.
fn harakiri(site: &mut Site, row: &Row, pid: u32, uri: &str) {
    let mut log = |at: i64, text: String| site.log("uwsgi/app.log", at, format!("{} - {text}", stamp(at, "%a %b %d %H:%M:%S %Y")));
    let at = row.end() - 40;
    log(at, format!("*** HARAKIRI ON WORKER 1 (pid: {pid}, try: 1) ***"));
    log(at, "HARAKIRI !!! worker 1 status !!!".to_owned());
    log(at, format!("HARAKIRI [core 0] {} - GET {uri} since 1795350243", row.edge_ip));
    log(at + 20, format!("DAMN ! worker 1 (pid: {pid}) died, killed by signal 9 :( trying respawn ..."));
}

#[test]
fn harakiri_is_a_time_limit_and_no_shortage_of_memory() {
    let mut site = Site::new(Kind::Nginx);
    let rays = lost(&mut site, 3_100, "uwsgi://127.0.0.1:9401", |site, row, pid| harakiri(site, row, pid, &row.uri.clone()));
    site.report().proves(&rays, "timeout-kill", &["request", "chain"], "HARAKIRI");
}

/// The worker was ended over another request, and the line says so.
#[test]
fn harakiri_of_another_request() {
    let mut site = Site::new(Kind::Nginx);
    let rays = lost(&mut site, 180, "uwsgi://127.0.0.1:9401", |site, row, _| {
        let at = row.end() - 40;
        let text = format!("{} - HARAKIRI [core 0] {} - GET /export/all since 1795350243", stamp(at, "%a %b %d %H:%M:%S %Y"), row.edge_ip);
        site.log("uwsgi/app.log", at, text);
    });
    site.report().denies(&rays, "timeout-kill");
}

fn pm2(site: &mut Site, at: i64, text: &str) {
    site.log("pm2/pm2.log", at, format!("{}: PM2 log: {text}", stamp(at, "%Y-%m-%dT%H:%M:%S")));
}

#[test]
fn node_killed_for_memory() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = lost(&mut site, 640, "http://127.0.0.1:3000/report", |site, row, pid| {
        site.kernel(row.end() - 9, &out_of_memory(pid, "node"));
        pm2(site, row.end() - 3, "App [store:1] exited with code [0] via signal [SIGKILL]");
    });
    site.report().proves(&rays, "oom-kill", &["chain", "request"], "Killed process").proves(
        &rays,
        "oom-kill",
        &["chain", "request"],
        "via signal [SIGKILL]",
    );
}

/// Without the supervisor's log the kernel's line and the broken upstream are two traces.
#[test]
fn node_killed_for_memory_as_the_kernel_alone_tells() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let kill = |site: &mut Site, row: &Row, pid: u32| site.kernel(row.end() - 9, &out_of_memory(pid, "node"));
    let rays = lost(&mut site, 640, "http://127.0.0.1:3000/report", kill);
    site.report().proves(&rays, "oom-kill", &["chain", "request"], "Killed process");
}

/// The kernel killed the database: it serves no web request.
#[test]
fn a_database_killed_for_memory_is_no_backend() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let kill = |site: &mut Site, row: &Row, pid: u32| site.kernel(row.end() - 9, &out_of_memory(pid, "mysqld"));
    let rays = lost(&mut site, 640, "http://127.0.0.1:3000/report", kill);
    site.report().denies(&rays, "oom-kill");
}

const THROWN: &str = "Call to a member function tier() on null";

/// Laravel's log, two hours behind the server's zone, without saying so.
fn laravel(site: &mut Site, at: i64, message: &str, file: &str) {
    let text = format!(
        "[{}] production.ERROR: {message} {{\"userId\":7,\"exception\":\"[object] (Error(code: 0): {message} at {file}:6)\n[stacktrace]\n#0 /srv/app/Http/Controllers/Quote.php(9): App\\\\Price->tier()\n#1 {{main}}\n\"}} ",
        stamp(at - 7_200_000, "%Y-%m-%d %H:%M:%S")
    );
    site.log("laravel/laravel.log", at, text);
}

fn quotes(site: &mut Site, file: &str, wire: Wire) -> Vec<String> {
    (0..14)
        .map(|i| {
            let at = 4_000 + i * 5_700 + (i * i * 37) % 1_900;
            let row = site.request(at).asking("GET", &format!("/quote/{i}")).ended(wire);
            laravel(site, row.end() - 5, THROWN, file);
            let ray = row.ray();
            let status = if wire == Wire::Closed { 444 } else { 500 };
            site.answered(row, status, 0);
            ray
        })
        .collect()
}

#[test]
fn exceptions_in_the_log_of_a_framework_with_a_zone_of_its_own() {
    let mut site = Site::new(Kind::Nginx);
    let rays = quotes(&mut site, "/srv/app/Services/Price.php", Wire::Closed);
    site.report().proves(&rays, "app-fatal", &["window", "request"], THROWN);
}

#[test]
fn exceptions_in_a_module_of_the_framework() {
    let mut site = Site::new(Kind::Nginx);
    let rays = quotes(&mut site, "/srv/modules/Quote/Price.php", Wire::Closed);
    site.report().proves(&rays, "plugin-fault", &["window", "request"], THROWN);
}

/// They were answered with a valid 500; the closes are others'.
#[test]
fn exceptions_in_the_log_of_a_framework_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = quotes(&mut site, "/srv/app/Services/Price.php", Wire::Valid(500));
    let closed = site.closed_strangers(8);
    site.report().leaves_out(&answered).denies(&closed, "app-fatal").denies(&closed, "plugin-fault");
}

const ELSEWHERE: &str = "198.51.100.240";

/// Apache closes what comes without a PROXY header and writes no line about it.
fn without_header(site: &mut Site, listener: &str) -> Vec<String> {
    site.apache_error(-2_000, "remoteip:notice", 2200, None, &format!("AH03492: RemoteIPProxyProtocol: enabled on {listener}"));
    site.apache_error(-1_990, "mpm_event:notice", 2200, None, "AH00489: Apache/2.4.68 (Debian) configured -- resuming normal operations");
    (0..14)
        .map(|i| {
            let mut row = site.request(5_000 + i * 80_000 / 14);
            ELSEWHERE.clone_into(&mut row.origin_ip);
            site.silent(row.ended(Wire::Closed).lasting(60))
        })
        .collect()
}

#[test]
fn a_listener_of_apache_that_wants_a_proxy_header() {
    let mut site = Site::new(Kind::Apache);
    let rays = without_header(&mut site, &format!("{ELSEWHERE}:80"));
    site.report().proves(&rays, "proxy-protocol", &["none", "window"], "RemoteIPProxyProtocol: enabled on");
}

/// The line is about another address.
#[test]
fn a_listener_of_apache_that_wants_a_proxy_header_near() {
    let mut site = Site::new(Kind::Apache);
    let rays = without_header(&mut site, "192.0.2.77:80");
    site.report().denies(&rays, "proxy-protocol").proves(&rays, "wrong-origin", &["none"], "");
}

/// HAProxy's log in place of nginx's: who was refused is named.
fn handshakes(peer: impl Fn(&Row) -> String) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    let rays = (0..12)
        .map(|i| {
            let row = site.request(5_000 + i * 6_700).ended(Wire::Closed).lasting(40);
            let at = row.end() - 12;
            let text = format!(
                "{} web1 haproxy[7688]: {}:4{i:04} [{}] https_in/1: SSL client certificate not trusted",
                stamp(at, "%b %d %H:%M:%S"),
                peer(&row),
                stamp(at, "%d/%b/%Y:%H:%M:%S%.3f")
            );
            site.log("haproxy.log", at, text);
            site.silent(row)
        })
        .collect();
    (site, rays)
}

#[test]
fn a_client_certificate_that_haproxy_refused() {
    let (site, rays) = handshakes(|row| row.edge_ip.clone());
    site.report().proves(&rays, "origin-pull-rejected", &["window"], "SSL client certificate not trusted");
}

/// One edge address was refused once; the others' failures are not its.
#[test]
fn a_client_certificate_of_another_edge_address() {
    let (mut site, rays) = handshakes(|_| "203.0.113.200".to_owned());
    let row = site.request(88_500).ended(Wire::Valid(525)).lasting(30);
    let text = format!(
        "{} web1 haproxy[7688]: {}:41000 [{}] https_in/1: SSL client certificate not trusted",
        stamp(row.end(), "%b %d %H:%M:%S"),
        row.edge_ip,
        stamp(row.end(), "%d/%b/%Y:%H:%M:%S%.3f")
    );
    site.log("haproxy.log", row.end(), text);
    site.silent(row);
    site.report().denies(&rays, "origin-pull-rejected");
}

/// HAProxy's `accept-proxy`: `peer` of each line. Another address of the same zone answers, as the lines of others show.
fn no_proxy_header(said: &str, peer: impl Fn(&Row) -> String) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    let rays = (0..14)
        .map(|i| {
            let mut row = site.request(5_000 + i * 80_000 / 14);
            ELSEWHERE.clone_into(&mut row.origin_ip);
            let row = row.ended(Wire::Closed).lasting(40);
            let at = row.end() - 12;
            let text = format!(
                "{} web1 haproxy[7688]: {}:4{i:04} [{}] web-in/2: {said}",
                stamp(at, "%b %d %H:%M:%S"),
                peer(&row),
                stamp(at, "%d/%b/%Y:%H:%M:%S%.3f")
            );
            site.log("haproxy.log", at, text);
            site.silent(row)
        })
        .collect();
    (site, rays)
}

const NO_HEADER: &str = "Received something which does not look like a PROXY protocol header";

#[test]
fn a_listener_of_haproxy_that_wants_a_proxy_header() {
    let (site, rays) = no_proxy_header(NO_HEADER, |row| row.edge_ip.clone());
    site.report().proves(&rays, "proxy-protocol", &["window"], NO_HEADER).denies(&rays, "wrong-origin");
}

/// Scanners reach the port, too.
#[test]
fn a_listener_of_haproxy_that_refuses_strangers_near() {
    let (site, rays) = no_proxy_header(NO_HEADER, |_| "203.0.113.200".to_owned());
    site.report().denies(&rays, "proxy-protocol").denies(&rays, "wrong-origin");
}

/// HAProxy's master tells how its worker ended, in the journal.
fn worker_of_haproxy(code: &str) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for i in 0..5 {
        let at = 9_000 + i * 15_700;
        for n in 0..4 {
            let row = site.request(at - 300 + n * 60).ended(Wire::Closed).lasting(300 - n * 60);
            rays.push(site.silent(row));
        }
        let pid = 4_000 + i * 10;
        let text = format!(
            "{} web1 haproxy[707]: [ALERT]    ({pid}) : Current worker ({}) exited with code {code}",
            stamp(at + 20, "%Y-%m-%dT%H:%M:%S+0000"),
            pid + 2
        );
        site.log("journal-haproxy.txt", at + 20, text);
    }
    (site, rays)
}

#[test]
fn a_worker_of_haproxy_that_crashed() {
    let (site, rays) = worker_of_haproxy("139 (Segmentation fault)");
    site.report().proves(&rays, "worker-crash", &["window"], "exited with code 139");
}

/// 143 is SIGTERM: somebody stopped it.
#[test]
fn a_worker_of_haproxy_that_was_stopped() {
    let (site, rays) = worker_of_haproxy("143 (Terminated)");
    site.report().denies(&rays, "worker-crash");
}

/// Caddy's log with access lines of others, and what Go's server says of the failing connections.
fn go_handshakes(said: &str, peer: impl Fn(&Row) -> String) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    site.forget_logs();
    for row in site.rows.clone().iter().filter(|r| !r.origin_ip.is_empty()) {
        let text = format!(
            r#"{{"level":"info","ts":{},"logger":"http.log.access.log0","msg":"handled request","request":{{"remote_ip":"{}","proto":"HTTP/1.1","method":"{}","host":"{}","uri":"{}","headers":{{"Cf-Ray":["{}-{}"]}}}},"duration":0.012,"size":2400,"status":{}}}"#,
            stamp(row.end() - 2, "%s%.3f"),
            row.edge_ip,
            row.method,
            row.host,
            row.uri,
            row.ray(),
            row.colo,
            row.status
        );
        site.log("caddy.log", row.end() - 2, text);
    }
    let rays = (0..12)
        .map(|i| {
            let row = site.request(5_000 + i * 6_700).ended(Wire::Closed).lasting(40);
            let at = row.end() - 12;
            let text = format!(
                r#"{{"level":"debug","ts":{},"logger":"http.stdlib","msg":"http: TLS handshake error from {}:4{i:04}: {said}"}}"#,
                stamp(at, "%s%.3f"),
                peer(&row)
            );
            site.log("caddy.log", at, text);
            site.silent(row)
        })
        .collect();
    (site, rays)
}

#[test]
fn a_client_certificate_that_caddy_refused() {
    let (site, rays) = go_handshakes("tls: client didn't provide a certificate", |row| row.edge_ip.clone());
    site.report().proves(&rays, "origin-pull-rejected", &["window"], "didn't provide a certificate");
}

/// The peer went away: nothing was refused.
#[test]
fn a_handshake_that_caddy_lost_near() {
    let (site, rays) = go_handshakes("EOF", |row| row.edge_ip.clone());
    site.report().denies(&rays, "origin-pull-rejected");
}
