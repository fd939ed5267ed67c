//! Which key means what, learned from a sample: by well-known names, checked against the values.

use super::scan::scan;
use crate::access::Role;
use crate::access::names::role_of_name;
use crate::fields::addr::{is_addr, split_port};
use crate::fields::number::list_first;
use crate::fields::text::present;
use crate::fields::time::any_time;
use crate::spec::Sample;
use cfray_model::{LineKind, RayId, Stack};

/// The keys of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Key (dotted when nested) and role, in the order in which the sample has them.
    pub roles: Vec<(Box<[u8]>, Role)>,
    /// Which software wrote it.
    pub stack: Stack,
    /// A logger of Node wrote it: application lines stand beside the lines of requests.
    pub node: bool,
}

/// What a sample says about a file.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The knowledge that the parser needs.
    pub keys: Keys,
    /// Lines that are objects with a request or a status.
    pub lines: usize,
    /// Lines that hold a ray under the ray's key.
    pub with_ray: usize,
    /// The objects are Cloudflare's, not an origin's.
    pub cloudflare: bool,
}

/// Counts over the values of one key.
#[derive(Debug, Default)]
struct Key {
    name: Box<[u8]>,
    values: usize,
    rays: usize,
    rays_with_colo: usize,
    times: usize,
    tick_ns: i64,
    bracketed: usize,
    addrs: usize,
    peers: usize,
    zeros: usize,
    texts: usize,
    lines: Lines,
}

/// Which lines of the sample have a key: two keys of one meaning only compete where they meet, so
/// that a file whose format was changed half-way is read in both halves.
#[derive(Clone, Copy, Debug, Default)]
struct Lines([u64; 4]);

impl Lines {
    fn add(&mut self, line: usize) {
        if let Some(word) = self.0.get_mut(line / 64 % 4) {
            *word |= 1 << (line % 64);
        }
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
}

impl Key {
    const fn most(&self, count: usize) -> bool {
        count * 2 > self.values
    }

