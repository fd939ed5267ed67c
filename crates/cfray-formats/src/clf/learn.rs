//! What the fields after the size mean, learned from the lines of a sample.

use super::shape::{self, Shape};
use super::tokens::{Kind, Token, Tokens};
use super::{Layout, Learned, client_at};
use crate::access::names::role_of_name;
use crate::access::{Role, verified};
use crate::fields::addr::{is_addr, split_port};
use crate::fields::number::{has_places, list_first, list_last};
use crate::fields::request;
use crate::fields::text::present;
use crate::spec::Sample;
use cfray_model::RayId;

/// What a sample says about a file.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// The knowledge that the parser needs.
    pub learned: Learned,
    /// Lines of the family.
    pub lines: usize,
    /// Signs that nginx wrote them.
    pub nginx: usize,
    /// Signs that Apache wrote them.
    pub apache: usize,
    /// Lines with a virtual host in front.
    pub with_host: usize,
    /// Where the ray stands, in words; empty when the lines have none.
    pub ray_place: String,
    /// Lines with a ray there.
    pub with_ray: usize,
    /// The most frequent arrangement has referrer and agent.
    pub combined: bool,
}

/// Counts over one field position.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) named: Option<Role>,
    pub(super) values: usize,
    pub(super) rays: usize,
    addrs: usize,
    millis: usize,
    pub(super) agents: usize,
    pub(super) urls: usize,
    hosts: usize,
    peers: usize,
    verdicts: usize,
    /// Rays in lines whose peer is an edge.
    edge_rays: usize,
    /// Numbers that exceed the line's size by what a response header takes.
    wires: usize,
    /// Statuses that a backend can have answered with, and those of them that are the line's own.
    backend: usize,
    passed_on: usize,
}

/// Fewer values than this do not show a field of statuses.
const STATUSES: usize = 10;

/// A response header seldom takes less or more than this.
const HEADER: std::ops::RangeInclusive<u64> = 60..=8_192;

pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Slot {
    /// Counts a bare number that may be the size on the wire beside the body's.
    pub(super) fn add_size(&mut self, token: &Token<'_>, size: Option<u64>) {
        let above = size.zip(number(token.value)).and_then(|(size, value)| value.checked_sub(size));
        self.wires += usize::from(token.kind == Kind::Bare && above.is_some_and(|header| HEADER.contains(&header)));
    }

    /// Counts a value that may be `$upstream_status`: the line's own status where nginx passed the answer on. 444 is nginx's
    /// own, so a field that repeats it is `$status` again.
    pub(super) fn add_status(&mut self, token: &Token<'_>, status: &[u8]) {
        let Some(value) = present(token.value).map(list_last) else { return };
        let answered = matches!(value, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) && value != b"444";
        self.backend += usize::from(answered);
        self.passed_on += usize::from(answered && value == status);
    }

    pub(super) fn add(&mut self, token: &Token<'_>) {
        self.kind = token.kind;
        self.named = token.key.and_then(role_of_name).map(|(role, _)| role);
        let Some(value) = present(token.value) else { return };
        let first = list_first(value);
        self.values += 1;
        self.rays += usize::from(RayId::parse(value).is_some());
        self.addrs += usize::from(is_addr(first));
        self.millis += usize::from(has_places(list_last(value), 3));
        self.agents += usize::from(looks_like_agent(value));
        self.urls += usize::from(value.starts_with(b"http://") || value.starts_with(b"https://") || value.starts_with(b"android-app://"));
        self.verdicts += usize::from(verified(value).is_some());
        self.hosts += usize::from(looks_like_host(value));
        self.peers += usize::from(first.starts_with(b"unix:/") || (first.len() > split_port(first).len() && is_addr(split_port(first))));
    }

    /// Do most of the values that are there have a property?
    pub(super) const fn most(&self, count: usize) -> bool {
        count * 2 > self.values
    }
}

fn looks_like_agent(value: &[u8]) -> bool {
    value.starts_with(b"Mozilla/")
        || (memchr::memchr(b'/', value).is_some_and(|at| at > 0) && memchr::memmem::find(value, b"://").is_none_or(|at| at > 8))
}

