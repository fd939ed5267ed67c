//! A cheap look at a line of the family, for the many that nobody asks about.
//!
//! It knows the usual outline only and declines everything else, so whatever it says is what
//! [`super::parse`] says: the tests hold one against the other.

use super::tokens::{self, Kind, MAX, Signature, Token};
use super::{Layout, Learned, is_client, is_name};
use crate::access::Role;
use crate::fields::addr::plain_v4;
use crate::fields::number::{integer, status};
use crate::fields::text::{closing_quote, find_near, present};
use crate::fields::time::ClfMemo;
use crate::spec::Glance;
use cfray_model::key::host_name;
use cfray_model::{RayId, Stack};
use memchr::memchr;
use std::net::Ipv4Addr;

/// `dd/Mon/yyyy:hh:mm:ss +zzzz`.
const TIME: usize = 26;

/// Looks at a line; `None`: it has to be parsed.
pub fn glance<'a>(record: &'a [u8], stack: Stack, learned: &Learned, memo: &mut ClfMemo) -> Option<Glance<'a>> {
    let quote = find_near::<64>(b'"', record)?;
    // What stands before the first quote ends in `[TIME] `. No bracket can hide in a time.
    let open = quote.checked_sub(TIME + 3)?;
    if record.get(open) != Some(&b'[') || record.get(quote - 2..quote) != Some(b"] ") {
        return None;
    }
    let time = memo.read(record.get(open + 1..quote - 2)?)?;
    let (client, client_v4, host) = head(record.get(..open)?, learned.head_ray)?;

    let body = record.get(quote + 1..)?;
    let end = closing_quote(body, 0)?;
    let (request, rest) = (body.get(..end)?, body.get(end + 1..)?);
    let [b' ', code @ .., b' '] = rest.get(..5)? else { return None };
    let status = status(code)?;
    let rest = rest.get(5..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (size, tail) = match (rest.get(..digits)?, rest.get(digits..)?) {
        (b"", [b'-', tail @ ..]) if matches!(tail, [] | [b' ', ..]) => (Some(0), tail),
        // Up to 19 digits cannot be too many.
        (number @ [_, ..], tail @ ([] | [b' ', ..])) if digits < 20 => {
            (Some(number.iter().fold(0u64, |sum, b| sum * 10 + u64::from(b - b'0'))), tail)
        }
        _ => return None,
    };
    let mut glance = Glance {
        stack,
        time,
        client: present(client),
        client_v4,
        host,
        request,
        status: Some(status),
        size,
        body_bytes: None,
        bytes_sent: None,
        ray: None,
        cid: None,
    };
    if let Some(layout) = learned.layouts.first()
        && learned.layouts.iter().any(|l| l.roles.iter().any(|r| matters(*r)))
    {
        read_tail(&mut glance, tail, layout)?;
    }
    Some(glance)
}

/// Client and virtual host from what stands before the time.
#[allow(clippy::type_complexity)]
fn head(head: &[u8], head_ray: Option<usize>) -> Option<(&[u8], Option<Ipv4Addr>, Option<&[u8]>)> {
    // Words before the time are few and short: no search that has to be set up. Between tabs they are the parser's.
    if find_near::<64>(b'\t', head).is_some() {
        return None;
    }
    let (first, rest) = head.split_at(find_near::<64>(b' ', head)?);
    let bare = |word: &'_ [u8]| word.len() - usize::from(word.ends_with(b","));
    if let Some(addr) = plain_v4(first) {
        return Some((first, Some(addr), None));
    }
    if is_client(first) {
        let client = first.get(..bare(first))?;
        return Some((client, plain_v4(client), None));
    }
    let rest = rest.get(1..)?;
    let second = rest.get(..memchr(b' ', rest)?)?;
    // A word that is passed over, or one that may be a ray, is for the parser.
    if head_ray.is_some() || first.is_empty() || first == b"|" || !is_client(second) {
        return None;
    }
    let client = second.get(..bare(second))?;
    Some((client, plain_v4(client), is_name(host_name(first)).then_some(first)))
}

/// Does a field say something that decides what becomes of a line?
fn matters(role: Role) -> bool {
    use Role::*;
    !matches!(
        role,
        Ignore
            | Visitor
            | Protocol
            | Duration
            | Seconds
            | Millis
            | Micros
            | Nanos
            | UpstreamStatus
            | Upstream
            | Agent
            | Referer
            | Pid
            | Tid
            | LogId
            | Module
    )
}

/// The fields after the size, if they are arranged as in most lines.
fn read_tail<'a>(glance: &mut Glance<'a>, tail: &'a [u8], layout: &Layout) -> Option<()> {
    let mut signature = Signature::default();
    let mut rest = tail.trim_ascii();
    let mut roles = layout.roles.iter();
    let mut count = 0;
    while !rest.is_empty() {
        let (token, after) = quoted(rest).unwrap_or_else(|| tokens::next(rest));
        rest = match after {
            // One space and no more, as nearly always.
            [b' ', after @ ..] if after.first().is_some_and(|b| *b > b' ') => after,
            _ => after.trim_ascii_start(),
        };
        count += 1;
        if count > MAX {
            return None;
        }
        signature.add(&token);
        let size = || if token.value == b"-" { Some(0) } else { integer(token.value) };
        match roles.next().copied().unwrap_or_default() {
            Role::Ray => glance.ray = if present(token.value).is_some() { RayId::parse(token.value) } else { glance.ray },
            Role::BytesSent => glance.bytes_sent = size(),
            Role::BodyBytes => glance.body_bytes = size(),
            Role::Size => glance.size = size(),
            Role::Host => glance.host = present(token.value).or(glance.host),
            Role::Cid => glance.cid = present(token.value).map_or(glance.cid, integer),
            role if matters(role) => return None,
            _ => {}
        }
    }
    (signature.value() == layout.signature).then_some(())
}

/// What [`tokens::next`] says of a quoted field without name, in the usual case: no backslash before the first quote that
/// follows, and a space or the end behind it.
#[inline]
fn quoted(text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    let [b'"', inner @ ..] = text else { return None };
    let (value, [_, after @ ..]) = inner.split_at(memchr(b'"', inner)?) else { return None };
    if value.ends_with(b"\\") || !matches!(after, [] | [b' ', ..]) {
        return None;
    }
    Some((Token { kind: Kind::Quoted, key: None, value }, after))
}

#[cfg(test)]
#[path = "glance_tests.rs"]
mod tests;