    /// Name in lower case without punctuation.
    fn folded(&self) -> String {
        self.name.iter().filter(|b| b.is_ascii_alphanumeric()).map(|b| char::from(b.to_ascii_lowercase())).collect()
    }
}

/// Most different keys that are looked at; no access log has a tenth of them.
const MAX_KEYS: usize = 512;

/// Learns from a sample; `None` when no line is an object.
pub fn learn(sample: &Sample<'_>) -> Option<Lesson> {
    let mut keys: Vec<Key> = Vec::new();
    let (mut objects, mut lower, mut upper) = (0usize, 0usize, 0usize);
    for (number, line) in sample.lines.iter().enumerate() {
        let mut at = 0;
        let done = scan(line, &mut |name, value| {
            // Keys come in the same order in every line, so the search starts where the last ended.
            let count = keys.len();
            let found = (0..count).map(|i| (at + i) % count.max(1)).find(|&i| keys.get(i).is_some_and(|k| *k.name == *name));
            let index = found.unwrap_or(count);
            if found.is_none() && count >= MAX_KEYS {
                return;
            }
            if found.is_none() {
                keys.push(Key { name: name.into(), tick_ns: i64::MAX, ..Key::default() });
            }
            at = index + 1;
            if let Some(key) = keys.get_mut(index) {
                key.lines.add(number);
                count_value(key, &value.plain(), matches!(value, super::scan::Value::Text(_)));
            }
            let (l, u) = hex_escapes(value.raw());
            lower += l;
            upper += u;
        });
        objects += usize::from(done.is_ok());
    }
    if objects == 0 {
        return None;
    }
    let node = of_node(&keys);
    let stack = if node { Stack::App } else { stack(&keys, lower, upper) };
    let roles = roles(&keys, stack, node);
    let cloudflare = is_cloudflare(&keys);
    let with_ray = roles.iter().zip(&keys).filter(|(r, _)| **r == Role::Ray).map(|(_, k)| k.rays).sum();
    let names = keys.into_iter().map(|k| k.name);
    let keys = Keys { roles: names.zip(roles).filter(|(_, role)| *role != Role::Ignore).collect(), stack, node };
    let access = |line: &[u8]| crate::json_access::parse(line, &keys).is_ok_and(|l| l.kind == LineKind::Access);
    let lines = sample.lines.iter().filter(|line| access(line)).count();
    Some(Lesson { keys, lines, with_ray, cloudflare })
}

fn count_value(key: &mut Key, value: &[u8], text: bool) {
    let Some(value) = present(value) else { return };
    key.values += 1;
    if RayId::parse(value).is_some() {
        key.rays += 1;
        key.rays_with_colo += usize::from(memchr::memchr(b'-', value).is_some());
    }
    if let Some(time) = any_time(value) {
        key.times += 1;
        key.tick_ns = key.tick_ns.min(time.precision_ns);
        key.bracketed += usize::from(value.first() == Some(&b'['));
    }
    let first = list_first(value);
    key.addrs += usize::from(is_addr(first));
    key.peers += usize::from(first.starts_with(b"unix:") || (split_port(first).len() < first.len() && is_addr(split_port(first))));
    key.zeros += usize::from(value == b"0");
    key.texts += usize::from(text);
}

/// `\xHH` in lower case (Apache) and in upper case (nginx).
fn hex_escapes(text: &[u8]) -> (usize, usize) {
    let (mut lower, mut upper) = (0, 0);
    for at in memchr::memchr_iter(b'\\', text) {
        if let Some([b'x', hi, lo]) = text.get(at + 1..at + 4) {
            lower += usize::from((b'a'..=b'f').contains(hi) || (b'a'..=b'f').contains(lo));
            upper += usize::from((b'A'..=b'F').contains(hi) || (b'A'..=b'F').contains(lo));
        }
    }
    (lower, upper)
}

fn stack(keys: &[Key], lower: usize, upper: usize) -> Stack {
    let has = |name: &str| keys.iter().any(|k| k.folded() == name);
    if has("requestremoteip") && has("requesthost") {
        // Caddy nests the request.
        return Stack::App;
    }
    // Only `%t` writes the brackets itself.
    let bracketed = keys.iter().any(|k| k.bracketed > 0);
    if bracketed || lower > upper { Stack::Apache } else { Stack::Nginx }
}

/// Loggers of Node: pino and bunyan open every object with level, process and host, and their request serialisers write
/// `req.method` and `res.statusCode` (pino-std-serializers lib/req.js and lib/res.js, bunyan lib/bunyan.js), which
/// express-winston puts below `meta`.
fn of_node(keys: &[Key]) -> bool {
    let has = |name: &str| keys.iter().any(|k| k.folded() == name);
    let serialised = |meta: &str| has(&format!("{meta}reqmethod")) && has(&format!("{meta}resstatuscode"));
    let logger = has("level") && has("pid") && has("hostname") && has("method") && has("statuscode");
    serialised("") || serialised("meta") || logger
}

fn roles(keys: &[Key], stack: Stack, node: bool) -> Vec<Role> {
    let mut roles = vec![Role::Ignore; keys.len()];
    let mut ranks: Vec<(Role, u8, usize)> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        let Some((role, rank)) = role_of_name(&key.name) else { continue };
        let role = match role {
            Role::Time | Role::TimeStart => continue,
            Role::Agent if key.values > 0 && key.most(key.peers) => Role::Upstream,
            Role::Ray if key.values > 0 && !key.most(key.rays) => continue,
            Role::Millis | Role::Micros if key.values > 0 && key.most(key.times) => continue,
            // Milliseconds in all of Node's middleware (pino-http lib `responseTime`, the package response-time).
            Role::Duration if node && key.folded() == "responsetime" => Role::Millis,
            // Whole seconds (`%T`): nearly every request takes none.
            Role::Duration if key.values > 0 && key.most(key.zeros) => Role::Seconds,
            other => other,
        };
        ranks.push((role, rank, i));
    }
    ranks.sort_unstable();
    for (role, _, i) in ranks {
        let Some(key) = keys.get(i) else { continue };
        let role = match role {
            // A second client address is the visitor's.
            Role::Client if rival(keys, &roles, &[Role::Client], key) && key.values > 0 && key.most(key.addrs) => Role::Visitor,
            other => other,
        };
        if rival(keys, &roles, &[role], key) {
            continue;
        }
        if let Some(slot) = roles.get_mut(i) {
            *slot = role;
        }
    }
    if !roles.contains(&Role::Ray) {
        // Another name: the key whose values look like the header most often, colo included, since
        // trace ids have 16 digits, too. Fields that clients write have roles of their own.
        let best = keys
            .iter()
            .enumerate()
            .filter(|(i, k)| roles.get(*i) == Some(&Role::Ignore) && k.rays > 0 && k.most(k.rays_with_colo) && !written_by_clients(k))
            .max_by_key(|(i, k)| (k.rays_with_colo, std::cmp::Reverse(*i)));
        if let Some((i, _)) = best
            && let Some(slot) = roles.get_mut(i)
        {
            *slot = Role::Ray;
        }
    }
    set_time(keys, &mut roles, stack);
    // One statement of the request is enough, the most complete one.
    for i in 0..keys.len() {
        let (Some(key), Some(&role)) = (keys.get(i), roles.get(i)) else { continue };
        if role == Role::Ignore {
            continue;
        }
        let meets = |other| rival(keys, &roles, &[other], key);
        let parts = meets(Role::Method) && meets(Role::Uri);
        let spare = match role {
            Role::Request => parts,
            Role::Path | Role::Query => meets(Role::Uri) || meets(Role::Request),
            Role::Method => meets(Role::Request) && !meets(Role::Uri),
            Role::Uri => meets(Role::Request) && !meets(Role::Method),
            Role::Protocol => meets(Role::Request) && !parts,
            _ => false,
        };
        if spare && let Some(slot) = roles.get_mut(i) {
            *slot = Role::Ignore;
        }
    }
    roles
}