fn looks_like_host(value: &[u8]) -> bool {
    let name = cfray_model::key::host_name(value);
    memchr::memchr(b'.', name).is_some()
        && name.iter().any(u8::is_ascii_alphabetic)
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// All lines of one arrangement.
#[derive(Debug, Default)]
pub(super) struct Group {
    signature: u64,
    pub(super) lines: usize,
    pub(super) slots: Vec<Slot>,
    /// Lines whose size no request line and no header reaches.
    pub(super) large: usize,
    /// Lines whose peer is an edge.
    pub(super) edges: usize,
}

/// Learns from a sample.
pub fn learn(sample: &Sample<'_>) -> Lesson {
    let mut lesson = Lesson::default();
    let mut groups: Vec<Group> = Vec::new();
    let mut head_rays = [0usize; 3];
    let mut odd = 0usize;
    for line in &sample.lines {
        let Ok(shape) = shape::split(line) else { continue };
        let Some(client) = client_at(&shape) else { continue };
        lesson.lines += 1;
        odd += usize::from(is_odd(&shape));
        lesson.with_host += usize::from(client > 0 && shape.head().first().is_some_and(|w| RayId::parse(w).is_none()));
        for (i, word) in shape.head().iter().enumerate().take(client) {
            if let Some(count) = head_rays.get_mut(i) {
                *count += usize::from(RayId::parse(word).is_some());
            }
        }
        let tokens = Tokens::read(shape.tail);
        let (nginx, apache) = hints(&shape, client);
        lesson.nginx += nginx;
        lesson.apache += apache;
        let signature = tokens.signature();
        let at = groups.iter().position(|g| g.signature == signature).unwrap_or_else(|| {
            groups.push(Group { signature, ..Group::default() });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(at) else { continue };
        group.lines += 1;
        let size = number(shape.size);
        group.large += usize::from(size.is_some_and(|size| size > 4_096));
        let from_edge = shape.head().get(client).is_some_and(|word| is_edge(word));
        group.edges += usize::from(from_edge);
        for (i, token) in tokens.iter().enumerate() {
            if group.slots.len() <= i {
                group.slots.push(Slot::default());
            }
            if let Some(slot) = group.slots.get_mut(i) {
                slot.add(token);
                slot.add_size(token, size);
                slot.add_status(token, shape.status);
                slot.edge_rays += usize::from(from_edge && RayId::parse(token.value).is_some());
            }
        }
    }
    // Another field than the request was taken for it: the fields stand in an order of their own.
    if odd * 2 > lesson.lines {
        return Lesson::default();
    }
    // Stable: equal counts stay in the order of first appearance.
    groups.sort_by_key(|g| std::cmp::Reverse(g.lines));
    lesson.learned.head_ray = head_rays.iter().position(|&count| count * 2 > lesson.lines && count > 0);
    if let Some(at) = lesson.learned.head_ray {
        lesson.with_ray = head_rays.get(at).copied().unwrap_or(0);
        lesson.ray_place = "in front of the client".to_owned();
    }
    for (i, group) in groups.iter().enumerate() {
        let roles = roles(group, lesson.learned.head_ray.is_none());
        if i == 0 {
            lesson.combined = roles.contains(&Role::Referer) && roles.contains(&Role::Agent);
        }
        lesson.nginx += usize::from(group.slots.iter().zip(&roles).any(|(s, r)| *r == Role::Seconds && s.millis > 0)) * group.lines;
        if let Some(at) = roles.iter().position(|r| *r == Role::Ray) {
            lesson.with_ray += group.slots.get(at).map_or(0, |s| s.rays);
            if lesson.ray_place.is_empty() {
                let agent = roles.iter().position(|r| *r == Role::Agent);
                lesson.ray_place = match agent {
                    Some(agent) if agent < at => format!("in field {} after the agent", at - agent),
                    _ => format!("in field {} after the size", at + 1),
                };
            }
        }
        // Whoever floods the first lines with rays for his agent makes that field look like one of rays.
        let by_looks = |(slot, role): (&Slot, &Role)| *role == Role::Ray && slot.kind == Kind::Quoted && slot.named.is_none();
        let unsure_ray = !roles.contains(&Role::Agent) && group.slots.iter().zip(&roles).any(by_looks);
        lesson.learned.layouts.push(Layout { signature: group.signature, roles, unsure_ray });
    }
    lesson
}

/// Text that is neither a request nor what clients send in its place: that is refused, or cut off.
fn is_odd(shape: &Shape<'_>) -> bool {
    let request = shape.request;
    !matches!(shape.status, b"400" | b"405" | b"408" | b"414" | b"501" | b"505" | b"000" | b"009")
        && present(request).is_some()
        && request::split(request).method.is_none()
        && memchr::memchr(b'\\', request).is_none()
        && request.is_ascii()
}

/// An address of Cloudflare's.
pub(super) fn is_edge(value: &[u8]) -> bool {
    std::str::from_utf8(value).ok().and_then(|v| v.trim_end_matches(',').parse().ok()).is_some_and(crate::cloudflare::is_cloudflare)
}

/// Roles of the fields of one arrangement.
pub(super) fn roles(group: &Group, want_ray: bool) -> Vec<Role> {
    let slots = &group.slots;
    // `ua=` is the agent in some formats and the upstream's address in nginx's own extended one.
    let named = |s: &Slot| match s.named {
        Some(Role::Agent) if s.values > 0 && s.most(s.peers) => Role::Upstream,
        named => named.unwrap_or_default(),
    };
    let mut roles: Vec<Role> = slots.iter().map(named).collect();
    let free = |roles: &[Role], i: usize| roles.get(i) == Some(&Role::Ignore) && slots.get(i).is_some_and(|s| s.named.is_none());
    let quoted: Vec<usize> =
        (0..slots.len()).filter(|&i| free(&roles, i) && slots.get(i).is_some_and(|s| s.kind == Kind::Quoted)).collect();

    // Fields that clients write come first, so that none of them can become the ray.
    let agent = (!roles.contains(&Role::Agent)).then(|| agent_slot(slots, &quoted)).flatten();
    if let Some(slot) = agent.and_then(|i| roles.get_mut(i)) {
        *slot = Role::Agent;
    }
    let referer = (!roles.contains(&Role::Referer)).then(|| referer_slot(slots, &quoted, agent)).flatten();
    if let Some(slot) = referer.and_then(|i| roles.get_mut(i)) {
        *slot = Role::Referer;
    }

    let single = quoted.len() == 1;
    let ray = (0..slots.len())
        .filter(|&i| free(&roles, i))
        .filter_map(|i| slots.get(i).map(|s| (i, s)))
        // A lone quoted field may be a referrer or an agent, which clients write: then nearly all
        // lines must have a ray there, and it is not relied upon alone (`Layout::unsure_ray`).
        .filter(|(_, s)| {
            let lone = single && s.kind == Kind::Quoted && s.rays * 10 < group.lines * 9;
            // Each request of an edge has one; a header of one visitor's own stands in some.
            let everywhere = if group.edges * 10 >= group.lines { s.edge_rays * 10 >= group.edges * 9 } else { s.rays * 4 >= group.lines };
            s.rays > 0 && s.rays * 50 >= s.values * 49 && everywhere && !lone
        })
        .max_by_key(|(i, s)| (s.rays, std::cmp::Reverse(*i)));
    if want_ray
        && !roles.contains(&Role::Ray)
        && let Some((i, _)) = ray
        && let Some(slot) = roles.get_mut(i)
    {
        *slot = Role::Ray;
    }

    // Of bare numbers (combinedio's `%I %O`), the last that stands a header's size above the body in nearly
    // all lines is the size on the wire. Large bodies must occur: the size of a request never exceeds those.
    let wire = (0..slots.len()).rev().filter(|&i| free(&roles, i)).find(|&i| slots.get(i).is_some_and(|s| s.wires * 10 >= group.lines * 9));
    if group.lines >= 20
        && group.large * 5 >= group.lines
        && !roles.contains(&Role::BytesSent)
        && let Some(place) = wire.and_then(|i| roles.get_mut(i))
    {
        *place = Role::BytesSent;
    }

    for (i, slot) in slots.iter().enumerate() {
        if !free(&roles, i) {
            continue;
        }
        let role = if slot.values >= STATUSES && slot.backend == slot.values && slot.passed_on * 10 >= slot.values * 7 {
            Role::UpstreamStatus
        } else if slot.values > 0 && slot.most(slot.peers) {
            Role::Upstream
        } else if slot.values > 0 && slot.most(slot.addrs) || (slot.values == 0 && slot.kind == Kind::Quoted) {
            // Without any value yet: the extra field of nginx's `main` is X-Forwarded-For; only an
            // address will be taken from it.
            Role::Visitor
        } else if slot.values > 0 && slot.kind == Kind::Bare && slot.most(slot.millis) {
            Role::Seconds
        } else if slot.values > 0 && slot.verdicts == slot.values {
            Role::Verify
        } else if slot.values > 0 && slot.most(slot.hosts) {
            Role::Host
        } else {
            continue;
        };
        if !roles.contains(&role)
            && let Some(place) = roles.get_mut(i)
        {
            *place = role;
        }
    }
    roles
}

/// The quoted field whose values look most like agents; else the second one, as in combined.
fn agent_slot(slots: &[Slot], quoted: &[usize]) -> Option<usize> {
    let score = |i: usize| slots.get(i).map_or(0, |s| if s.rays == 0 && s.addrs == 0 { s.agents } else { 0 });
    let best = quoted.iter().copied().max_by_key(|&i| (score(i), std::cmp::Reverse(i)))?;
    if score(best) > 0 { Some(best) } else { quoted.get(1).copied() }
}

/// With two quoted fields the other one, as in combined; with more the one that holds URLs, else
/// the one in front of the agent.
fn referer_slot(slots: &[Slot], quoted: &[usize], agent: Option<usize>) -> Option<usize> {
    let others: Vec<usize> = quoted.iter().copied().filter(|i| Some(*i) != agent).collect();
    if let [only] = *others {
        return (quoted.len() == 2).then_some(only);
    }
    let urls = |i: usize| slots.get(i).map_or(0, |s| s.urls);
    let best = others.iter().copied().max_by_key(|&i| (urls(i), std::cmp::Reverse(i)))?;
    if urls(best) > 0 {
        return Some(best);
    }
    match agent {
        Some(agent) => others.iter().copied().rfind(|&i| i < agent),
        None => others.first().copied(),
    }
}

/// Signs of nginx and of Apache in one line.
fn hints(shape: &Shape<'_>, client: usize) -> (usize, usize) {
    let (mut nginx, mut apache) = (0, 0);
    nginx += usize::from(matches!(shape.status, b"444" | b"499" | b"009" | b"000" | b"494" | b"495" | b"496" | b"497"));
    nginx += usize::from(shape.request.is_empty());
    apache += usize::from(shape.size == b"-");
    // Debian's vhost_combined: `%v:%p` in front.
    apache += usize::from(client == 1 && shape.head().first().is_some_and(|w| split_port(w).len() < w.len()));
    apache += usize::from(memchr::memmem::find(shape.tail, b"(internal dummy connection)").is_some()) * 10;
    for text in [shape.request, shape.tail] {
        for at in memchr::memchr_iter(b'\\', text) {
            match text.get(at + 1..) {
                Some([b'x', hi, lo, ..]) => {
                    let lower = |b: &u8| (b'a'..=b'f').contains(b);
                    let upper = |b: &u8| (b'A'..=b'F').contains(b);
                    apache += usize::from(lower(hi) || lower(lo));
                    nginx += usize::from(upper(hi) || upper(lo) || (*hi == b'2' && *lo == b'2'));
                }
                Some([b'"' | b'n' | b't' | b'r' | b'\\', ..]) => apache += 1,
                _ => {}
            }
        }
    }
    (nginx, apache)
}
