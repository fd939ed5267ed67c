//! Which server a log speaks for, and which world it belongs to.
//!
//! A *server* is what shares process ids, connection ids and a clock. It is named by the user
//! (`--server`), or by a syslog or journal host, or it is the nearest directory that holds both an
//! access log and an error log; logs of other software beside it (PHP-FPM, kernel) belong to it.
//! Directories named after software or after logs (`nginx`, `php`, `log`) do not separate servers.
//!
//! A *scope* is a directory with edge logs and origin logs of its own, where the inputs hold several
//! such directories: stories or customers side by side have nothing to do with each other.

use super::sniff::{Found, What};
use crate::options::Options;
use cfray_model::{LineKind, Stack};
use std::collections::{BTreeMap, BTreeSet};

type Parts = Vec<String>;

/// Directory names that say what is in them, not whose it is.
const GENERIC: &[&str] = &[
    "log", "logs", "var", "access", "error", "errors", "origin", "journal", "kernel", "kern", "syslog", "system", "systemd", "rsyslog",
    "dmesg", "messages", "os", "archive", "old",
];
/// Software that is run on a server.
const SOFTWARE: &[&str] = &[
    "nginx",
    "apache",
    "apache2",
    "httpd",
    "openresty",
    "litespeed",
    "lsws",
    "openlitespeed",
    "haproxy",
    "php",
    "php-fpm",
    "fpm",
    "fail2ban",
    "modsecurity",
];

/// Servers by syslog or journal host.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// (scope, host in lower case) to server.
    known: BTreeMap<(String, String), String>,
    /// More than one scope: names of servers carry it.
    scoped: bool,
}