/// Does a line with this key hold another one that has one of the roles already?
fn rival(keys: &[Key], roles: &[Role], wanted: &[Role], key: &Key) -> bool {
    keys.iter().zip(roles).any(|(other, role)| wanted.contains(role) && other.name != key.name && other.lines.meets(&key.lines))
}

/// Header names whose values any client can choose.
fn written_by_clients(key: &Key) -> bool {
    let name = key.folded();
    ["cookie", "agent", "refer", "uri", "url", "args", "query", "path", "request", "body", "auth", "user"]
        .iter()
        .any(|part| name.contains(part))
}

/// The key with the finest time of the request's end; a start only if there is no other.
fn set_time(keys: &[Key], roles: &mut [Role], stack: Stack) {
    let mut candidates: Vec<(bool, i64, u8, usize)> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        if key.values == 0 || !key.most(key.times) || roles.get(i) != Some(&Role::Ignore) {
            continue;
        }
        let name = key.folded();
        let named = role_of_name(&key.name);
        let by_name = matches!(named, Some((Role::Time | Role::TimeStart, _)))
            || ["time", "msec", "date", "epoch"].iter().any(|p| name.contains(p))
            || name == "ms";
        // A bare number is only a time if its name says so.
        if key.texts == 0 && !by_name {
            continue;
        }
        let starts = matches!(named, Some((Role::TimeStart, _))) || name.contains("start") || name.contains("begin");
        let rank = named.map_or(u8::MAX, |(_, rank)| rank);
        candidates.push((starts, key.tick_ns, rank, i));
    }
    candidates.sort_unstable();
    for (starts, _, _, i) in candidates {
        let Some(key) = keys.get(i) else { continue };
        if rival(keys, roles, &[Role::Time, Role::TimeStart], key) {
            continue;
        }
        let ends = key.folded().contains("end");
        if let Some(slot) = roles.get_mut(i) {
            *slot = if starts || (stack == Stack::Apache && !ends) { Role::TimeStart } else { Role::Time };
        }
    }
}

/// Logpush rows are read by another part; an origin's own `rayid` key is no reason to refuse.
fn is_cloudflare(keys: &[Key]) -> bool {
    let names: Vec<String> = keys.iter().map(Key::folded).collect();
    let has = |name: &str| names.iter().any(|n| n == name || n.strip_suffix(name).is_some_and(|n| n == "events" || n == "result"));
    let family = |n: &String| ["edge", "clientrequest", "clientip", "clientasn", "origin", "cachecache"].iter().any(|p| n.starts_with(p));
    has("edgeresponsestatus") || has("edgestarttimestamp") || (has("rayid") && names.iter().any(family))
}
