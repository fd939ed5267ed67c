//! Processes that die or are ended: worker-crash, oom-kill, server-restart.

use super::site::{Kind, Row, Site, Wire};

/// Moments at which processes die.
const DEATHS: [i64; 3] = [21_300, 47_900, 70_600];
pub const FASTCGI: &str = "fastcgi://unix:/run/php/www.sock:";

/// Requests in flight at a moment, over connections of all kinds: started up to 0.9 s before, cut off
/// together, told to Cloudflare half a round trip later.
fn in_flight(site: &mut Site, at: i64, n: i64) -> Vec<Row> {
    (0..n)
        .map(|i| {
            let began = at - 60 - site.dice.between(0, 840);
            let row = site.request(began);
            let row = if i % 3 == 0 { row } else { row.reused() };
            row.ended(Wire::Closed).lasting(at - began + 12)
        })
        .collect()
}

/// nginx workers die by a signal, each taking five requests along.
pub fn nginx_deaths(site: &mut Site, signal: &str, kernel: impl Fn(u32) -> String) -> Vec<String> {
    let mut rays = Vec::new();
    for (i, at) in DEATHS.into_iter().enumerate() {
        let pid = 4242 + 7 * i as u32;
        for row in in_flight(site, at, 5) {
            rays.push(site.silent(row));
        }
        site.kernel(at, &kernel(pid));
        site.nginx_error(at + 30, "alert", &format!("worker process {pid} exited on signal {signal}"));
    }
    rays
}

fn segfault(pid: u32) -> String {
    format!(
        "nginx[{pid}]: segfault at 18 ip 00007f3a1c2b4d10 sp 00007ffd5e1c2a40 error 4 in ngx_http_brotli_filter_module.so[7f3a1c2b4000+3000]"
    )
}

pub fn out_of_memory(pid: u32, name: &str) -> String {
    format!(
        "Out of memory: Killed process {pid} ({name}) total-vm:812340kB, anon-rss:640112kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1480kB oom_score_adj:0"
    )
}

/// PHP-FPM children die; nginx says 502 or hides it.
pub fn fpm_deaths(site: &mut Site, wire: Wire, death: impl Fn(u32) -> String, kernel: Option<&str>) -> Vec<String> {
    (0..8)
        .map(|i| {
            let at = 9_000 + i * 9_700;
            let row = site.request(at).asking("GET", &format!("/report/{}/pdf", 70 + i)).ended(wire).lasting(640);
            let (pid, end) = (3100 + i as u32, row.end() - 14);
            if let Some(name) = kernel {
                site.kernel(end - 3, &out_of_memory(pid, name));
            }
            site.fpm(end, "WARNING", &format!("[pool www] child {pid} exited on signal {} after 41.120394 seconds from start", death(pid)));
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
fn worker_crash_of_nginx() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = nginx_deaths(&mut site, "11 (core dumped)", segfault);
    site.report().proves(&rays, "worker-crash", &["window"], "exited on signal 11");
}

/// The crashes are another machine's: its logs lie beside, its requests are not the failing ones.
#[test]
fn worker_crash_of_nginx_near() {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for at in DEATHS {
        for row in in_flight(&mut site, at, 5) {
            rays.push(site.silent(row));
        }
    }
    // The other machine serves another host over another address, and answers all but those in flight.
    let mut other = Site::seeded(Kind::Nginx, 77);
    nginx_deaths(&mut other, "11 (core dumped)", segfault);
    super::site::rehost(&mut other, "www.example.org", "192.0.2.77");
    let crashed: Vec<String> = other.rows.iter().filter(|r| r.status == 520).map(Row::ray).collect();
    let tree = site.merged(&other, "web1", "web2").write();
    tree.report().denies(&rays, "worker-crash").proves(&crashed, "worker-crash", &["window"], "exited on signal 11");
}

/// Workers die every other second, most of them without a request: a death stands near every answer, too.
fn deaths_all_the_time(site: &mut Site) {
    for i in 0..45 {
        site.nginx_error(i * 2_000 + 300, "alert", &format!("worker process {} exited on signal 7", 4_400 + i));
    }
}

/// What ended together, waiting for different times, ended with one of them.
#[test]
fn worker_crash_of_nginx_among_many_deaths() {
    let mut site = Site::new(Kind::Nginx);
    deaths_all_the_time(&mut site);
    let mut rays = Vec::new();
    for at in [20_300, 48_300, 70_300] {
        for row in in_flight(&mut site, at, 8) {
            rays.push(site.silent(row));
        }
    }
    site.report().proves(&rays, "worker-crash", &["window"], "exited on signal 7");
}

#[test]
fn worker_crash_of_nginx_among_many_deaths_near() {
    let mut site = Site::new(Kind::Nginx);
    deaths_all_the_time(&mut site);
    let rays = site.strangers(14);
    site.report().denies(&rays, "worker-crash");
}

/// The limit on a file's size, and a bus error as FreeBSD numbers it.
#[test]
fn worker_crash_by_other_signals() {
    for signal in ["25", "10 (core dumped)"] {
        let mut site = Site::new(Kind::Nginx);
        let rays = nginx_deaths(&mut site, signal, |pid| format!("nginx[{pid}] left"));
        site.report().proves(&rays, "worker-crash", &["window"], &format!("exited on signal {}", signal.split(' ').next().unwrap()));
    }
}

/// Somebody's order.
#[test]
fn worker_crash_by_other_signals_near() {
    for signal in ["15", "2", "1"] {
        let mut site = Site::new(Kind::Nginx);
        let rays = nginx_deaths(&mut site, signal, |pid| format!("nginx[{pid}] left"));
        site.report().denies(&rays, "worker-crash");
    }
}

#[test]
fn worker_crash_of_apache() {
    let mut site = Site::new(Kind::Apache);
    let mut rays = Vec::new();
    for i in 0..14 {
        let at = 6_000 + i * 5_900;
        let row = in_flight(&mut site, at, 1).remove(0);
        let pid = 14_100 + i as u32;
        rays.push(site.silent(row));
        // The parent looks once a second.
        let late = site.dice.between(100, 950);
        site.apache_error(at + late, "core:notice", 2200, None, &format!("AH00052: child pid {pid} exit signal Segmentation fault (11)"));
    }
    site.report().proves(&rays, "worker-crash", &["window"], "AH00052: child pid");
}

/// Children die every second, whether or not anybody loses an answer: the lines stand as near to answered
/// requests as to the failing ones.
#[test]
fn worker_crash_of_apache_near() {
    let mut site = Site::new(Kind::Apache);
    for i in 0..90 {
        let pid = 14_100 + i as u32;
        let text = format!("AH00052: child pid {pid} exit signal Segmentation fault (11)");
        site.apache_error(i * 1_000 + 310, "core:notice", 2200, None, &text);
    }
    let rays = site.strangers(14);
    site.report().denies(&rays, "worker-crash");
}

#[test]
fn worker_crash_of_fpm_behind_444() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = fpm_deaths(&mut site, Wire::Closed, |_| "11 (SIGSEGV - core dumped)".to_owned(), None);
    site.report().proves(&rays, "worker-crash", &["ray"], "exited on signal 11").proves(
        &rays,
        "worker-crash",
        &["ray"],
        "recv() failed (104",
    );
}

#[test]
fn worker_crash_of_fpm_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = fpm_deaths(&mut site, Wire::Valid(502), |_| "11 (SIGSEGV - core dumped)".to_owned(), None);
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "worker-crash");
}

