//! Faults that an error page hides in other ways than by a 444, and what other programs say about them.

use super::site::{Kind, Row, Site, Wire};

/// Requests for one page of an application that take `ms`.
fn slow(site: &mut Site, n: i64, uri: &str, ms: i64, mut each: impl FnMut(&mut Site, &Row)) -> Vec<String> {
    (0..n)
        .map(|i| {
            let at = 4_000 + i * 80_000 / n;
            let row = site.request(at).asking("GET", &format!("{uri}?n={i}")).ended(Wire::Closed).lasting(ms);
            each(site, &row);
            row.ray()
        })
        .collect()
}

const CLOSED: &str = "upstream prematurely closed connection while reading response header from upstream";

/// nginx logs the first status where `error_page` leads to a location that closes.
#[test]
fn a_500_with_no_byte_hides_a_fatal_like_a_444() {
    let fatal = "FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught TypeError: factor(): Argument #1 in /var/www/site/lib/price.php:12\" \
                 while reading response header from upstream";
    let mut site = Site::new(Kind::Nginx);
    let rays = slow(&mut site, 14, "/shop/item", 60, |site, row| {
        site.nginx_about(row.end() - 3, "error", fatal, row, "fastcgi://unix:/run/php/www.sock:");
        site.answered(row.clone(), 500, 0);
    });
    site.report().proves(&rays, "app-fatal", &["request"], "PHP Fatal error");
}

#[test]
fn a_500_with_no_byte_and_no_word_why_is_no_fatal() {
    let mut site = Site::new(Kind::Nginx);
    let rays = slow(&mut site, 14, "/shop/item", 60, |site, row| site.answered(row.clone(), 500, 0));
    site.report().denies(&rays, "app-fatal").denies(&rays, "plugin-fault");
}

fn gunicorn(site: &mut Site, at: i64, text: &str) {
    let time = super::site::stamp(at, "%Y-%m-%d %H:%M:%S +0000");
    site.log("gunicorn/error.log", at, format!("[{time}] [811] {text}"));
}

fn timeouts(site: &mut Site, broken: bool) -> Vec<String> {
    gunicorn(site, 0, "[INFO] Starting gunicorn 23.0.0");
    slow(site, 12, "/export", 3_200, |site, row| {
        gunicorn(site, row.end() - 20, "[CRITICAL] WORKER TIMEOUT (pid:912)");
        if broken {
            site.nginx_about(row.end() - 3, "error", CLOSED, row, "http://127.0.0.1:9180/export");
            site.answered(row.clone(), 444, 0);
        } else {
            site.rows.push(row.clone());
        }
    })
}

#[test]
fn a_worker_that_its_application_server_ended() {
    let mut site = Site::new(Kind::Nginx);
    let rays = timeouts(&mut site, true);
    site.report().proves(&rays, "timeout-kill", &["request", "chain"], "WORKER TIMEOUT");
}

/// An application's log is text of anybody's: alone it names no cause.
#[test]
fn an_application_log_alone_proves_nothing() {
    let mut site = Site::new(Kind::Nginx);
    let rays = timeouts(&mut site, false);
    site.report().denies(&rays, "timeout-kill").denies(&rays, "worker-crash");
}

/// No web server's log but an access log, and gunicorn's own word on where it listens.
fn app_alone(listens: &str) -> Site {
    let mut site = Site::new(Kind::Nginx);
    site.each_line("2026/11/22 ", |_, _| None);
    gunicorn(&mut site, -400, &format!("[INFO] Listening at: http://{listens} (811)"));
    site
}

#[test]
fn a_worker_of_an_application_server_that_is_the_origin() {
    let mut site = app_alone("192.0.2.10:80");
    let rays = timeouts(&mut site, false);
    site.report().proves(&rays, "timeout-kill", &["window"], "WORKER TIMEOUT");
    // Behind a web server its end gives a 502.
    let mut site = app_alone("127.0.0.1:9180");
    let rays = timeouts(&mut site, false);
    site.report().denies(&rays, "timeout-kill");
}

