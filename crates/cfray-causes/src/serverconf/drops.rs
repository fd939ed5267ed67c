//! Closing without an answer on purpose: nginx's 444, ModSecurity's drop.

use super::nginx::{place, server_of};
use super::{Ctx, Fact, Found, Words};
use cfray_model::Cause;
use cfray_model::serverconf::{Directive, Weight};

const WHY: &str =
    "444 closes the connection without a byte, and behind Cloudflare nobody else is there to be fooled: the visitor gets a 520.";
const WHY_ERRORS: &str = "An error of the backend that would have reached the visitor as a valid 502 or 504 is turned into a close without \
    an answer. Each crash, full pool and time-out behind it becomes a 520, and the access log says 444 for all of them.";

/// `return 444`, `error_page ... = @drop` that leads there, `limit_*_status 444`.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    for (around, d) in &c.nginx.all {
        let hosts = || server_of(&c.nginx, around).map(|s| s.names.clone()).unwrap_or_default();
        match d.name.as_str() {
            "return" if d.arg() == "444" => {
                let (what, causes, fix) = why_returned(around);
                // A location that error_page alone leads to is told with that.
                if around.iter().any(|a| a.name == "location" && a.arg().starts_with('@')) {
                    continue;
                }
                let words =
                    Words { what, value: "444: closed without an answer".to_owned(), place: place(&c.nginx, around), why: WHY, fix };
                out.push(c.found("nginx-444", Weight::Closes, Some(d), words, causes).shows(Fact::Close).of_hosts(hosts()));
            }
            "limit_req_status" | "limit_conn_status" if d.arg() == "444" => {
                let words = Words {
                    what: format!(
                        "{} closes without an answer",
                        if d.name == "limit_req_status" { "the rate limit" } else { "the connection limit" }
                    ),
                    value: "444 instead of a valid 429".to_owned(),
                    place: place(&c.nginx, around),
                    why: WHY,
                    fix: format!("{} 429;", d.name),
                };
                let found = c.found("nginx-444", Weight::Closes, Some(d), words, &[Cause::RuleDropped, Cause::Throttled]);
                out.push(found.shows(Fact::LimitCloses).of_hosts(hosts()));
            }
            "error_page" => out.extend(error_page(c, around, d).map(|f| f.of_hosts(hosts()))),
            _ => {}
        }
    }
    out
}

/// Whom a `return 444` is for, by the block around it.
fn why_returned(around: &[&Directive]) -> (String, &'static [Cause], String) {
    let condition = around.iter().rev().find(|d| d.name == "if").map(|d| d.args.join(" "));
    let fix = "return 403; (a valid answer), or block it in Cloudflare's WAF".to_owned();
    match condition {
        Some(text) if text.contains("$http_user_agent") || text.contains("$http_referer") => {
            ("requests of certain agents or referrers are closed without an answer".to_owned(), &[Cause::ClientBlocked], fix)
        }
        Some(text) if text.contains("addr") || text.contains("geo") || text.contains("country") => {
            ("requests of certain addresses are closed without an answer".to_owned(), &[Cause::EdgeIpBlocked, Cause::ClientBlocked], fix)
        }
        Some(_) => (
            "requests that meet a condition are closed without an answer".to_owned(),
            &[Cause::RuleDropped, Cause::ClientBlocked, Cause::EdgeIpBlocked],
            fix,
        ),
        None if around.iter().any(|d| d.name == "location") => {
            ("requests for certain paths are closed without an answer".to_owned(), &[Cause::RuleDropped], fix)
        }
        None => (
            "every request to this server is closed without an answer".to_owned(),
            &[Cause::RuleDropped],
            "return 421; (a valid answer), and name every host that Cloudflare sends here in a server_name".to_owned(),
        ),
    }
}

/// `error_page 502 504 = @drop;` where `@drop` (or the path) ends in 444.
fn error_page<'t>(c: &Ctx<'t>, around: &[&'t Directive], d: &'t Directive) -> Option<Found> {
    let target = d.args.last()?;
    let codes: Vec<&str> = d.args.iter().map(String::as_str).filter(|a| a.len() == 3 && a.bytes().all(|b| b.is_ascii_digit())).collect();
    // Locations of the same server; what is set in http {} may lead to any server's.
    let server = around.iter().find(|d| d.name == "server");
    let leads = |list: &[Directive]| ends_in_444(list, target);
    let closes = match server {
        Some(s) => leads(s.inside()),
        None => c.nginx.servers.iter().any(|s| leads(s.block.inside())),
    };
    if !closes {
        return None;
    }
    let backend = codes.iter().any(|code| matches!(*code, "500" | "502" | "503" | "504"));
    let cert = codes.iter().any(|code| matches!(*code, "495" | "496"));
    let mut causes = Vec::new();
    if backend {
        causes.extend([Cause::WorkerCrash, Cause::PoolExhausted, Cause::TimeoutKill, Cause::AppFatal, Cause::PluginFault]);
    }
    if cert {
        causes.push(Cause::OriginPullRejected);
    }
    if codes.contains(&"403") {
        causes.push(Cause::EdgeIpBlocked);
    }
    if causes.is_empty() {
        causes.push(Cause::RuleDropped);
    }
    let list = codes.join(", ");
    let words = Words {
        what: format!("answers with status {list} are turned into a close without an answer"),
        value: format!("{list} become 444"),
        place: place(&c.nginx, around),
        why: if backend { WHY_ERRORS } else { WHY },
        fix: "take the directive out, or answer: error_page 500 502 503 504 /50x.html;".to_owned(),
    };
    let fact = if backend {
        Fact::HidesErrors
    } else if cert {
        Fact::ClientCert
    } else {
        Fact::Close
    };
    Some(c.found("nginx-444", Weight::Closes, Some(d), words, &causes).shows(fact))
}

fn ends_in_444(list: &[Directive], target: &str) -> bool {
    list.iter().filter(|d| d.name == "location").any(|d| {
        let hit = d.args.last().is_some_and(|a| a == target || (!target.starts_with('@') && target.starts_with(a.as_str()) && a.len() > 1));
        (hit && d.inside().iter().any(|d| d.name == "return" && d.arg() == "444")) || ends_in_444(d.inside(), target)
    })
}

/// ModSecurity 2 carries out `drop`.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let drops = |d: &Directive| {
        let actions = d.args.last().map_or("", String::as_str);
        (d.is("SecRule") || d.is("SecAction") || d.is("SecDefaultAction"))
            && actions.split(',').any(|a| a.trim().eq_ignore_ascii_case("drop"))
    };
    c.apache
        .all
        .iter()
        .filter(|s| drops(s.d))
        .take(50)
        .map(|s| {
            let words = Words {
                what: format!("a ModSecurity rule drops the connection{}", s.condition()),
                value: "drop: closed without an answer".to_owned(),
                place: s.place(),
                why: "ModSecurity 2 on Apache closes the socket although its log says 403. Cloudflare gets no byte: 520.",
                fix: "deny,status:403 in place of drop".to_owned(),
            };
            let mut found = c.found("apache-drop", Weight::Closes, Some(s.d), words, &[Cause::RuleDropped, Cause::ClientBlocked]);
            // The rule's pattern is nobody's business in a report.
            found.finding.directive = format!("{} ... drop ...", s.d.name);
            found.shows(Fact::Close)
        })
        .collect()
}
