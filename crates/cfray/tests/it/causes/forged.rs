//! Lines that a client wrote: byte for byte what the server would write, put where text of clients gets raw into a log.
//! Each is analysed beside the same site without it: no verdict and no evidence may differ, or the verdict is not named
//! and says what is missing.

use super::processes::FASTCGI;
use super::report::Cells;
use super::site::{Kind, Row, Site, Wire, stamp};

/// A site with silent 520s, for a forger to explain.
fn site(kind: Kind) -> (Site, Vec<Row>) {
    let mut site = Site::new(kind);
    let before = site.rows.len();
    site.strangers(6);
    let rows = site.rows[before..].to_vec();
    (site, rows)
}

/// Stamp of nginx's error log.
fn nginx(at: i64) -> String {
    stamp(at, "%Y/%m/%d %H:%M:%S")
}

/// The verdict without the numbers of lines, which the forged ones shift.
fn verdict(cells: &Cells) -> Vec<String> {
    let evidence: Vec<String> = cells["evidence"]
        .split(" | ")
        .map(|item| {
            let place: Vec<&str> = item.splitn(3, ':').collect();
            if place.len() == 3 && place[1].parse::<u64>().is_ok() { format!("{}: {}", place[0], place[2]) } else { item.to_owned() }
        })
        .collect();
    let mut all: Vec<String> =
        ["cause", "confidence", "match", "runner_up", "runner_up_confidence"].iter().map(|c| cells[*c].clone()).collect();
    all.push(evidence.join(" | "));
    all
}

/// Nothing differs between the two sites.
#[track_caller]
fn same(clean: &Site, forged: &Site) {
    assert_ne!(clean.origin(), forged.origin(), "nothing was forged");
    let (clean, forged) = (clean.report(), forged.report());
    assert_eq!(clean.len(), forged.len());
    for (ray, cells) in clean.rows() {
        assert_eq!(verdict(cells), verdict(forged.row(ray)), "{ray}");
    }
}

/// Nobody is blamed by name: at most 0.4 for the cause, and what is missing is said.
#[track_caller]
fn not_named(site: &Site, rows: &[Row], cause: &str) {
    let report = site.report_thin();
    for row in rows {
        let cells = report.row(&row.ray());
        assert_ne!(cells["cause"], cause, "{cells:#?}");
        if cells["runner_up"] == cause {
            assert!(cells["runner_up_confidence"].parse::<f64>().unwrap() <= 0.4, "{cells:#?}");
            // What is missing is said of the verdict: where another cause is named, of that one.
            assert!(cells["cause"] != "unknown" || cells["missing"].contains("second trace"), "{cells:#?}");
        }
    }
}

/// A site whose access log was not collected: silence there proves nothing, so only lines could speak.
fn without_access(kind: Kind) -> (Site, Vec<Row>) {
    let (mut site, rows) = site(kind);
    site.each_line(" HTTP/1.1\" ", |at, text| (!text.contains("] \"")).then(|| (at, text.to_owned())));
    (site, rows)
}

const DEATH: &str = "worker process 4242 exited on signal 11 (core dumped)";

#[test]
fn a_death_in_a_user_agent_or_referer_is_none() {
    for kind in [Kind::Nginx, Kind::NginxRay, Kind::Apache, Kind::ApacheIo] {
        let (clean, rows) = site(kind);
        let mut forged = clean.clone();
        for row in &rows {
            for text in [DEATH, "AH00052: child pid 4242 exit signal Segmentation fault (11)"] {
                let mut other = clean.clone().request(row.end() - 40);
                other.agent = text.to_owned();
                other.referer = format!("https://x/?{text}");
                forged.access(&other, 200, 900, 1200);
            }
        }
        same(&clean, &forged);
    }
}