#[test]
fn memory_of_an_application_server_that_is_the_origin() {
    for (listens, proves) in [("192.0.2.10:80", true), ("127.0.0.1:9180", false)] {
        let mut site = app_alone(listens);
        let rays = slow(&mut site, 12, "/export", 1_200, |site, row| {
            let time = super::site::stamp(row.end(), "%Y-%m-%dT%H:%M:%S+0000");
            for text in ["A process of this unit has been killed by the OOM killer.", "Failed with result 'oom-kill'."] {
                site.log("journal.txt", row.end(), format!("{time} web1 systemd[1]: shop.service: {text}"));
            }
            site.rows.push(row.clone());
        });
        if proves {
            site.report().proves(&rays, "oom-kill", &["window"], "killed by the OOM killer");
        } else {
            site.report().denies(&rays, "oom-kill");
        }
    }
}

fn tracebacks(deepest: &str) -> (Site, Vec<String>) {
    let mut site = Site::new(Kind::Nginx);
    gunicorn(&mut site, 0, "[INFO] Starting gunicorn 23.0.0");
    let rays = slow(&mut site, 14, "/invoice/325", 45, |site, row| {
        let frames = format!(
            "  File \"/srv/shop/middleware/tax.py\", line 9, in __call__\n    return self.next(request)\n  File \"{deepest}\", line 4, in get"
        );
        gunicorn(
            site,
            row.end() - 4,
            &format!(
                "[ERROR] Error handling request /invoice/325\nTraceback (most recent call last):\n{frames}\n    raise KeyError\nKeyError"
            ),
        );
        site.answered(row.clone(), 444, 0);
    });
    (site, rays)
}

#[test]
fn a_middleware_in_a_traceback_of_python() {
    // What a middleware calls of the framework is not at fault; what the site's own code does under it is its own.
    let (site, rays) = tracebacks("/srv/venv/lib/python3.12/site-packages/django/utils/datastructures.py");
    site.report().proves(&rays, "plugin-fault", &["request", "chain"], "Error handling request");
    let (site, rays) = tracebacks("/srv/shop/cart/views.py");
    site.report().proves(&rays, "app-fatal", &["request", "chain"], "Error handling request").denies(&rays, "plugin-fault");
}

fn exceptions(site: &mut Site, page_in_log: &str) -> Vec<String> {
    gunicorn(site, 0, "[INFO] Starting gunicorn 23.0.0");
    slow(site, 14, "/invoice/325", 45, |site, row| {
        gunicorn(site, row.end() - 4, &format!("[ERROR] Exception on {page_in_log} [GET]"));
        site.answered(row.clone(), 444, 0);
    })
}

#[test]
fn an_exception_of_this_page_and_moment() {
    let mut site = Site::new(Kind::Nginx);
    let rays = exceptions(&mut site, "/invoice/325");
    site.report().proves(&rays, "app-fatal", &["request", "chain"], "Exception on /invoice/325");
}

#[test]
fn an_exception_of_another_page() {
    let mut site = Site::new(Kind::Nginx);
    let rays = exceptions(&mut site, "/invoice/7");
    site.report().denies(&rays, "app-fatal");
}

/// Apache logs what it had in hand when it was stopped as `200` with no byte.
#[test]
fn answers_that_a_stop_cut_off() {
    let mut site = Site::new(Kind::ApacheIo);
    let mut rays = Vec::new();
    for round in 0..4 {
        let stop = 15_000 + round * 18_000;
        // Parents report when their children are gone.
        site.apache_error(stop + 900, "mpm_event:notice", 2210, None, "AH00491: caught SIGTERM, shutting down");
        for i in 0..4 {
            let row = site.request(stop - 300 - i * 40).asking("GET", &format!("/report?n={round}{i}"));
            let row = row.clone().ended(Wire::Closed).lasting(stop - row.start + 5);
            rays.push(row.ray());
            site.access(&row, 200, 0, 0);
            site.rows.push(row);
        }
    }
    site.report().proves(&rays, "server-restart", &["request", "window"], "AH00491");
}
