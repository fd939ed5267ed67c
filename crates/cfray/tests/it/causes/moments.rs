//! Closes that begin and end at a moment: bans, maintenance, old workers that are shut down. And closes that hide what a server
//! behind had answered.

use super::site::{Kind, Row, Site, Wire, stamp};

/// Milliseconds to the origin and back from a data centre of the site.
pub fn round_trip(row: &Row) -> i64 {
    [("FRA", 8), ("AMS", 14), ("CDG", 20), ("IAD", 92), ("SIN", 168)].iter().find(|(colo, _)| row.colo == *colo).map_or(0, |x| x.1)
}

/// Closes on those of the background's requests that ended in a time and of which `hit` says so, `ms` over one round trip.
fn close(site: &mut Site, from: i64, to: i64, ms: i64, hit: impl Fn(&Row) -> bool) -> Vec<String> {
    let mut taken = Vec::new();
    let rows = std::mem::take(&mut site.rows);
    for row in rows {
        if !row.origin_ip.is_empty() && (from..to).contains(&row.end()) && hit(&row) {
            taken.push(row);
        } else {
            site.rows.push(row);
        }
    }
    for row in &taken {
        // The access line says 2 ms before the end, an error line one before that.
        site.each_line(&row.uri, |at, text| {
            let own = (row.end() - 3..=row.end() - 2).contains(&at);
            (!own).then(|| (at, text.to_owned()))
        });
    }
    let closed = taken.into_iter().map(|row| {
        let ms = round_trip(&row) + ms;
        let row = row.ended(Wire::Closed).lasting(ms);
        let ray = row.ray();
        site.answered(row, 444, 0);
        ray
    });
    closed.collect()
}

const BANNED: &str = "172.70.240.27";
const BAN_AT: i64 = 30_000;

fn ban(site: &mut Site, address: &str) {
    let time = stamp(BAN_AT - 200, "%Y-%m-%d %H:%M:%S");
    for i in 0..3 {
        let text = format!("{time},10{i} fail2ban.filter         [634]: INFO    [wordpress-login] Found {address} - {time}");
        site.log("fail2ban.log", BAN_AT - 210 + i, text);
    }
    let text = format!("{time},800 fail2ban.actions        [634]: NOTICE  [wordpress-login] Ban {address}");
    site.log("fail2ban.log", BAN_AT - 200, text);
}

#[test]
fn an_edge_address_that_was_banned_in_a_map() {
    let mut site = Site::new(Kind::Nginx);
    let rays = close(&mut site, BAN_AT, 90_000, 1, |row| row.edge_ip == BANNED);
    ban(&mut site, BANNED);
    assert!(rays.len() >= 10, "{}", rays.len());
    let report = site.report();
    report.proves(&rays, "edge-ip-blocked", &["request"], &format!("Ban {BANNED}"));
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("since it was banned")));
}

#[test]
fn an_edge_address_that_was_banned_in_a_map_near() {
    // Nobody tells of a ban: a limit on the rate of one address looks the same.
    let mut site = Site::new(Kind::Nginx);
    let rays = close(&mut site, BAN_AT, 90_000, 1, |row| row.edge_ip == BANNED);
    site.report().denies(&rays, "edge-ip-blocked");
    // Another address is banned.
    ban(&mut site, "172.70.240.34");
    site.report().denies(&rays, "edge-ip-blocked");
    // The banned address is answered as often as not: the ban has no effect here.
    let mut site = Site::new(Kind::Nginx);
    let rays = close(&mut site, BAN_AT, 90_000, 1, |row| row.edge_ip == BANNED && row.ray % 2 == 0);
    ban(&mut site, BANNED);
    site.report().denies(&rays, "edge-ip-blocked");
    // Everybody is closed on, banned or not.
    let mut site = Site::new(Kind::Nginx);
    let rays = close(&mut site, BAN_AT, 90_000, 1, |_| true);
    ban(&mut site, BANNED);
    site.report().denies(&rays, "edge-ip-blocked");
}

/// A job that delivers failures only, and among the closes a bot that nobody sees answered.
#[test]
fn a_ban_goes_before_what_its_closes_share() {
    let bot = |row: &mut Row| "python-requests/2.32.5".clone_into(&mut row.agent);
    let mut site = Site::new(Kind::Nginx);
    let mut rays = close(&mut site, BAN_AT, 90_000, 1, |row| row.edge_ip == BANNED);
    for i in 0..40 {
        let mut row = site.request(BAN_AT + 500 + i * 1_300);
        bot(&mut row);
        BANNED.clone_into(&mut row.edge_ip);
        "FRA".clone_into(&mut row.colo);
        (row.tcp, row.tls) = (8, 11);
        let row = row.ended(Wire::Closed).lasting(11);
        rays.push(row.ray());
        site.answered(row, 444, 0);
    }
    ban(&mut site, BANNED);
    site.rows.retain(|row| row.status >= 500);
    site.report_thin().proves(&rays, "edge-ip-blocked", &["request"], &format!("Ban {BANNED}"));
    // The bot is closed on through every address, one of which happens to be banned.
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for i in 0..60 {
        let mut row = site.request(2_000 + i * 1_400);
        bot(&mut row);
        let ms = round_trip(&row) + 3;
        let row = row.ended(Wire::Closed).lasting(ms);
        rays.push(row.ray());
        site.answered(row, 444, 0);
    }
    ban(&mut site, BANNED);
    site.report().denies(&rays, "edge-ip-blocked").proves(&rays, "client-blocked", &["request"], "python-requests");
}