/// nginx logs the decoded path: `GET /%0a2026/11/22...` puts a line break into the error log.
#[test]
fn a_line_in_a_path_starts_nothing() {
    let (clean, rows) = site(Kind::Nginx);
    for quote in ["", "\"", "\" failed (2: No such file or directory)"] {
        let mut forged = clean.clone();
        for row in &rows {
            let at = row.end() + 30;
            let line = format!("{} [alert] 811#811: {DEATH}", nginx(at));
            let visit = clean.clone().request(at - 20);
            let text = format!("open() \"/var/www/x{quote}\n{line}\n\" failed (2: No such file or directory)");
            forged.nginx_about(at, "error", &text, &visit, "");
        }
        same(&clean, &forged);
    }
}

/// Combined without the referrer: one quoted field behind the size.
fn without_referrer(site: &mut Site) {
    let changed = site.each_line("HTTP/1.1\" ", |at, text| {
        let Some((rest, agent)) = text.strip_suffix('"').and_then(|t| t.rsplit_once(" \"")) else { return Some((at, text.to_owned())) };
        let Some((line, _)) = rest.rsplit_once(" \"").filter(|_| text.contains("[22/Nov")) else { return Some((at, text.to_owned())) };
        Some((at, format!("{line} \"{agent}\"")))
    });
    assert!(changed > 300);
}

/// Whoever fills the first lines with rays for his agent makes the only quoted field look like one of rays; he gains nothing.
#[test]
fn a_flood_of_rays_for_agents_makes_no_ray() {
    let (mut clean, rows) = site(Kind::Nginx);
    without_referrer(&mut clean);
    let line = |at: i64, path: &str, status: u16, agent: &str| {
        let time = stamp(at, "%d/%b/%Y:%H:%M:%S +0000");
        format!("162.158.110.20 - - [{time}] \"GET {path} HTTP/1.1\" {status} 0 \"{agent}\"")
    };
    for i in 0..260 {
        clean.log(
            "nginx/access.log",
            -20_000 + i,
            line(-20_000 + i, "/robots.txt", 200, &format!("{:016x}-AMS", 0x9e11_0000_0000_0000_u64 + i as u64)),
        );
    }
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() - 30;
        forged.log("nginx/access.log", at, line(at, "/forged", 444, &format!("{}-{}", row.ray(), row.colo)));
    }
    same(&clean, &forged);
}

/// Where it is the ray indeed, lines tie by it beside their requests.
#[test]
fn a_lone_quoted_ray_ties_beside_its_request() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = site.closed_strangers(9);
    let changed = site.each_line("HTTP/1.1\" ", |at, text| {
        let cut = text.split_once(" \"http").or_else(|| text.split_once(" \"-\"")).map(|(line, _)| line);
        let ray = text.rsplit_once(' ').map(|(_, ray)| ray).filter(|_| text.contains("[22/Nov"));
        Some((at, cut.zip(ray).map_or_else(|| text.to_owned(), |(line, ray)| format!("{line} \"{ray}\""))))
    });
    assert!(changed > 300);
    let report = site.report();
    assert!(rays.iter().all(|ray| report.row(ray)["match"] == "ray"), "{}", report.csv);
}

#[test]
fn nothing_inside_fastcgi_stderr_starts_a_record() {
    let (clean, rows) = site(Kind::NginxRay);
    for forger in ["worker", "limit", "access"] {
        let mut forged = clean.clone();
        for row in &rows {
            let at = row.end() + 30;
            let tail = row.nginx_tail("");
            let line = match forger {
                "worker" => format!("{} [alert] 811#811: {DEATH}", nginx(at)),
                "limit" => format!("{} [error] 814#814: *77 limiting requests, excess: 5.1 by zone \"one\"{tail}", nginx(at)),
                _ => {
                    let time = stamp(at, "%d/%b/%Y:%H:%M:%S +0000");
                    format!("{} - - [{time}] \"GET {} HTTP/1.1\" 444 0 \"-\" \"{}\" {}-FRA", row.edge_ip, row.uri, row.agent, row.ray())
                }
            };
            let visit = clean.clone().request(at - 20);
            let text = format!("FastCGI sent in stderr: \"PHP message: hello\n{line}\nbye\" while reading response header from upstream");
            forged.nginx_about(at, "error", &text, &visit, FASTCGI);
        }
        same(&clean, &forged);
    }
}

