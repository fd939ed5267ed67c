//! What runs out: pool-exhausted, timeout-kill, server-io.

use super::processes::FASTCGI;
use super::site::{Kind, Site, Wire};

/// A full pool: connections to PHP-FPM are refused, and nginx says 502 or hides it.
pub fn full_pool(site: &mut Site, wire: Wire) -> Vec<String> {
    site.fpm(29_800, "WARNING", "[pool www] server reached pm.max_children setting (5), consider raising it");
    (0..14)
        .map(|i| {
            let row = site.request(30_000 + i * 620).ended(wire).lasting(40);
            let text = "connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream";
            site.nginx_about(row.end() - 10, "error", text, &row, FASTCGI);
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => site.answered(row, s, 157),
            }
            ray
        })
        .collect()
}

#[test]
fn pool_exhausted_behind_444() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = full_pool(&mut site, Wire::Closed);
    site.report().proves(&rays, "pool-exhausted", &["ray"], "failed (11: Resource temporarily unavailable)");
}

#[test]
fn pool_exhausted_behind_444_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = full_pool(&mut site, Wire::Valid(502));
    let strangers = site.strangers(8);
    let among: Vec<String> = (0..5)
        .map(|i| {
            let row = site.request(30_300 + i * 1_600).ended(Wire::Closed).lasting(900);
            site.silent(row)
        })
        .collect();
    site.report().leaves_out(&answered).denies(&strangers, "pool-exhausted").denies(&among, "pool-exhausted");
}

/// Connection slots run out: nginx closes what it accepts, and says so once a second at most.
fn no_slots(site: &mut Site, wire: Wire) -> Vec<String> {
    let mut rays = Vec::new();
    for burst in [25_000, 44_000, 63_000] {
        for second in 0..3 {
            site.nginx_error(burst + second * 1_000 + 120, "alert", "512 worker_connections are not enough");
            for i in 0..3 {
                let mut row = site.request(burst + second * 1_000 + 130 + i * 210);
                row.origin_tls = "none".to_owned();
                row.tls = 0;
                row = row.ended(wire);
                row = row.clone().lasting(row.tcp * 2 + 6);
                if wire == Wire::Valid(525) {
                    row.origin_tls = "unknown".to_owned();
                }
                rays.push(site.silent(row));
            }
        }
    }
    rays
}

#[test]
fn pool_exhausted_of_connections() {
    let mut site = Site::new(Kind::Nginx);
    let rays = no_slots(&mut site, Wire::Closed);
    site.report().proves(&rays, "pool-exhausted", &["window"], "worker_connections are not enough");
}

/// On a TLS port the same close falls into the handshake: 525.
#[test]
fn pool_exhausted_of_connections_near() {
    let mut site = Site::new(Kind::Nginx);
    let neighbours = no_slots(&mut site, Wire::Valid(525));
    let strangers = site.strangers(8);
    site.report().leaves_out(&neighbours).denies(&strangers, "pool-exhausted");
}

/// FPM ends what runs longer than ten seconds.
pub fn too_long(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..8)
        .map(|i| {
            let row = site.request(3_007 + i * 9_000).asking("GET", &format!("/export/{}.csv", 300 + i)).ended(wire).lasting(10_060);
            let (pid, end) = (3300 + i as u32, row.end() - 20);
            let text = format!(
                "[pool www] child {pid}, script '/var/www/site/public/index.php' (request: \"GET /index.php\") execution timed out (10.041032 sec), terminating"
            );
            site.fpm(end - 8, "WARNING", &text);
            site.fpm(end, "WARNING", &format!("[pool www] child {pid} exited on signal 15 (SIGTERM) after 61.300021 seconds from start"));
            let text = "recv() failed (104: Connection reset by peer) while reading response header from upstream";
            site.nginx_about(end, "error", text, &row, FASTCGI);
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 444, 0),
                Wire::Valid(s) => site.answered(row, s, 157),
            }
            ray
        })
        .collect()
}

