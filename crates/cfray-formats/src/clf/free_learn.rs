//! What the fields of a format of one's own mean, learned from the lines of a sample.

use super::cut::{CUTS, Cut, fields, name};
use super::free::{Field, Free};
use super::learn::{Group, Lesson, Slot, number, roles};
use super::tokens::{Kind, Token};
use crate::access::Role;
use crate::access::names::role_of_name;
use crate::fields::addr::{is_addr, split_port};
use crate::fields::number::{integer, list_first};
use crate::fields::request;
use crate::fields::text::present;
use crate::fields::time::any_time;
use crate::spec::Sample;
use cfray_model::{RayId, Stack};

/// What a sample says about a file.
#[derive(Clone, Debug)]
pub struct FreeLesson {
    /// The format.
    pub free: Free,
    /// Lines of the sample that it reads.
    pub lines: usize,
    /// Lines with a ray.
    pub with_ray: usize,
}

/// Fewer lines show nothing.
const LEAST: usize = 3;

/// Learns a format from a sample of which it reads at least four lines in five.
pub fn learn(sample: &Sample<'_>) -> Option<FreeLesson> {
    let text = |line: &&&[u8]| !matches!(line.first(), Some(b'{' | b'<' | b'#'));
    let lines: Vec<&[u8]> = sample.lines.iter().filter(text).copied().collect();
    let mut best: Option<FreeLesson> = None;
    for cut in CUTS {
        if let (Cut::Byte(byte), Some(first)) = (cut, lines.first())
            && !first.contains(&byte)
        {
            continue;
        }
        if let Some(found) = learn_cut(&lines, cut)
            && found.lines * 5 >= sample.lines.len() * 4
            && best.as_ref().is_none_or(|b| (found.with_ray, found.lines) > (b.with_ray, b.lines))
        {
            best = Some(found);
        }
    }
    best
}

/// Does it read the file better than the family of the Common Log Format does: more of its lines, or a ray that the
/// family does not find?
pub fn better(sample: &Sample<'_>, usual: &Lesson) -> Option<FreeLesson> {
    learn(sample).filter(|own| usual.lines * 2 < own.lines || (usual.ray_place.is_empty() && own.with_ray * 2 >= own.lines))
}

fn learn_cut(lines: &[&[u8]], cut: Cut) -> Option<FreeLesson> {
    let cut_lines: Vec<Vec<Token<'_>>> = lines.iter().filter_map(|line| fields(line, cut)).collect();
    let same = |a: &[Token<'_>], b: &[Token<'_>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.kind == b.kind && a.key == b.key);
    let mut groups: Vec<Vec<&Vec<Token<'_>>>> = Vec::new();
    for line in &cut_lines {
        match groups.iter_mut().find(|g| g.first().is_some_and(|first| same(first, line))) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    let mut rows = Columns(groups.into_iter().rev().max_by_key(Vec::len)?.into_iter().cloned().collect());
    let labels: Vec<Box<[u8]>> = (0..rows.width()).map(|i| rows.take_label(i)).collect();
    if rows.0.len() < LEAST || rows.width() < 4 {
        return None;
    }
    let open = rows.0.len() * 5 < lines.len() * 4;
    let roles = rows.roles(cut)?;
    let first = rows.0.first()?;
    let own = |i: usize, key: Option<&[u8]>| if labels.get(i).is_none_or(|l| l.is_empty()) { key.map(Box::from) } else { None };
    let mut fields: Vec<Field> = (first.iter().zip(&roles).zip(&labels).enumerate())
        .map(|(i, ((t, role), label))| Field { kind: t.kind, key: own(i, t.key), label: label.clone(), role: *role })
        .collect();
    if open {
        // Lines with more or fewer words are of the format only if it ends in text without quotes.
        let text = (0..rows.width()).find(|&i| rows.is_agent(i))?;
        fields.truncate(text);
        // What a client writes without quotes in front of that cannot be told from what the server writes behind it.
        let open_text = |f: &Field| f.kind == Kind::Bare && matches!(f.role, Role::Request | Role::Uri | Role::Referer);
        if let Some(at) = fields.iter().position(open_text) {
            fields.iter_mut().skip(at).filter(|f| f.role == Role::Ray).for_each(|f| f.role = Role::Ignore);
        }
    }
    let has = |role| fields.iter().any(|f| f.role == role);
    let complete =
        (has(Role::Time) || has(Role::TimeStart)) && has(Role::Client) && has(Role::Status) && (has(Role::Request) || has(Role::Uri));
    if !complete {
        return None;
    }
    let free = Free { cut, fields, open, stack: rows.stack(&roles) };
    let read: Vec<_> = lines.iter().filter_map(|line| free.parse(line).ok()).collect();
    let with_ray = read.iter().filter(|line| line.ray.is_some()).count();
    Some(FreeLesson { lines: read.len(), with_ray, free })
}

/// Lines with the same fields.
struct Columns<'a>(Vec<Vec<Token<'a>>>);