/// Cut at 2,048 bytes, a record has lost its tail: the forged line is in it all the same, and the next line is real.
#[test]
fn a_record_that_lost_its_tail_ends_at_2048_bytes() {
    let (clean, rows) = site(Kind::Nginx);
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() + 30;
        let mut text = format!(
            "{} [error] 814#814: *99 FastCGI sent in stderr: \"PHP message: hello\n{} [alert] 811#811: {DEATH}\n",
            nginx(at),
            nginx(at)
        );
        while text.len() < 2047 {
            text.push('x');
        }
        forged.log("nginx/error.log", at, text);
    }
    same(&clean, &forged);
}

/// The client forges the end of the record as well, so that the line stands alone: nothing in the text tells. It is from
/// a process that serves connections, and such a one does not report the death of another.
#[test]
fn a_worker_cannot_report_a_death() {
    let (clean, rows) = site(Kind::Nginx);
    let mut forged = clean.clone();
    for row in &rows {
        perfect(&mut forged, row, 814);
    }
    same(&clean, &forged);
}

/// A line that is whole in itself, between two halves that are whole as well.
fn perfect(site: &mut Site, row: &Row, pid: u32) {
    let at = row.end() + 30;
    let visit = site.clone().request(at - 20);
    let tail = visit.nginx_tail("");
    let text = format!(
        "open() \"/var/www/x\" failed (2: No such file or directory){tail}\n{} [alert] {pid}#{pid}: {DEATH}\n{} [error] 814#814: *90 open() \"/x\" failed (2: No such file or directory)",
        nginx(at),
        nginx(at)
    );
    site.nginx_about(at, "error", &text, &visit, "");
}

/// A single line of an unknown process, without any other trace: believed at most 0.4, and the report says why.
#[test]
fn a_lone_line_needs_a_second_trace() {
    let (mut forged, rows) = without_access(Kind::Nginx);
    perfect(&mut forged, &rows[2], 1);
    not_named(&forged, &rows, "worker-crash");
    // The same line with further lines of that process is the server's.
    let (mut real, rows) = without_access(Kind::Nginx);
    let at = rows[2].end() + 30;
    for text in ["signal 17 (SIGCHLD) received from 4242", DEATH, "start worker process 4301"] {
        real.nginx_error(at, if text == DEATH { "alert" } else { "notice" }, text);
    }
    let cells = real.report_thin().row(&rows[2].ray()).clone();
    assert_eq!(cells["cause"], "worker-crash", "{cells:#?}");
}

#[test]
fn a_forged_tail_does_not_move_a_line_to_another_request() {
    let (clean, rows) = site(Kind::Nginx);
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() - 4;
        let mut visit = clean.clone().request(at - 20);
        // The real tail comes first; in the request and the referrer the client repeats the victim's.
        let tail = row.nginx_tail("");
        visit.uri = format!("/x{tail}");
        let text = "limiting requests, excess: 5.1 by zone \"one\"";
        forged.nginx_about(at, "error", text, &visit, "");
        let mut visit = clean.clone().request(at - 20);
        visit.uri = "/plain".to_owned();
        let line = format!("{} [error] 814#814: *88 {text}{}, referrer: \"http://x/\"{tail}", nginx(at), visit.nginx_tail(""));
        forged.log("nginx/error.log", at, line);
    }
    same(&clean, &forged);
}

#[test]
fn a_ray_in_what_clients_write_never_ties() {
    for kind in [Kind::Nginx, Kind::NginxRay, Kind::Apache] {
        let (clean, rows) = site(kind);
        let mut forged = clean.clone();
        for (i, row) in rows.iter().enumerate() {
            let ray = format!("{}-{}", row.ray(), row.colo);
            for part in 0..3 {
                let mut visit = clean.clone().request(row.end() - 30);
                visit.uri = format!("/visit/{i}/{part}");
                match part {
                    0 => visit.agent = ray.clone(),
                    1 => visit.referer = ray.clone(),
                    _ => visit.uri = format!("/visit/{i}?cf-ray={ray}"),
                }
                forged.access(&visit, 444, 0, 0);
            }
        }
        same(&clean, &forged);
    }
}

