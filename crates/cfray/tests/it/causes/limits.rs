//! What runs out: pool-exhausted, timeout-kill, server-io.

use super::processes::FASTCGI;
use super::site::{Kind, Site, Wire};

/// A full pool: connections to PHP-FPM are refused, and nginx says 502 or hides it.
fn full_pool(site: &mut Site, wire: Wire) -> Vec<String> {
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
fn too_long(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..8)
        .map(|i| {
            let row = site.request(3_000 + i * 9_000).asking("GET", &format!("/export/{}.csv", 300 + i)).ended(wire).lasting(10_060);
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
