//! The family of the Common Log Format: common, combined, combinedio, vhost_combined, `main`, and
//! all of these with further fields behind.
//!
//! ```text
//! [HOST[:PORT] ]ADDR IDENT USER [dd/Mon/yyyy:hh:mm:ss +zzzz] "REQUEST" STATUS SIZE[ "REFERER" "AGENT"][ EXTRA...]
//! ```
//! What the extra fields mean is learned from a sample of the file ([`learn`]) and then holds for
//! every line with the same arrangement of fields, so that no single line can decide which of its
//! fields is the ray.

pub mod cut;
pub mod free;
pub mod free_learn;
pub mod glance;
pub mod learn;
pub mod shape;
pub mod tokens;

use crate::access::{Role, put};
use crate::fields::number::{integer, status};
use crate::fields::text::present;
use crate::fields::{addr, request};
use crate::spec::LineError;
use cfray_model::key::host_name;
use cfray_model::{Line, LineKind, Stack};
use shape::Shape;
use std::borrow::Cow;
use tokens::{Kind, Tokens};

/// What the further fields of one arrangement mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// [`Tokens::signature`] of the lines it is for.
    pub signature: u64,
    /// Role of each field after the size.
    pub roles: Vec<Role>,
    /// The ray is known by its looks alone, and no other field shows the agent.
    pub unsure_ray: bool,
}

/// What was learned about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Known arrangements, most frequent first.
    pub layouts: Vec<Layout>,
    /// Which word before the time is the ray.
    pub head_ray: Option<usize>,
}

/// Parses a line without any knowledge of the file: no ray is taken from it.
pub fn parse_plain(record: &[u8], stack: Stack) -> Result<Line<'_>, LineError> {
    parse(record, stack, &Learned { layouts: Vec::new(), head_ray: None })
}

/// Does the line have the outline of this family?
pub fn looks_plain(line: &[u8]) -> bool {
    shape::split(line).is_ok_and(|shape| client_at(&shape).is_some())
}

/// Parses a line of a file about which something was learned.
pub fn parse<'a>(record: &'a [u8], stack: Stack, learned: &Learned) -> Result<Line<'a>, LineError> {
    let shape = shape::split(record)?;
    let mut line = Line::new(LineKind::Access, stack);
    line.time = Some(shape.time);
    line.time_is_start = stack == Stack::Apache;
    set_head(&mut line, &shape, learned.head_ray).ok_or(LineError::new("no client address at the start of the line", 0))?;
    request::set(&mut line, shape.request);
    line.status = status(shape.status);
    line.size = if shape.size == b"-" { Some(0) } else { integer(shape.size) };
    if !shape.tail.is_empty() {
        set_tail(&mut line, shape.tail, learned);
    }
    Ok(line)
}

/// Index of the client among the words before the time.
fn client_at(shape: &Shape<'_>) -> Option<usize> {
    let words = shape.head();
    if let Some(at) = words.iter().take(3).position(|w| is_client(w)) {
        return Some(at);
    }
    // `HostnameLookups On`: the client is a name, the ident after it is a dash.
    match *words {
        [name] if is_name(name) => Some(0),
        [name, ident, ..] if is_name(name) && ident == b"-" => Some(0),
        [host, name, ident, ..] if memchr::memchr(b':', host).is_some() && is_name(name) && ident == b"-" => Some(1),
        _ => None,
    }
}

fn is_client(word: &[u8]) -> bool {
    let word = word.strip_suffix(b",").unwrap_or(word);
    addr::is_addr(word) || word == b"unix:"
}

fn is_name(word: &[u8]) -> bool {
    word.len() > 1 && word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn set_head<'a>(line: &mut Line<'a>, shape: &Shape<'a>, head_ray: Option<usize>) -> Option<()> {
    let at = client_at(shape)?;
    let words = shape.head();
    let client = words.get(at)?;
    line.client = present(client.strip_suffix(b",").unwrap_or(client)).map(Cow::Borrowed);
    for (i, word) in words.iter().enumerate().take(at) {
        if Some(i) == head_ray {
            put(line, Role::Ray, Cow::Borrowed(word));
        } else if line.host.is_none() && is_name(host_name(word)) {
            line.host = Some(Cow::Borrowed(word));
        }
    }
    if line.host.is_none() {
        line.host = present(shape.between).filter(|w| is_name(host_name(w)) && memchr::memchr(b'.', w).is_some()).map(Cow::Borrowed);
    }
    Some(())
}

fn set_tail<'a>(line: &mut Line<'a>, tail: &'a [u8], learned: &Learned) {
    let tokens = Tokens::read(tail);
    if let Some(layout) = learned.layouts.iter().find(|l| l.signature == tokens.signature()) {
        for (token, role) in tokens.iter().zip(&layout.roles) {
            put(line, *role, Cow::Borrowed(token.value));
        }
        line.unsure_ray = layout.unsure_ray && line.ray.is_some();
        return;
    }
    // An arrangement that the sample did not have: only what the order of combined says. Nothing
    // else is taken, since a client may have made the arrangement by writing spaces into a field.
    for (token, role) in tokens.iter().filter(|t| t.kind == Kind::Quoted && t.key.is_none()).zip([Role::Referer, Role::Agent]) {
        put(line, role, Cow::Borrowed(token.value));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