/// Most lines of the log have a ray in the user agent: still it is the client's word.
#[test]
fn a_log_full_of_forged_rays_is_not_one_that_logs_rays() {
    let (clean, rows) = site(Kind::Nginx);
    let mut forged = clean.clone();
    for i in 0..900 {
        let row = &rows[i % rows.len()];
        let mut visit = clean.clone().request(i as i64 * 95);
        visit.agent = format!("{}-FRA", row.ray());
        visit.uri = format!("/scan/{i}");
        forged.access(&visit, 444, 0, 0);
    }
    let report = forged.report();
    for row in &rows {
        assert!(!["ray", "request"].contains(&report.row(&row.ray())["match"].as_str()), "{:#?}", report.row(&row.ray()));
    }
}

/// `decorate_workers_output = no`: what children print stands raw in FPM's log, also what looks like FPM's lines.
#[test]
fn raw_output_of_children_is_not_fpm() {
    let mut clean = Site::new(Kind::Nginx);
    for i in 0..20 {
        clean.fpm(i * 4_000, "NOTICE", &format!("[pool www] child {} started", 3_000 + i));
        clean.log("php/php8.2-fpm.log", i * 4_000 + 100, "application: job done".to_owned());
    }
    let closed = clean.closed_strangers(6);
    let rows: Vec<Row> = clean.rows.iter().filter(|r| closed.contains(&r.ray())).cloned().collect();
    let mut forged = clean.clone();
    for row in &rows {
        let text = "[pool www] child 3100 exited on signal 11 (SIGSEGV - core dumped) after 41.120394 seconds from start";
        forged.fpm(row.end() - 5, "WARNING", text);
    }
    not_named(&forged, &rows, "worker-crash");
}

/// With the decoration a child's words are in quotes, whatever they are.
#[test]
fn what_a_child_said_is_not_a_line() {
    let mut clean = Site::new(Kind::Nginx);
    for i in 0..20 {
        clean.fpm(i * 4_000, "NOTICE", &format!("[pool www] child {} started", 3_000 + i));
    }
    let closed = clean.closed_strangers(6);
    let mut forged = clean.clone();
    for row in clean.rows.iter().filter(|r| closed.contains(&r.ray())) {
        let text = "[pool www] child 7 said into stderr: \"[22-Nov-2026 12:24:30] WARNING: [pool www] child 3100 exited on signal 11 (SIGSEGV) after 4.1 seconds from start\"";
        forged.fpm(row.end() - 5, "WARNING", text);
        let text = "[pool www] child 7 said into stderr: \"NOTICE: child 3100 exited on signal 11 (SIGSEGV) after 4.1 seconds from start\", pipe is closed";
        forged.fpm(row.end() - 5, "WARNING", text);
    }
    same(&clean, &forged);
}

/// Standard error of a CGI child goes raw into Apache's error log.
#[test]
fn raw_lines_in_apaches_log() {
    let (clean, rows) = site(Kind::Apache);
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() + 200;
        let time = stamp(at, "%a %b %d %H:%M:%S%.6f %Y");
        let death = "AH00052: child pid 4242 exit signal Segmentation fault (11)";
        // Without a prefix, in escaped form, and under the id of a process that serves connections (2219).
        forged.log("apache2/error.log", at, death.to_owned());
        forged.log("apache2/error.log", at, format!("[{time}] [cgi:error] [pid 2219:tid 2219] [client 192.0.2.1:4] AH01215: x\\n[{time}] [core:notice] [pid 2200:tid 2200] {death}: /x.cgi"));
        forged.log("apache2/error.log", at, format!("[{time}] [core:notice] [pid 2219:tid 2219] {death}"));
    }
    same(&clean, &forged);
    let (mut lone, rows) = without_access(Kind::Apache);
    let time = stamp(rows[2].end() + 200, "%a %b %d %H:%M:%S%.6f %Y");
    let line = format!("[{time}] [core:notice] [pid 1:tid 1] AH00052: child pid 4242 exit signal Segmentation fault (11)");
    lone.log("apache2/error.log", rows[2].end() + 200, line);
    not_named(&lone, &rows, "worker-crash");
}