/// The same, and failing requests end at the very moments of the children's deaths.
#[test]
fn worker_crash_of_fpm_near_in_the_same_second() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = fpm_deaths(&mut site, Wire::Valid(502), |_| "11 (SIGSEGV - core dumped)".to_owned(), None);
    let strangers: Vec<String> = (0..8)
        .map(|i| {
            let row = site.request(9_000 + i * 9_700 - 1_200).ended(Wire::Closed).lasting(1_850);
            site.silent(row)
        })
        .collect();
    site.report().leaves_out(&answered).denies(&strangers, "worker-crash");
}

#[test]
fn oom_kill_of_nginx() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = nginx_deaths(&mut site, "9", |pid| out_of_memory(pid, "nginx"));
    site.report().proves(&rays, "oom-kill", &["window"], "Out of memory: Killed process");
}

/// The kernel killed the database at those moments; the web server lost nothing.
#[test]
fn oom_kill_near() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let mut rays = Vec::new();
    for (i, at) in DEATHS.into_iter().enumerate() {
        for row in in_flight(&mut site, at, 5) {
            rays.push(site.silent(row));
        }
        site.kernel(at, &out_of_memory(4242 + 7 * i as u32, "mysqld"));
    }
    site.report().denies(&rays, "oom-kill");
}

#[test]
fn oom_kill_of_fpm_behind_444() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = fpm_deaths(&mut site, Wire::Closed, |_| "9 (SIGKILL)".to_owned(), Some("php-fpm8.2"));
    site.report().proves(&rays, "oom-kill", &["chain", "request"], "Out of memory: Killed process").proves(
        &rays,
        "oom-kill",
        &["chain", "request"],
        "exited on signal 9",
    );
}

#[test]
fn oom_kill_of_fpm_near() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let answered = fpm_deaths(&mut site, Wire::Valid(502), |_| "9 (SIGKILL)".to_owned(), Some("php-fpm8.2"));
    let strangers = site.strangers(9);
    site.report().leaves_out(&answered).denies(&strangers, "oom-kill").denies(&strangers, "worker-crash");
}

/// Signal 9 alone does not say who sent it.
#[test]
fn oom_kill_without_a_kernel_log() {
    let mut site = Site::new(Kind::Nginx);
    let rays = nginx_deaths(&mut site, "9", segfault);
    assert_eq!(site.each_line("kernel:", |_, _| None), 3);
    let report = site.report();
    report.proves(&rays, "oom-kill", &["window"], "exited on signal 9").second(&rays, "worker-crash").lacks(&rays, "kernel log");
    assert!(rays.iter().all(|r| report.confidence(r) <= 0.6));
}