#[test]
fn a_visitor_that_was_banned_in_a_map() {
    let client = "203.0.113.12";
    let mut site = Site::new(Kind::NginxRealIp);
    for i in 0..40 {
        let mut row = site.request(2_000 + i * 2_100);
        client.clone_into(&mut row.client);
        site.answered(row, 200, 4_000);
    }
    let rays = close(&mut site, BAN_AT, 90_000, 1, |row| row.client == client);
    site.report().denies(&rays, "client-blocked");
    ban(&mut site, client);
    site.report().proves(&rays, "client-blocked", &["request"], &format!("Ban {client}"));
}

/// Times of maintenance.
const DOWN: [(i64, i64); 2] = [(20_000, 31_000), (60_000, 69_000)];

fn maintenance(site: &mut Site, ms: i64, hit: impl Fn(&Row) -> bool) -> Vec<String> {
    for i in 0..30 {
        let row = site.request(1_000 + i * 2_900).asking("GET", "/old/teaser.html").ended(Wire::Valid(404));
        let text = "open() \"/var/www/site/public/old/teaser.html\" failed (2: No such file or directory)";
        site.nginx_about(row.end() - 3, "error", text, &row, "");
        site.answered(row, 404, 153);
    }
    DOWN.iter().flat_map(|(from, to)| close(site, *from, *to, ms, &hit)).collect()
}

/// What nginx answers itself.
fn own(row: &Row) -> bool {
    row.uri == "/old/teaser.html" || row.uri == "/.git/config"
}

#[test]
fn closed_on_everybody_while_a_site_is_down() {
    let mut site = Site::new(Kind::Nginx);
    let rays = maintenance(&mut site, 1, |_| true);
    assert!(rays.len() >= 60, "{}", rays.len());
    let report = site.report();
    report.proves(&rays, "rule-dropped", &["request"], "\" 444 0 ");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("closed on every request")));
}

#[test]
fn closed_on_everybody_while_a_site_is_down_near() {
    // The application fails for as long, its error hidden: what nginx answers itself goes on.
    let mut site = Site::new(Kind::Nginx);
    let rays = maintenance(&mut site, 1, |row| !own(row));
    site.report().denies(&rays, "rule-dropped");
    // It takes longer than a rule does.
    let mut site = Site::new(Kind::Nginx);
    let rays = maintenance(&mut site, 25, |_| true);
    site.report().denies(&rays, "rule-dropped");
    // Some are answered meanwhile.
    let mut site = Site::new(Kind::Nginx);
    let rays = maintenance(&mut site, 1, |row| row.ray % 4 != 0);
    site.report().denies(&rays, "rule-dropped");
    // The error log was not collected: it may name the reason.
    let mut site = Site::new(Kind::Nginx);
    let rays = maintenance(&mut site, 1, |_| true);
    site.each_line("2026/11/22 ", |_, _| None);
    site.report_thin().denies(&rays, "rule-dropped");
}

/// Slow requests that nginx logs with 000, and a reload `before` their end.
fn reloads(site: &mut Site, before: i64) -> Vec<String> {
    let mut rays = Vec::new();
    for at in [18_300, 39_500, 64_200] {
        for i in 0..4 {
            let began = at - 700 - i * 160;
            let row = site.request(began);
            let row = row.ended(Wire::Closed).lasting(at - began + 20);
            rays.push(row.ray());
            site.answered(row, 0, 0);
        }
        site.nginx_error(at - before, "notice", "signal 1 (SIGHUP) received from 1, reconfiguring");
        site.nginx_error(at - before, "notice", "reconfiguring");
    }
    rays
}

#[test]
fn old_workers_whose_shutdown_timed_out() {
    let mut site = Site::new(Kind::Nginx);
    let rays = reloads(&mut site, 500);
    site.report().proves(&rays, "server-restart", &["request"], "signal 1 (SIGHUP)");
}

/// Whoever came after the signal was served by a new worker. Nor is a lone status 000 a full disk, where the error log says nothing.
#[test]
fn old_workers_whose_shutdown_timed_out_near() {
    let mut site = Site::new(Kind::Nginx);
    let rays = reloads(&mut site, 9_000);
    site.report().denies(&rays, "server-restart").denies(&rays, "server-io");
}