/// An application may write anything under its own tag of syslog, and rsyslog passes it on.
#[test]
fn an_application_under_its_own_tag_is_no_web_server() {
    let (mut clean, rows) = site(Kind::Nginx);
    clean.kernel_noise();
    for i in 0..30 {
        let time = stamp(i * 2_000, "%b %d %H:%M:%S");
        clean.log("syslog", i * 2_000, format!("{time} web1 shop[77]: order {i} stored"));
    }
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() + 30;
        let time = stamp(at, "%b %d %H:%M:%S");
        let clf = stamp(at, "%d/%b/%Y:%H:%M:%S +0000");
        let tail = row.nginx_tail("");
        for text in [
            format!("{} [alert] 811#811: {DEATH}", nginx(at)),
            format!("{} [error] 814#814: *77 limiting requests, excess: 5.1 by zone \"one\"{tail}", nginx(at)),
            format!("{} - - [{clf}] \"GET {} HTTP/1.1\" 444 0 \"-\" \"{}\"", row.edge_ip, row.uri, row.agent),
            "kernel: nginx[4242]: segfault at 18 ip 00007f3a1c2b4d10 sp 00007ffd5e1c2a40 error 4 in nginx[1+2]".to_owned(),
            format!(
                "PHP Fatal error:  Uncaught Error in /var/www/x.php:3#012{time} web1 kernel: nginx[4242]: segfault at 18 ip 0 sp 0 error 4"
            ),
        ] {
            forged.log("syslog", at, format!("{time} web1 shop[77]: {text}"));
        }
    }
    same(&clean, &forged);
}

/// `error_log($_GET['x'])`: a message of PHP's that says what the client wanted, for the client's own request.
#[test]
fn a_fatal_that_only_stderr_speaks_of_is_not_named() {
    let (mut forged, _) = without_access(Kind::Nginx);
    let rows: Vec<Row> = (0..5).map(|i| forged.request(9_000 + i * 15_000).ended(Wire::Closed).lasting(800)).collect();
    for row in &rows {
        let text = "FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error: x in /var/www/x.php:3\" while reading response header from upstream";
        forged.nginx_about(row.end() - 5, "error", text, row, FASTCGI);
        forged.silent(row.clone());
    }
    not_named(&forged, &rows, "app-fatal");
}

/// The body of a request stands raw in ModSecurity's audit log, between borders that nobody can guess.
#[test]
fn a_body_in_the_audit_log_is_no_record() {
    let (mut clean, rows) = site(Kind::Nginx);
    let audit = |site: &mut Site, at: i64, body: &str| {
        let time = stamp(at, "%d/%b/%Y:%H:%M:%S%.6f +0000");
        let n = at.rem_euclid(9000) + 1000;
        let text = format!(
            "--5f2a{n}-A--\n[{time}] Zx9AAQAAAAAAAA{n} 172.70.240.21 40112 192.0.2.7 443\n--5f2a{n}-B--\nPOST /contact HTTP/1.1\nHost: www.example.com\nUser-Agent: x\n\n--5f2a{n}-C--\n{body}\n--5f2a{n}-F--\nHTTP/1.1 403 Forbidden\n\n--5f2a{n}-H--\nMessage: Warning. Pattern match at ARGS.\nStopwatch: 1 2 (- - -)\n\n--5f2a{n}-Z--\n"
        );
        site.log("modsec_audit.log", at, text);
    };
    for i in 0..12 {
        audit(&mut clean, i * 7_000, "text=hello");
    }
    let mut forged = clean.clone();
    for row in &rows {
        let time = stamp(row.end(), "%d/%b/%Y:%H:%M:%S%.6f +0000");
        let body = format!(
            "text=\n--deadbeef-H--\nMessage: Access denied with connection close (phase 1).\n--deadbeef-Z--\n\n--deadbeef-A--\n[{time}] Zx9 {} 40112 192.0.2.7 443\n--deadbeef-B--\nGET {} HTTP/1.1\nHost: {}\nCF-RAY: {}-FRA\n\n--deadbeef-H--\nMessage: Access denied with connection close (phase 1).\n\n--deadbeef-Z--",
            row.edge_ip,
            row.uri,
            row.host,
            row.ray()
        );
        audit(&mut forged, row.end() - 3, &body);
    }
    same(&clean, &forged);
}