/// A kernel log that covers the moment and says nothing of memory: somebody killed it.
#[test]
fn signal_9_under_a_silent_kernel_is_no_shortage() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = nginx_deaths(&mut site, "9", segfault);
    assert_eq!(site.each_line("segfault", |_, _| None), 3);
    site.report().denies(&rays, "oom-kill").proves(&rays, "worker-crash", &["window"], "exited on signal 9");
}

/// nginx is stopped and started again; the requests in flight are cut off or, in the near miss, there were
/// none.
fn stop(site: &mut Site, at: i64, wire: Wire) -> Vec<String> {
    // Nobody is answered in the gap.
    let gap = at..at + 2_600;
    site.rows.retain(|r| r.origin_ip.is_empty() || !gap.contains(&r.end()));
    site.each_line("HTTP/1.1\"", |t, text| (!gap.contains(&(t + 2))).then(|| (t, text.to_owned())));
    let mut rays = Vec::new();
    for row in in_flight(site, at, 7) {
        let row = row.ended(wire);
        rays.push(row.ray());
        match wire {
            Wire::Closed => site.rows.push(row),
            Wire::Valid(s) => site.answered(row, s, 5120),
        }
    }
    site.nginx_error(at, "notice", "signal 15 (SIGTERM) received from 1, exiting");
    site.nginx_error(at + 20, "notice", "exiting");
    site.nginx_error(at + 25, "notice", "exit");
    for i in 0..6 {
        let row = site.request(at + 150 + 380 * i).ended(Wire::Valid(521)).lasting(30);
        site.rows.push(row);
    }
    site.nginx_error(at + 2_600, "notice", "using the \"epoll\" event method");
    site.nginx_error(at + 2_600, "notice", "start worker processes");
    rays
}

#[test]
fn server_restart() {
    let mut site = Site::new(Kind::Nginx);
    let rays = stop(&mut site, 41_200, Wire::Closed);
    site.report().proves(&rays, "server-restart", &["window"], "signal 15 (SIGTERM) received");
}

/// The level hides the stop: refused connections right after give it away.
#[test]
fn server_restart_hidden_by_the_level() {
    let mut site = Site::new(Kind::Nginx);
    let rays = stop(&mut site, 41_200, Wire::Closed);
    assert_eq!(site.each_line("[notice]", |_, _| None), 5);
    site.report().proves(&rays, "server-restart", &["none", "window"], "").lacks(&rays, "level notice");
}

/// What was in flight was answered, and 520s come seconds before and after.
#[test]
fn server_restart_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = stop(&mut site, 41_200, Wire::Valid(200));
    let strangers = cut_off(&mut site, &[9_000, 14_000, 19_000, 25_500, 56_000, 61_000, 68_000, 77_000]);
    site.report().leaves_out(&answered).denies(&strangers, "server-restart");
}

fn cut_off(site: &mut Site, at: &[i64]) -> Vec<String> {
    at.iter()
        .map(|&at| {
            let row = site.request(at).ended(Wire::Closed).lasting(2_100);
            site.silent(row)
        })
        .collect()
}

/// Six seconds before the stop, with the server answering everybody in between, and with its stop line.
#[test]
fn server_restart_near_with_answers_between() {
    let mut site = Site::new(Kind::Nginx);
    let answered = stop(&mut site, 41_200, Wire::Valid(200));
    let strangers = cut_off(&mut site, &[31_000, 33_000, 35_100]);
    site.report().leaves_out(&answered).denies(&strangers, "server-restart");
}

/// A reload closes nobody's request; failing requests of that moment must have met something else.
#[test]
fn server_restart_near_reload() {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for at in DEATHS {
        site.nginx_error(at, "notice", "signal 1 (SIGHUP) received from 4100, reconfiguring");
        site.nginx_error(at, "notice", "reconfiguring");
        site.nginx_error(at + 40, "notice", "start worker processes");
        for row in in_flight(&mut site, at, 3) {
            rays.push(site.silent(row));
        }
    }
    site.report().denies(&rays, "server-restart");
}

#[test]
fn server_restart_of_apache() {
    let mut site = Site::new(Kind::Apache);
    let mut rays = Vec::new();
    for at in DEATHS {
        for row in in_flight(&mut site, at, 4) {
            rays.push(site.silent(row));
        }
        site.apache_error(at + 60, "mpm_prefork:notice", 2200, None, "AH00173: SIGHUP received.  Attempting to restart");
        let text = "AH00163: Apache/2.4.62 (Debian) OpenSSL/3.0.15 configured -- resuming normal operations";
        site.apache_error(at + 260, "mpm_prefork:notice", 2200, None, text);
    }
    site.report().proves(&rays, "server-restart", &["window"], "AH00173: SIGHUP received");
}

/// A kernel log that holds nothing but blocked packets is a kernel log all the same.
#[test]
fn signal_9_under_a_kernel_log_of_packets() {
    let mut site = Site::new(Kind::Nginx);
    site.kernel_noise();
    let rays = nginx_deaths(&mut site, "9", segfault);
    site.each_line("segfault", |_, _| None);
    site.each_line("audit:", |_, _| None);
    site.report().denies(&rays, "oom-kill");
}