impl<'a> Columns<'a> {
    /// Words that open the quoted or bracketed field of every line and name it: `"cf_ray=`, `[ray:`. They are the format's.
    fn take_label(&mut self, at: usize) -> Box<[u8]> {
        let first = self.0.first().and_then(|row| row.get(at)).filter(|token| token.kind != Kind::Bare && token.key.is_none());
        let Some((key, value)) = first.and_then(|token| name(token.value)) else { return Box::default() };
        let label = first.and_then(|token| token.value.get(..token.value.len() - value.len())).unwrap_or_default();
        if role_of_name(key).is_none() || !self.values(at).all(|v| v.starts_with(label)) {
            return Box::default();
        }
        for token in self.0.iter_mut().filter_map(|row| row.get_mut(at)) {
            token.key = Some(key);
            token.value = token.value.get(label.len()..).unwrap_or_default();
        }
        Box::from(label)
    }

    fn width(&self) -> usize {
        self.0.first().map_or(0, |row| row.len())
    }

    fn values(&self, at: usize) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |row| row.get(at)).map(|token| token.value)
    }

    fn key(&self, at: usize) -> Option<&'a [u8]> {
        self.0.first()?.get(at)?.key
    }

    /// Do all values that are there have a property, and are there some?
    fn all(&self, at: usize, is: impl Fn(&[u8]) -> bool) -> bool {
        let mut some = false;
        self.values(at).filter_map(present).all(|value| {
            some = true;
            is(value)
        }) && some
    }

    /// Is there a value in each line?
    fn always(&self, at: usize) -> bool {
        self.values(at).all(|value| present(value).is_some())
    }

    fn share(&self, at: usize, is: impl Fn(&[u8]) -> bool) -> usize {
        self.values(at).filter(|value| is(value)).count()
    }

    fn is_agent(&self, at: usize) -> bool {
        self.0.first().and_then(|row| row.get(at)).is_some_and(|token| token.kind == Kind::Bare)
            && self.share(at, |v| v.starts_with(b"Mozilla/")) * 2 > self.0.len()
    }

    fn is_time(&self, at: usize) -> bool {
        let named = self.named(at).is_some_and(|role| matches!(role, Role::Time | Role::TimeStart));
        let stamp = |v: &[u8]| {
            v.iter().any(|b| matches!(b, b'/' | b'-' | b':')) || (v.first() == Some(&b'1') && (named || v.contains(&b'.') || v.len() >= 13))
        };
        self.always(at) && self.all(at, |v| stamp(v) && any_time(v).is_some())
    }

    fn is_request(&self, at: usize) -> bool {
        self.share(at, |v| request::split(v).protocol.is_some()) * 5 >= self.0.len() * 4
    }

    fn is_method(&self, at: usize) -> bool {
        let known: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"CONNECT"];
        self.share(at, |v| known.contains(&v)) * 10 >= self.0.len() * 9
    }

    fn is_uri(&self, at: usize) -> bool {
        self.share(at, |v| v.starts_with(b"/")) * 10 >= self.0.len() * 9
    }

    fn is_status(&self, at: usize) -> bool {
        self.always(at) && self.all(at, is_status)
    }

    fn is_address(&self, at: usize) -> bool {
        self.always(at) && self.all(at, |v| is_addr(split_port(v)) || v == b"unix:")
    }

    fn is_number(&self, at: usize) -> bool {
        self.values(at).all(|v| v == b"-" || integer(v).is_some())
    }

    /// What the name says, where the values do not contradict it.
    fn named(&self, at: usize) -> Option<Role> {
        let (role, _) = role_of_name(self.key(at)?)?;
        let numbers = |v: &[u8]| v.first().is_some_and(u8::is_ascii_digit);
        let fits = match role {
            Role::Time | Role::TimeStart => self.all(at, |v| any_time(v).is_some()),
            Role::Status => self.is_status(at),
            Role::Client => self.is_address(at),
            Role::Visitor => self.all(at, |v| is_addr(split_port(list_first(v)))),
            Role::Host => !self.all(at, is_addr),
            Role::Request => self.is_request(at),
            Role::Method => self.is_method(at),
            Role::Uri | Role::Path => self.is_uri(at),
            Role::Ray => self.share(at, |v| RayId::parse(v).is_some()) > 0,
            Role::BodyBytes | Role::BytesSent | Role::Size => self.is_number(at),
            Role::Duration | Role::Seconds | Role::Millis | Role::Micros | Role::Nanos => self.all(at, numbers),
            _ => true,
        };
        fits.then_some(role)
    }

    fn roles(&self, cut: Cut) -> Option<Vec<Role>> {
        let width = self.width();
        // An application's logger, not a web server.
        let level = |v: &[u8]| matches!(v, b"INFO" | b"DEBUG" | b"WARN" | b"WARNING" | b"ERROR" | b"info" | b"debug" | b"warn" | b"error");
        if (0..width).any(|i| self.all(i, level)) {
            return None;
        }
        let mut said: Vec<Option<Role>> = (0..width).map(|i| self.named(i)).collect();
        let mut give = |role: Role, find: &dyn Fn(&[Option<Role>]) -> Option<usize>| {
            let at = said.iter().position(|r| *r == Some(role)).or_else(|| find(&said))?;
            *said.get_mut(at)? = Some(role);
            Some(at)
        };
        let open = |said: &[Option<Role>], i: usize| said.get(i) == Some(&None);
        let first = |is: &dyn Fn(usize) -> bool, said: &[Option<Role>]| (0..width).find(|&i| open(said, i) && is(i));
        let date = |i: usize| self.is_time(i) && !self.all(i, |v| v.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
        give(Role::Time, &|said| {
            let start = said.contains(&Some(Role::TimeStart));
            first(&date, said).or_else(|| first(&|i| self.is_time(i), said)).filter(|_| !start)
        });
        let request = give(Role::Request, &|said| first(&|i| self.is_request(i), said)).or_else(|| {
            let method = give(Role::Method, &|said| first(&|i| self.is_method(i), said))?;
            let behind = |said: &[Option<Role>]| (method + 1..width).find(|&i| open(said, i) && self.is_uri(i));
            give(Role::Uri, &|said| said.iter().position(|r| *r == Some(Role::Path)).or_else(|| behind(said)))
        })?;
        let status = give(Role::Status, &|said| {
            let free = |i: &usize| open(said, *i) && self.is_status(*i);
            let found = (request + 1..width).find(free).or_else(|| (0..request).find(free))?;
            // An upstream's status cannot be one that only nginx gives itself.
            let other = (found + 1..width).find(|i| free(i) && self.share(*i, only_nginx) > 0);
            Some(other.filter(|_| self.share(found, only_nginx) == 0).unwrap_or(found))
        })?;
        give(Role::Client, &|said| {
            let plain = |i: usize| self.is_address(i) && self.all(i, |v| v == b"unix:" || is_addr(v));
            let edge = |i: usize| plain(i) && self.share(i, is_edge) * 10 >= self.0.len() * 9;
            // Cloudflare's own address beside another: the first is the peer.
            let two = (0..width).filter(|&i| open(said, i) && plain(i)).count() > 1;
            let found = if two { first(&edge, said) } else { None };
            found.or_else(|| first(&plain, said)).or_else(|| (0..request).find(|&i| open(said, i) && self.is_address(i)))
        });
        let sizes = [Some(Role::BodyBytes), Some(Role::BytesSent), Some(Role::Size)];
        if !said.iter().any(|r| sizes.contains(r)) {
            let at = self.size(&said, status);
            if let Some(place) = at.and_then(|at| said.get_mut(at)) {
                *place = Some(Role::Size);
            }
        }
        self.rest(said, request, status, cut)
    }

    /// Whole numbers may be sizes or durations: an answer without a body is one of no bytes, and nothing takes no time.
    fn size(&self, said: &[Option<Role>], status: usize) -> Option<usize> {
        let numbers: Vec<usize> =
            (0..self.width()).filter(|&i| said.get(i) == Some(&None) && self.key(i).is_none() && self.is_number(i)).collect();
        let empty = numbers
            .iter()
            .copied()
            .find(|&i| i > status && self.share(i, |v| matches!(v, b"0" | b"-")) > 0 && self.share(i, |v| number(v) > Some(99)) > 0);
        empty.or_else(|| numbers.contains(&(status + 1)).then_some(status + 1))
    }

    /// The fields that not every line needs, by the rules of the family.
    fn rest(&self, said: Vec<Option<Role>>, request: usize, status: usize, cut: Cut) -> Option<Vec<Role>> {
        let rows = self.0.len();
        let mut group = Group::default();
        group.lines = rows;
        let size_at = said.iter().position(|r| matches!(r, Some(Role::Size | Role::BodyBytes)));
        for row in &self.0 {
            let size = size_at.and_then(|at| row.get(at)).and_then(|t| number(t.value));
            group.large += usize::from(size.is_some_and(|size| size > 4_096));
            for (i, token) in row.iter().enumerate() {
                if group.slots.len() <= i {
                    group.slots.push(Slot::default());
                }
                let Some(slot) = group.slots.get_mut(i) else { continue };
                slot.add(token);
                if token.key.is_none() && i > status {
                    slot.add_size(token, size);
                }
            }
        }
        for (i, slot) in group.slots.iter_mut().enumerate() {
            slot.named = said.get(i).copied().flatten();
            if slot.named.is_some() {
                continue;
            }
            let nearly_all = slot.rays * 10 >= rows * 9 && slot.values > 0;
            let unquoted = slot.kind == Kind::Bare && cut != Cut::Blank;
            slot.named = if slot.kind == Kind::Quoted && nearly_all && (i < request || self.is_own_place(i, &said)) {
                // Not where servers write what clients say of themselves.
                Some(Role::Ray)
            } else if unquoted && slot.most(slot.agents) && slot.values > 0 && self.share(i, |v| v.contains(&b' ')) > 0 {
                Some(Role::Agent)
            } else if unquoted && slot.urls > 0 && slot.most(slot.urls) {
                Some(Role::Referer)
            } else if (unquoted && slot.rays > 0 && !nearly_all) || self.all(i, |v| v.starts_with(b"HTTP/") || v.starts_with(b"TLSv")) {
                Some(Role::Ignore)
            } else {
                None
            };
        }
        let want_ray = !group.slots.iter().any(|s| s.named == Some(Role::Ray));
        Some(roles(&group, want_ray))
    }

    /// Is a field elsewhere than combined has the referrer (behind the size), in lines of several peers? One client may
    /// have written all of a short sample.
    fn is_own_place(&self, at: usize, said: &[Option<Role>]) -> bool {
        let before = at.checked_sub(1).and_then(|i| said.get(i)).copied().flatten();
        let Some(client) = said.iter().position(|r| *r == Some(Role::Client)) else { return false };
        let mut peers: Vec<&[u8]> = self.values(client).collect();
        peers.sort_unstable();
        peers.dedup();
        self.0.len() >= 20 && peers.len() >= 5 && !matches!(before, Some(Role::Size | Role::BodyBytes | Role::BytesSent))
    }

    fn stack(&self, roles: &[Role]) -> Stack {
        let column = |role| roles.iter().position(|r| *r == role);
        let dashes = [Role::Size, Role::BodyBytes].iter().filter_map(|r| column(*r)).map(|i| self.share(i, |v| v == b"-")).sum::<usize>();
        let nginx = column(Role::Status).map_or(0, |i| self.share(i, only_nginx));
        if dashes > nginx { Stack::Apache } else { Stack::Nginx }
    }
}

/// A status that servers give: three digits alone may be a length.
fn is_status(value: &[u8]) -> bool {
    let known = |n: u64| matches!(n, 0 | 9 | 100..=103 | 200..=208 | 226 | 300..=308 | 400..=431 | 440 | 444 | 449 | 451 | 460 | 463 | 494..=499 | 500..=511 | 520..=530 | 598 | 599);
    value.len() == 3 && number(value).is_some_and(known)
}

fn only_nginx(value: &[u8]) -> bool {
    matches!(value, b"444" | b"499" | b"494" | b"495" | b"496" | b"497" | b"000" | b"009")
}

fn is_edge(value: &[u8]) -> bool {
    std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).is_some_and(crate::cloudflare::is_cloudflare)
}

#[cfg(test)]
#[path = "free_tests.rs"]
mod tests;