impl Hosts {
    /// The server of a host. Hosts that discovery has not seen are servers of their own.
    pub fn server(&self, scope: &str, host: &str) -> String {
        let host = host.to_ascii_lowercase();
        let short = host.split('.').next().unwrap_or(&host);
        let known = |h: &str| self.known.get(&(scope.to_owned(), h.to_owned()));
        match known(&host).or_else(|| if is_address(&host) { None } else { known(short) }) {
            Some(server) => server.clone(),
            None if self.scoped && !scope.is_empty() => format!("{scope}/{host}"),
            None => host,
        }
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

fn is_generic(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    GENERIC.contains(&lower.as_str()) || is_software(&lower)
}

fn is_software(lower: &str) -> bool {
    let php = lower
        .strip_prefix("php")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-') || b"fpm".contains(&b)));
    SOFTWARE.contains(&lower) || php
}

/// A directory without trailing parts that do not separate servers.
fn lift(dir: &[String]) -> Parts {
    let keep = dir.iter().rposition(|part| !is_generic(part)).map_or(0, |at| at + 1);
    dir.get(..keep).unwrap_or_default().to_vec()
}

/// The parts of a directory that may separate servers.
fn separating(dir: &[String]) -> Parts {
    dir.iter().filter(|part| !is_generic(part)).cloned().collect()
}

/// Number of separating parts before the first directory named after software.
fn owner(dir: &[String]) -> usize {
    let before = dir.iter().position(|part| is_software(&part.to_ascii_lowercase())).unwrap_or(dir.len());
    let software = before < dir.len();
    let parts = dir.iter().take(before).filter(|part| !is_generic(part)).count();
    if software { parts } else { usize::MAX }
}

fn within(dir: &[String], top: &[String]) -> bool {
    dir.get(..top.len()) == Some(top)
}

fn common<'a>(mut dirs: impl Iterator<Item = &'a Parts>) -> Parts {
    let mut out = dirs.next().cloned().unwrap_or_default();
    for dir in dirs {
        let equal = out.iter().zip(dir).take_while(|(a, b)| a == b).count();
        out.truncate(equal);
    }
    out
}

/// Finds the worlds and writes their names into `scope`.
pub fn scopes(found: &mut [Found]) {
    let mut holds: BTreeMap<Parts, (bool, bool)> = BTreeMap::new();
    for one in found.iter() {
        let dir = &one.candidate.dir;
        let from = if within(dir, &one.candidate.top) { one.candidate.top.len() } else { dir.len() };
        for len in from..=dir.len() {
            let entry = holds.entry(dir.get(..len).unwrap_or_default().to_vec()).or_default();
            entry.0 |= one.is_edge();
            entry.1 |= !one.is_edge();
        }
    }
    let both: Vec<&Parts> = holds.iter().filter(|&(_, &(edge, origin))| edge && origin).map(|(dir, _)| dir).collect();
    // Sorted by parts, a directory's descendants come right after it.
    let minimal: Vec<&Parts> =
        both.iter().enumerate().filter(|&(i, dir)| both.get(i + 1).is_none_or(|next| !within(next, dir))).map(|(_, dir)| *dir).collect();
    if minimal.len() < 2 {
        return;
    }
    let shared = common(minimal.iter().copied()).len();
    let full = |dir: &Parts| dir.get(shared..).unwrap_or_default().to_vec();
    let lifted: Vec<Parts> = minimal.iter().map(|dir| full(&lift(dir))).collect();
    let unique = lifted.iter().all(|p| !p.is_empty()) && lifted.iter().collect::<BTreeSet<_>>().len() == lifted.len();
    let names: Vec<String> =
        minimal.iter().zip(&lifted).map(|(dir, short)| if unique { short.join("/") } else { full(dir).join("/") }).collect();
    let minimal: Vec<Parts> = minimal.into_iter().cloned().collect();
    for one in found.iter_mut() {
        if let Some((_, name)) = minimal.iter().zip(&names).find(|(dir, _)| within(&one.candidate.dir, dir)) {
            one.scope.clone_from(name);
        }
    }
}

/// What the assignment needs to know of one origin source.
struct Member {
    index: usize,
    /// The directory without parts that do not separate servers.
    key: Parts,
    /// How much of `key` stands before the first directory named after software.
    owner: usize,
    access: bool,
    error: bool,
    hosts: BTreeMap<String, usize>,
}

/// Writes `server` and `stack` of every origin source.
pub fn servers(found: &mut [Found], options: &Options) -> Hosts {
    let globs: Vec<_> = options.servers.iter().filter_map(|(name, glob)| Some((name, super::sniff::compile_glob(glob).ok()?))).collect();
    let mut worlds: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for (index, one) in found.iter_mut().enumerate() {
        let What::Origin(_) = &one.what else { continue };
        if let Some((name, _)) = globs.iter().find(|(_, glob)| super::sniff::glob_matches(glob, &one.candidate.path)) {
            one.server.clone_from(name);
            one.fixed_server = true;
            continue;
        }
        let web = |kind| one.probe.kinds.contains_key(&kind);
        let known: BTreeMap<String, usize> = one.probe.hosts.iter().map(|(h, n)| (h.to_ascii_lowercase(), *n)).collect();
        worlds.entry(one.scope.clone()).or_default().push(Member {
            index,
            key: separating(&one.candidate.dir),
            owner: owner(&one.candidate.dir),
            access: web(LineKind::Access),
            error: web(LineKind::Error),
            hosts: known,
        });
    }
    let scoped = found.iter().any(|f| !f.scope.is_empty());
    let mut hosts = Hosts { known: BTreeMap::new(), scoped };
    for (scope, members) in worlds {
        assign(found, &scope, &members, &mut hosts);
    }
    stacks(found);
    hosts
}

/// Servers of one world.
fn assign(found: &mut [Found], scope: &str, members: &[Member], hosts: &mut Hosts) {
    let units = units(members);
    let group_of: Vec<Parts> = members.iter().enumerate().map(|(i, m)| group(i, m, &units)).collect();
    let groups: BTreeSet<Parts> = group_of.iter().cloned().collect();
    let all_hosts: BTreeSet<String> = fold_hosts(members);
    let mut names = group_names(found, scope, members, &groups, if all_hosts.len() == 1 { all_hosts.first() } else { None });
    let qualify = |name: &str| match (scope, groups.len() + all_hosts.len().saturating_sub(1)) {
        ("", _) => name.to_owned(),
        (_, 0 | 1) => scope.to_owned(),
        _ => format!("{scope}/{name}"),
    };
    for host in &all_hosts {
        let here: BTreeSet<&Parts> =
            members.iter().zip(&group_of).filter(|(m, _)| m.hosts.keys().any(|h| folded(h, &all_hosts) == *host)).map(|(_, g)| g).collect();
        let named = groups.iter().find(|g| g.iter().any(|part| part.eq_ignore_ascii_case(host)));
        // A group in which no other host writes is that host's.
        let own = here.first().filter(|g| {
            here.len() == 1
                && (groups.len() == 1 || units.dirs.contains(**g))
                && members
                    .iter()
                    .zip(&group_of)
                    .filter(|(_, og)| og == *g)
                    .all(|(m, _)| m.hosts.keys().all(|h| folded(h, &all_hosts) == *host))
        });
        if let (None, Some(group)) = (named, own) {
            names.insert((*group).clone(), host.clone());
        }
        let server = qualify(named.and_then(|g| names.get(g)).unwrap_or(host));
        hosts.known.insert((scope.to_owned(), host.clone()), server);
    }
    for (member, group) in members.iter().zip(&group_of) {
        // Most frequent host first; equal ones by name.
        let host = member.hosts.iter().max_by_key(|(h, n)| (**n, std::cmp::Reverse((*h).clone()))).map(|(h, _)| h);
        let server = match host {
            Some(host) => hosts.server(scope, &folded(host, &all_hosts)),
            None => names.get(group).map(|n| qualify(n)).unwrap_or_default(),
        };
        if let Some(one) = found.get_mut(member.index) {
            one.server = server;
        }
    }
}

/// Hosts of a world; a full name whose first label also occurs alone is the same host.
fn fold_hosts(members: &[Member]) -> BTreeSet<String> {
    let all: BTreeSet<String> = members.iter().flat_map(|m| m.hosts.keys().cloned()).collect();
    all.iter().map(|h| folded(h, &all)).collect()
}

fn folded(host: &str, all: &BTreeSet<String>) -> String {
    let short = host.split('.').next().unwrap_or(host);
    if !is_address(host) && all.contains(short) { short.to_owned() } else { host.to_owned() }
}

/// Web servers by directory, and which web log is of which.
struct Units {
    dirs: BTreeSet<Parts>,
    /// By position in the members.
    of: BTreeMap<usize, Parts>,
}

/// Finds directories that hold an access log and an error log of their own: from the deepest up, logs
/// that a deeper directory has claimed do not count again.
fn units(members: &[Member]) -> Units {
    let mut free: BTreeSet<usize> = members.iter().enumerate().filter(|(_, m)| m.access || m.error).map(|(i, _)| i).collect();
    let mut prefixes: BTreeSet<(std::cmp::Reverse<usize>, Parts)> = BTreeSet::new();
    for m in free.iter().filter_map(|&i| members.get(i)) {
        for len in 0..=m.key.len() {
            prefixes.insert((std::cmp::Reverse(len), m.key.get(..len).unwrap_or_default().to_vec()));
        }
    }
    let mut units = Units { dirs: BTreeSet::new(), of: BTreeMap::new() };
    for (_, dir) in prefixes {
        let claim = |test: &dyn Fn(&Member) -> bool| -> Option<Vec<usize>> {
            let mine: Vec<usize> = free.iter().copied().filter(|&i| members.get(i).is_some_and(test)).collect();
            let some = |pick: fn(&Member) -> bool| mine.iter().any(|&i| members.get(i).is_some_and(pick));
            (some(|m| m.access) && some(|m| m.error)).then_some(mine)
        };
        let below = |m: &Member| within(&m.key, &dir);
        // Logs that lie here, or below a directory of the same software (`nginx/shop/access.log`).
        let direct = |m: &Member| below(m) && (m.key.len() == dir.len() || m.owner <= dir.len());
        let Some(mine) = claim(&direct).or_else(|| claim(&below)) else { continue };
        for i in mine {
            free.remove(&i);
            units.of.insert(i, dir.clone());
        }
        units.dirs.insert(dir);
    }
    // What is left over beside or below a unit, in a directory of its own, is another server; above a
    // unit it belongs to that.
    if !units.dirs.is_empty() {
        let rest: Vec<(usize, Parts)> = free
            .into_iter()
            .filter_map(|i| Some((i, members.get(i)?.key.clone())))
            .filter(|(_, key)| !units.dirs.iter().any(|u| within(u, key)))
            .collect();
        for (i, key) in rest {
            units.dirs.insert(key.clone());
            units.of.insert(i, key);
        }
    }
    units
}

/// The group of one source: its unit, else the unit that holds it, else the only unit beside or below
/// it. A log that names its host, in a directory of its own, is of another machine than the web server
/// beside it.
fn group(position: usize, member: &Member, units: &Units) -> Parts {
    if let Some(unit) = units.of.get(&position) {
        return unit.clone();
    }
    let unit = nearest(&member.key, &units.dirs);
    let apart = !member.hosts.is_empty() && !units.dirs.is_empty() && !within(&unit, &member.key);
    if apart { member.key.clone() } else { unit }
}

fn nearest(key: &[String], units: &BTreeSet<Parts>) -> Parts {
    for len in (0..=key.len()).rev() {
        let dir = key.get(..len).unwrap_or_default();
        if units.contains(dir) {
            return dir.to_vec();
        }
        let mut below = units.iter().filter(|u| within(u, dir));
        match (below.next(), below.next()) {
            (Some(only), None) => return only.clone(),
            (Some(_), Some(_)) => return dir.to_vec(),
            (None, _) => {}
        }
    }
    Parts::new()
}

/// Names of groups: the only host, the path below what all share, or the directory that was given.
fn group_names(
    found: &[Found],
    scope: &str,
    members: &[Member],
    groups: &BTreeSet<Parts>,
    only_host: Option<&String>,
) -> BTreeMap<Parts, String> {
    let shared = common(groups.iter()).len();
    let tops: BTreeSet<Parts> = members.iter().filter_map(|m| found.get(m.index)).map(|f| f.candidate.top.clone()).collect();
    let top = common(tops.iter());
    let base = separating(&top);
    let given = top.iter().rev().find(|part| !matches!(part.as_str(), "/" | "..")).cloned();
    groups
        .iter()
        .map(|group| {
            let name = if let (1, Some(host)) = (groups.len(), only_host) {
                host.clone()
            } else if groups.len() > 1 && group.len() > shared {
                group.get(shared..).unwrap_or_default().join("/")
            } else if groups.len() == 1 && group.len() > base.len() && within(group, &base) && scope.is_empty() {
                group.get(base.len()..).unwrap_or_default().join("/")
            } else {
                given.clone().unwrap_or_else(|| "origin".to_owned())
            };
            (group.clone(), name)
        })
        .collect()
}

/// Which software wrote each log. Access logs in a common format do not say; their neighbours do.
fn stacks(found: &mut [Found]) {
    let mut by_dir: BTreeMap<Parts, BTreeSet<Stack>> = BTreeMap::new();
    let mut by_server: BTreeMap<String, BTreeSet<Stack>> = BTreeMap::new();
    for one in found.iter().filter(|f| f.probe.kinds.contains_key(&LineKind::Error)) {
        let web =
            one.probe.stacks.keys().copied().filter(|s| matches!(s, Stack::Nginx | Stack::Apache | Stack::LiteSpeed | Stack::Lighttpd));
        by_dir.entry(one.candidate.dir.clone()).or_default().extend(web.clone());
        by_server.entry(one.server.clone()).or_default().extend(web);
    }
    let only = |set: Option<&BTreeSet<Stack>>| set.filter(|s| s.len() == 1).and_then(|s| s.first().copied());
    for one in found.iter_mut() {
        let What::Origin(parser) = &one.what else { continue };
        let main = one.probe.stacks.iter().max_by_key(|(stack, n)| (**n, std::cmp::Reverse(**stack))).map(|(stack, _)| *stack);
        one.stack = main;
        let access = one.probe.kinds.get(&LineKind::Access).copied().unwrap_or(0);
        let shared = !one.forced && access > 0 && access == one.probe.kinds.values().sum::<usize>() && is_shared_format(parser.format());
        if shared {
            let told = only(by_dir.get(&one.candidate.dir)).or_else(|| by_name(one)).or_else(|| only(by_server.get(&one.server)));
            one.stack = told.or(main);
        }
    }
}

/// Formats that several servers write alike.
fn is_shared_format(format: &str) -> bool {
    matches!(format, "nginx-access" | "apache-access" | "custom-access")
}

/// The server software that a path names, the file's name first.
fn by_name(one: &Found) -> Option<Stack> {
    let file = one.candidate.path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    std::iter::once(file.as_str()).chain(one.candidate.dir.iter().rev().map(String::as_str)).find_map(|part| {
        let lower = part.to_ascii_lowercase();
        if lower.contains("nginx") || lower.contains("openresty") {
            Some(Stack::Nginx)
        } else if lower.contains("apache") || lower.contains("httpd") || lower == "access_log" || lower == "ssl_access_log" {
            Some(Stack::Apache)
        } else if lower.contains("litespeed") || lower.contains("lsws") {
            Some(Stack::LiteSpeed)
        } else if lower.contains("lighttpd") {
            Some(Stack::Lighttpd)
        } else {
            None
        }
    })
}
