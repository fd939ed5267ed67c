//! What the logs will not show, by how they are configured.

use super::{Ctx, Found, Words};
use cfray_formats::serverconf::log_specs;
use cfray_model::Cause;
use cfray_model::serverconf::Weight;

const WHY_ACCESS: &str = "Without the ray a log line is tied to its 520 by address, page and second only; without the duration and the size of the \
    header a slow end, an oversized header and an instant close look alike.";
const WHY_ERROR: &str =
    "The lines that explain a 520 are at level notice (stops, restarts) and info (client certificates, HTTP/2, slow clients).";

const NGINX_FORMAT: &str = "log_format cf520 '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\" $bytes_sent $request_time $connection $http_cf_ray';";
const APACHE_FORMAT: &str =
    "LogFormat \"%a %l %u %t \\\"%r\\\" %>s %B \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %O %D %L %{CF-Ray}i\" cf520";

/// What a format lacks: (words in it that will do, what to call it).
fn lacks(template: &str, wanted: &[(&[&str], &str)]) -> Vec<String> {
    let lower = template.to_ascii_lowercase();
    wanted
        .iter()
        .filter(|(any, _)| !any.iter().any(|w| lower.contains(&w.to_ascii_lowercase())))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// `log_format` of logs in use, `error_log`.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = formats(
        c,
        "nginx-logging",
        &[
            (&["http_cf_ray"], "$http_cf_ray"),
            (&["$request_time"], "$request_time"),
            (&["$bytes_sent"], "$bytes_sent"),
            (&["body_bytes_sent"], "$body_bytes_sent"),
        ],
        NGINX_FORMAT,
        "access_log",
    );
    let logs: Vec<_> = c.nginx.all.iter().filter(|(_, d)| d.name == "error_log").collect();
    let deep = |level: &str| matches!(level, "notice" | "info" | "debug" | "debug_http");
    let shallow = logs.iter().find(|(_, d)| !d.args.iter().skip(1).any(|a| deep(a)));
    if let Some((around, d)) = shallow {
        let level = d.args.iter().skip(1).find(|a| !a.contains('=')).map_or("error (nginx's default)", String::as_str);
        let words = Words {
            what: "the error log leaves out lines at notice and info".to_owned(),
            value: level.to_owned(),
            place: super::nginx::place(&c.nginx, around),
            why: WHY_ERROR,
            fix: format!("error_log {} info;", d.arg()),
        };
        let causes = [Cause::ServerRestart, Cause::OriginPullRejected, Cause::RequestRejected, Cause::Http2Fault];
        out.push(c.found("nginx-logging", Weight::Note, Some(d), words, &causes));
    }
    out
}

/// `LogFormat` of logs in use, `LogLevel`.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = formats(
        c,
        "apache-logging",
        &[(&["cf-ray"], "%{CF-Ray}i"), (&["%D", "%{us}T", "%{ms}T", "%T"], "%D"), (&["%O"], "%O"), (&["%B", "%b"], "%B")],
        APACHE_FORMAT,
        "CustomLog",
    );
    let set = c.apache.last(None, "LogLevel");
    let deep = set.is_some_and(|s| {
        s.d.args.iter().any(|a| {
            matches!(a.rsplit(':').next().unwrap_or_default().to_ascii_lowercase().as_str(), "info" | "debug")
                || a.to_ascii_lowercase().contains(":trace")
        })
    });
    if !deep && (set.is_some() || c.tree.whole) {
        let words = Words {
            what: "the error log leaves out lines at info".to_owned(),
            value: set.map_or_else(|| format!("warn ({})", c.default_note("Apache")), |s| s.d.args.join(" ")),
            place: "main server".to_owned(),
            why: WHY_ERROR,
            fix: "LogLevel warn ssl:info http2:info reqtimeout:info".to_owned(),
        };
        let causes = [Cause::OriginPullRejected, Cause::Http2Fault, Cause::RequestRejected];
        out.push(c.found("apache-logging", Weight::Note, set.map(|s| s.d), words, &causes));
    }
    out
}

/// Formats that access logs are written in: one finding for each format that lacks something.
fn formats(c: &Ctx<'_>, check: &str, wanted: &[(&[&str], &str)], fix: &str, directive: &str) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for spec in log_specs(c.tree) {
        let (Some(path), true) = (&spec.path, spec.origin != cfray_formats::template::directive::Origin::ApacheError) else { continue };
        if seen.contains(&spec.template) {
            continue;
        }
        seen.push(spec.template.clone());
        let lacks = lacks(&spec.template, wanted);
        if lacks.is_empty() {
            continue;
        }
        let name = if spec.name.is_empty() { "of its own".to_owned() } else { spec.name.clone() };
        let words = Words {
            what: format!("the access log is written without {}", lacks.join(", ")),
            value: format!("format {name}"),
            place: path.clone(),
            why: WHY_ACCESS,
            fix: format!("{fix} and {directive} {path} cf520{}", if directive == "access_log" { ";" } else { "" }),
        };
        let mut found = c.found(check, Weight::Note, None, words, &[Cause::HeadersTooLarge, Cause::KeepaliveRace]);
        if let Some((file, line)) = spec.place.rsplit_once(':') {
            found.finding.file = file.to_owned();
            found.finding.line = line.parse().ok();
            found.finding.directive = format!("{directive} {path}{}{}", if spec.name.is_empty() { "" } else { " " }, spec.name);
        }
        out.push(found);
    }
    out
}

/// `catch_workers_output`.
pub fn fpm(c: &Ctx<'_>) -> Vec<Found> {
    let pools = c.tree.directives.iter().filter(|d| d.block.is_some() && d.arg() != "global");
    pools
        .filter_map(|pool| {
            let set = pool.inside().iter().rfind(|d| d.name == "catch_workers_output");
            let on = set.is_some_and(|d| matches!(d.arg().to_ascii_lowercase().as_str(), "yes" | "on" | "1" | "true"));
            let settings = pool.inside().iter().any(|d| d.name == "pm" || d.name == "listen");
            (!on && settings).then(|| {
                let words = Words {
                    what: "what PHP prints to standard error is thrown away".to_owned(),
                    value: set.map_or_else(|| format!("no ({})", c.default_note("PHP-FPM")), |d| d.arg().to_owned()),
                    place: format!("pool {}", pool.arg()),
                    why: "Fatal errors of an application that logs to standard error are in no log, and a 444 in front of them cannot be explained.",
                    fix: "catch_workers_output = yes".to_owned(),
                };
                c.found("fpm-logging", Weight::Note, set.or(Some(pool)), words, &[Cause::AppFatal, Cause::PluginFault])
            })
        })
        .collect()
}