#[test]
fn timeout_kill() {
    let mut site = Site::new(Kind::Nginx);
    let rays = too_long(&mut site, Wire::Closed);
    site.report().proves(&rays, "timeout-kill", &["chain", "request"], "execution timed out (10.041032 sec), terminating");
}

#[test]
fn timeout_kill_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = too_long(&mut site, Wire::Valid(502));
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "timeout-kill").denies(&closed, "timeout-kill");
}

/// The disk is full: the answer cannot be kept and is broken off, before its header went out or after.
fn full_disk(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..10)
        .map(|i| {
            let row = site.request(8_000 + i * 7_900).asking("GET", &format!("/catalog/{}", 40 + i)).ended(wire);
            let text = format!(
                "pwrite() \"/var/cache/nginx/fcgi/0000000{:03}\" failed (28: No space left on device) while reading upstream",
                412 + i
            );
            site.nginx_about(row.end() - 6, "crit", &text, &row, FASTCGI);
            let ray = row.ray();
            match wire {
                Wire::Closed => site.answered(row, 200, 0),
                Wire::Valid(s) => site.answered(row, s, 65_301),
            }
            ray
        })
        .collect()
}

#[test]
fn server_io() {
    let mut site = Site::new(Kind::Nginx);
    let rays = full_disk(&mut site, Wire::Closed);
    site.report().proves(&rays, "server-io", &["request"], "failed (28: No space left on device)");
}

#[test]
fn server_io_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = full_disk(&mut site, Wire::Valid(200));
    let strangers = site.strangers(9);
    let closed = site.closed_strangers(7);
    site.report().leaves_out(&answered).denies(&strangers, "server-io").denies(&closed, "server-io");
}

/// nginx closes idle connections to gain slots; requests were on their way over some of them.
fn reaped(site: &mut Site, at: &[i64]) -> Vec<String> {
    let mut rays = Vec::new();
    for &at in at {
        for i in 0..3 {
            let row = site.request(at + 40 * i).ended(Wire::Closed);
            let ms = row.tcp + 4;
            rays.push(site.silent(row.lasting(ms).reused()));
        }
    }
    rays
}

const REAPED: &str = "512 worker_connections are not enough, reusing connections";

#[test]
fn pool_exhausted_by_reaping() {
    let mut site = Site::new(Kind::Nginx);
    let at = [13_000, 31_000, 52_000, 70_000];
    for at in at {
        site.nginx_error(at + 30, "warn", REAPED);
    }
    let rays = reaped(&mut site, &at);
    site.report().proves(&rays, "pool-exhausted", &["window"], REAPED);
}

/// The same words every second, near everybody.
#[test]
fn pool_exhausted_by_reaping_near() {
    let mut site = Site::new(Kind::Nginx);
    for i in 0..90 {
        site.nginx_error(i * 1_000 + 70, "warn", REAPED);
    }
    let rays = reaped(&mut site, &[13_000, 31_000, 52_000, 70_000]);
    site.report().denies(&rays, "pool-exhausted");
}

/// Somebody else asked for the same page in the same second, met the full pool and got a 502; the one that
/// was closed is a bot, by rule.
#[test]
fn pool_exhausted_near_same_page() {
    let mut site = Site::new(Kind::Nginx);
    site.fpm(8_000, "WARNING", "[pool www] server reached pm.max_children setting (5), consider raising it");
    let mut rays = Vec::new();
    for i in 0..12 {
        let at = 8_000 + i * 6_300;
        let uri = format!("/p/{i}-offer");
        let mut other = site.request(at).asking("GET", &uri).ended(Wire::Valid(502)).lasting(60);
        "172.70.240.20".clone_into(&mut other.edge_ip);
        let text = "connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream";
        site.nginx_about(other.end() - 8, "error", text, &other, FASTCGI);
        site.answered(other, 502, 157);
        let mut row = site.request(at + 90).asking("GET", &uri).ended(Wire::Closed).lasting(30);
        "162.158.110.27".clone_into(&mut row.edge_ip);
        "GreedyBot/3.1".clone_into(&mut row.agent);
        rays.push(row.ray());
        site.answered(row, 444, 0);
    }
    site.report().denies(&rays, "pool-exhausted");
}