/// Requests for offers that uvicorn answers with 500 and nginx closes on; `$upstream_status` and a time at the end of each line.
/// Closes on the pages of one application that took its time and answered 500, as the access log says.
pub fn offers(site: &mut Site, mut each: impl FnMut(&mut Site, &Row)) -> Vec<String> {
    let rays: Vec<String> = (0..24)
        .map(|i| {
            let row = site.request(4_000 + i * 3_300).asking("GET", &format!("/offers/{i}")).ended(Wire::Closed);
            let ms = round_trip(&row) + 12;
            let row = row.lasting(ms);
            each(site, &row);
            let ray = row.ray();
            site.answered(row, 444, 0);
            ray
        })
        .collect();
    site.each_line(" HTTP/1.1\" ", |at, text| {
        let said = text.split(" HTTP/1.1\" ").nth(1).and_then(|rest| rest.get(..3)).unwrap_or("-");
        let tail = match said {
            _ if text.starts_with("2026/") => String::new(),
            "444" => " 500 0.012".to_owned(),
            "403" | "404" => " - -".to_owned(),
            status => format!(" {status} 0.041"),
        };
        Some((at, format!("{text}{tail}")))
    });
    rays
}

#[test]
fn a_close_that_hides_an_answered_error_is_no_rule() {
    let mut site = Site::new(Kind::Nginx);
    let rays = offers(&mut site, |_, _| ());
    site.report().denies(&rays, "rule-dropped").denies(&rays, "client-blocked").denies(&rays, "edge-ip-blocked");
}

/// One line of a process as a carrier of logs writes it: journalctl's text, JSON or export.
fn carried(carrier: &str, at: i64, line: &str) -> String {
    let micros = format!("{}000", stamp(at, "%s%3f"));
    match carrier {
        "json" => format!(
            r#"{{"__REALTIME_TIMESTAMP":"{micros}","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"uvicorn","_PID":"707","MESSAGE":{line:?}}}"#
        ),
        "export" => format!(
            "__CURSOR=s=1;i={at}\n__REALTIME_TIMESTAMP={micros}\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER=uvicorn\nMESSAGE={line}\n_PID=707\n"
        ),
        _ => format!("{} web1 uvicorn[707]: {line}", stamp(at, "%Y-%m-%dT%H:%M:%S+0000")),
    }
}

/// uvicorn's lines as the journal gives them, each with a header or an entry of its own.
fn uvicorn(site: &mut Site, row: &Row, deepest: &str, carrier: &str) {
    let at = row.end() - round_trip(row) / 2 - 3;
    let text = format!(
        "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/uvicorn/protocols/http/h11_impl.py\", line 366, in run_asgi\n    result = await app(self.scope, self.receive, self.send)\n  File \"{deepest}\", line 12, in total\n    return self.fields[\"currency\"]\n           ~~~~~~~~~~~^^^^^^^^^^^^\nKeyError: 'currency'\nINFO:     {}:0 - \"GET {} HTTP/1.0\" 500 Internal Server Error",
        row.client, row.uri
    );
    for line in text.lines() {
        site.log("journal.txt", at, carried(carrier, at, line));
    }
}

#[test]
fn an_exception_under_uvicorn() {
    let mut site = Site::new(Kind::Nginx);
    let rays = offers(&mut site, |site, row| uvicorn(site, row, "/srv/app/offers.py", "text"));
    site.report().proves(&rays, "app-fatal", &["request", "window"], "KeyError: 'currency'").denies(&rays, "plugin-fault");
    let mut site = Site::new(Kind::Nginx);
    let rays = offers(&mut site, |site, row| uvicorn(site, row, "/srv/venv/lib/python3.11/site-packages/prices/middleware.py", "text"));
    site.report().proves(&rays, "plugin-fault", &["request", "window"], "KeyError: 'currency'");
}

/// Which frame is the deepest shows only when the entries of one traceback are read as one record.
#[test]
fn an_exception_under_uvicorn_in_the_journal() {
    for carrier in ["json", "export"] {
        for (deepest, cause) in
            [("/srv/app/offers.py", "app-fatal"), ("/srv/venv/lib/python3.11/site-packages/prices/middleware.py", "plugin-fault")]
        {
            let mut site = Site::new(Kind::Nginx);
            let rays = offers(&mut site, |site, row| uvicorn(site, row, deepest, carrier));
            let report = site.report();
            report.proves(&rays, cause, &["request", "window"], "");
            assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("KeyError: 'currency'")), "{carrier}");
        }
    }
}

/// The web server in front closes; the one behind, whose log stands first by name, had said 503 to the local address.
#[test]
fn the_line_of_the_server_in_front_counts() {
    let mut site = Site::new(Kind::Nginx);
    let rays = offers(&mut site, |site, row| {
        let time = stamp(row.start + 2, "%d/%b/%Y:%H:%M:%S +0000");
        site.log("apache2/access.log", row.end() - 3, format!("127.0.0.1 - - [{time}] \"GET {} HTTP/1.0\" 503 489 \"-\" \"-\"", row.uri));
    });
    let report = site.report();
    report.denies(&rays, "rule-dropped");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("\" 444 0 ")));
}