/// Several forged deaths under one unknown id do not bear each other out.
#[test]
fn forged_lines_do_not_vouch_for_each_other() {
    let (mut forged, rows) = without_access(Kind::Nginx);
    for row in &rows {
        perfect(&mut forged, row, 1);
    }
    not_named(&forged, &rows, "worker-crash");
    let (mut forged, rows) = without_access(Kind::Apache);
    for row in &rows {
        let time = stamp(row.end() + 200, "%a %b %d %H:%M:%S%.6f %Y");
        let line = format!("[{time}] [core:notice] [pid 1:tid 1] AH00052: child pid 4242 exit signal Segmentation fault (11)");
        forged.log("apache2/error.log", row.end() + 200, line);
    }
    not_named(&forged, &rows, "worker-crash");
}

/// The quote is closed and the victim's tail written behind it; what is left of the real record is no record.
#[test]
fn a_forged_end_of_stderr_does_not_move_it_to_another_request() {
    for rest in ["bye", "bye\n", "2026/11/22 bye", "bye\" while reading upstream, bye"] {
        let mut clean = Site::new(Kind::NginxRay);
        let closed = clean.closed_strangers(6);
        let mut forged = clean.clone();
        for row in clean.rows.iter().filter(|r| closed.contains(&r.ray())) {
            let visit = clean.clone().request(row.end() - 20);
            let text = format!(
                "FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error: x in /var/www/wp-content/plugins/y/x.php:3\" while reading response header from upstream{}\n{rest}\" while reading response header from upstream",
                row.nginx_tail(FASTCGI)
            );
            forged.nginx_about(row.end() - 5, "error", &text, &visit, FASTCGI);
        }
        same(&clean, &forged);
    }
}

/// Whoever reaches the listener past Cloudflare may send any CF-RAY; the listener quotes it.
#[test]
fn a_ray_in_a_broken_header_of_a_stranger_never_ties() {
    for client in ["203.0.113.200", "172.70.240.9, server: x, client: 203.0.113.200"] {
        let (clean, rows) = site(Kind::Nginx);
        let mut forged = clean.clone();
        for (i, row) in rows.iter().enumerate() {
            let at = row.end() - 3;
            let head = format!("GET {} HTTP/1.1\nHost: {}\nCF-RAY: {}-{}\n", row.uri, row.host, row.ray(), row.colo);
            let text = format!(
                "{} [error] 814#814: *{} broken header: \"{head}\n\" while reading PROXY protocol, client: {client}, server: 0.0.0.0:8443",
                nginx(at),
                5000 + i
            );
            forged.log("nginx/error.log", at, text);
        }
        same(&clean, &forged);
    }
}

/// What an application logs of a request is the client's word, whatever it looks like.
#[test]
fn a_ray_in_an_application_log_never_ties() {
    let (mut clean, rows) = site(Kind::Nginx);
    for i in 0..30 {
        let at = i * 2_900;
        clean.log("app/app.log", at, format!("{} INFO shop: order {i} stored", stamp(at, "%Y-%m-%d %H:%M:%S,%3f")));
    }
    let mut forged = clean.clone();
    for row in &rows {
        let at = row.end() - 3;
        let time = stamp(at, "%Y-%m-%d %H:%M:%S,%3f");
        let ray = format!("{}-{}", row.ray(), row.colo);
        for text in [
            format!("WARN shop: unknown agent {ray}"),
            format!("ERROR shop: ray={ray} cf_ray={ray} {} {} worker process 4242 exited on signal 11", row.method, row.uri),
            format!("ERROR shop: header CF-RAY: {ray}\\nSegmentation fault (core dumped)"),
        ] {
            forged.log("app/app.log", at, format!("{time} {text}"));
        }
    }
    same(&clean, &forged);
}
