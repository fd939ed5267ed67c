//! Apache `ErrorLogFormat`.
//!
//! Its items are separated by spaces. An item in which a directive is empty vanishes with its
//! literals and its space, so a line is matched item by item and an item may be absent. `\ ` is a
//! space inside an item, `% ` parts two items without a space in the output.

use super::TemplateError;
use super::strftime::{self, Clock, Part};
use crate::apache_error::{ah_code, level_of, os_error, unprefixed};
use crate::fields::addr::{is_addr, split_port};
use crate::fields::modsec;
use crate::fields::number::integer;
use crate::fields::text::{present, unescape_apache};
use crate::fields::time::{apache_error_time, iso_time};
use crate::spec::{LineError, RecordParser};
use cfray_model::{Line, LineKind, RayId, Stack};
use memchr::memmem;
use std::borrow::Cow;

/// A compiled `ErrorLogFormat`.
#[derive(Clone, Debug)]
pub struct ErrorTemplate {
    before: Vec<Item>,
    lead: Box<[u8]>,
    tail: Box<[u8]>,
    after: Vec<Item>,
}

/// Pieces between two delimiters.
#[derive(Clone, Debug, Default)]
struct Item {
    /// A space stands before it.
    spaced: bool,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(Box<[u8]>),
    Field(What),
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// `%t`, `%{u}t`.
    Time,
    /// `%{c}t` and its variants with `u` and `z`.
    CompactTime,
    /// `%{%...}t`.
    Strftime(Vec<Part>),
    Level,
    Module,
    Pid,
    Tid,
    /// `file.c(123)`.
    Source,
    /// `(104)Connection reset by peer`.
    OsError,
    Client,
    /// `%L`.
    LogId,
    Host,
    Ray,
    Visitor,
    Referer,
    Agent,
    Message,
    /// A word without use here.
    Word,
}

/// Compiles the format string.
pub fn compile(text: &str) -> Result<ErrorTemplate, TemplateError> {
    let mut items = items(text)?;
    let at = items
        .iter()
        .position(|i| i.pieces.contains(&Piece::Field(What::Message)))
        .ok_or_else(|| TemplateError::new("the ErrorLogFormat has no %M: without the message nothing can be told"))?;
    let after = items.split_off(at + 1);
    let message = items.pop().unwrap_or_default();
    let middle = message.pieces.iter().position(|p| *p == Piece::Field(What::Message)).unwrap_or(0);
    let literals = |pieces: &[Piece]| -> Vec<u8> {
        pieces.iter().flat_map(|p| if let Piece::Literal(l) = p { l.to_vec() } else { Vec::new() }).collect()
    };
    let (left, right) = message.pieces.split_at(middle);
    Ok(ErrorTemplate { before: items, lead: literals(left).into(), tail: literals(right).into(), after })
}

fn items(text: &str) -> Result<Vec<Item>, TemplateError> {
    let mut out: Vec<Item> = Vec::new();
    let mut item = Item::default();
    let mut literal: Vec<u8> = Vec::new();
    let mut rest = text;
    let flush = |item: &mut Item, literal: &mut Vec<u8>| {
        if !literal.is_empty() {
            item.pieces.push(Piece::Literal(std::mem::take(literal).into()));
        }
    };
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or("");
        match c {
            '\\' if tail.starts_with(' ') => {
                literal.push(b' ');
                rest = tail.get(1..).unwrap_or("");
            }
            ' ' => {
                flush(&mut item, &mut literal);
                out.push(std::mem::replace(&mut item, Item { spaced: true, pieces: Vec::new() }));
                rest = tail;
            }
            '%' if tail.starts_with(' ') => {
                flush(&mut item, &mut literal);
                out.push(std::mem::take(&mut item));
                rest = tail.get(1..).unwrap_or("");
            }
            '%' if tail.starts_with('%') => {
                literal.push(b'%');
                rest = tail.get(1..).unwrap_or("");
            }
            '%' => {
                flush(&mut item, &mut literal);
                let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
                let (argument, tail) = match tail.strip_prefix('{') {
                    Some(inner) => inner
                        .split_once('}')
                        .map(|(a, t)| (Some(a), t))
                        .ok_or_else(|| TemplateError::new("a brace of the ErrorLogFormat is not closed"))?,
                    None => (None, tail),
                };
                let letter = tail.chars().next().ok_or_else(|| TemplateError::new("a `%` without a letter at the end"))?;
                item.pieces.push(Piece::Field(what(argument, letter)?));
                rest = tail.get(letter.len_utf8()..).unwrap_or("");
            }
            c => {
                literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail;
            }
        }
    }
    flush(&mut item, &mut literal);
    out.push(item);
    out.retain(|i| !i.pieces.is_empty());
    Ok(out)
}

fn what(argument: Option<&str>, letter: char) -> Result<What, TemplateError> {
    Ok(match (letter, argument) {
        ('t', Some(pattern)) if pattern.contains('%') => What::Strftime(
            strftime::parts(pattern)
                .map_err(|c| TemplateError::new(format!("`%{{{pattern}}}t`: the time letter `%{c}` is not supported")))?,
        ),
        ('t', Some(flags)) if flags.contains('c') => What::CompactTime,
        ('t', _) => What::Time,
        ('l', _) => What::Level,
        ('m', _) => What::Module,
        ('P', _) => What::Pid,
        ('T', _) => What::Tid,
        ('F', _) => What::Source,
        ('E', _) => What::OsError,
        ('a', None) => What::Client,
        ('L', None) => What::LogId,
        ('v' | 'V', _) => What::Host,
        ('M', _) => What::Message,
        ('i' | 'e' | 'n', Some(key)) => match crate::access::names::role_of_name(key.as_bytes()) {
            Some((crate::access::Role::Ray, _)) => What::Ray,
            Some((crate::access::Role::Visitor, _)) => What::Visitor,
            Some((crate::access::Role::Host, _)) => What::Host,
            Some((crate::access::Role::Referer, _)) => What::Referer,
            Some((crate::access::Role::Agent, _)) => What::Agent,
            Some((crate::access::Role::LogId, _)) => What::LogId,
            _ => What::Word,
        },
        _ => What::Word,
    })
}

impl RecordParser for ErrorTemplate {
    fn format(&self) -> &'static str {
        crate::apache_error::FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        match self.line(record) {
            Some(line) => Ok(line),
            // Lines from before the configuration was read have the built-in form or none.
            None => Ok(crate::apache_error::parse(record).unwrap_or_else(|_| unprefixed(record))),
        }
    }
}

impl ErrorTemplate {
    fn line<'a>(&self, record: &'a [u8]) -> Option<Line<'a>> {
        let mut line = Line::new(LineKind::Error, Stack::Apache);
        let mut os = None;
        let mut rest = record;
        for item in &self.before {
            let text = if item.spaced && rest.len() < record.len() { rest.strip_prefix(b" ").unwrap_or(rest) } else { rest };
            if let Some(found) = item.read(text) {
                found.apply(&mut line, &mut os);
                rest = found.rest;
            }
        }
        // Without a time or a level this was not a line of the format.
        if line.time.is_none() && line.level.is_none() {
            return None;
        }
        let mut text = rest.strip_prefix(b" ").unwrap_or(rest);
        text = text.strip_prefix(&*self.lead)?;
        for item in self.after.iter().rev() {
            if let Some((at, found)) = item.find_at_end(text) {
                found.apply(&mut line, &mut os);
                text = text.get(..at).unwrap_or(text);
            }
        }
        let message = text.strip_suffix(&*self.tail).unwrap_or(text);
        line.code = ah_code(message);
        modsec::set(&mut line, message);
        line.message = match os {
            None => unescape_apache(message),
            Some(os) => Cow::Owned([os, b": ", &unescape_apache(message)].concat()),
        };
        Some(line)
    }
}

/// Values of one item, before they are known to belong to the line.
struct Found<'a, 'i> {
    values: Vec<(&'i What, &'a [u8])>,
    clock: Clock,
    time: Option<cfray_model::LogTime>,
    rest: &'a [u8],
}

impl Item {
    /// Reads the item from the start of the text; `None` if it is absent.
    fn read<'a>(&self, text: &'a [u8]) -> Option<Found<'a, '_>> {
        let mut found = Found { values: Vec::new(), clock: Clock::default(), time: None, rest: text };
        for (i, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => found.rest = found.rest.strip_prefix(&**literal)?,
                Piece::Field(what) => {
                    let next = match self.pieces.get(i + 1) {
                        Some(Piece::Literal(literal)) => &**literal,
                        _ => b" ",
                    };
                    found.field(what, next)?;
                }
            }
        }
        Some(found)
    }

    /// Finds the item behind the message, up to the end of the text.
    fn find_at_end<'a>(&self, text: &'a [u8]) -> Option<(usize, Found<'a, '_>)> {
        let mut lead: Vec<u8> = if self.spaced { b" ".to_vec() } else { Vec::new() };
        if let Some(Piece::Literal(literal)) = self.pieces.first() {
            lead.extend_from_slice(literal);
        }
        if lead.is_empty() {
            return None;
        }
        // What clients write may hold the lead again, so there the first place counts; what has a
        // shape of its own is looked for from the end.
        let client_text = self.pieces.iter().any(|p| matches!(p, Piece::Field(What::Referer | What::Agent | What::Word)));
        let at = if client_text { memmem::find(text, &lead)? } else { memmem::rfind(text, &lead)? };
        let start = at + usize::from(self.spaced);
        if let (true, [Piece::Literal(literal), Piece::Field(what)]) = (client_text, self.pieces.as_slice()) {
            let value = text.get(start + literal.len()..)?;
            return Some((at, Found { values: vec![(what, value)], clock: Clock::default(), time: None, rest: b"" }));
        }
        let found = self.read(text.get(start..)?)?;
        found.rest.is_empty().then_some((at, found))
    }
}

impl<'a, 'i> Found<'a, 'i> {
    /// Reads one value; `None` if the text does not have its shape.
    fn field(&mut self, what: &'i What, next: &[u8]) -> Option<()> {
        let text = self.rest;
        match what {
            What::Time | What::CompactTime => {
                let parsed = if *what == What::Time { apache_error_time(text) } else { iso_time(text) };
                let (rest, time) = parsed.ok()?;
                self.time = Some(time);
                self.rest = rest;
            }
            What::Strftime(parts) => {
                self.rest = self.clock.read(parts, text)?;
                self.time = self.clock.time();
            }
            What::OsError => {
                let (_, value) = os_error(text).ok()?;
                self.values.push((what, value));
                self.rest = text.get(value.len()..)?;
            }
            _ => {
                let end = memmem::find(text, next).unwrap_or(text.len());
                let value = text.get(..end)?;
                let fits = match what {
                    What::Level => level_of(value).is_some(),
                    What::Pid | What::Tid => integer(value).is_some(),
                    What::Module => value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')),
                    What::Source => value.ends_with(b")") && !value.contains(&b' '),
                    What::Client => is_addr(split_port(value)) || is_addr(value) || value == b"-",
                    What::Ray => RayId::parse(value).is_some() || value == b"-",
                    What::Message => false,
                    _ => !value.is_empty() && !value.contains(&b' '),
                };
                if !fits {
                    return None;
                }
                self.values.push((what, value));
                self.rest = text.get(end..)?;
            }
        }
        Some(())
    }

    fn apply(&self, line: &mut Line<'a>, os: &mut Option<&'a [u8]>) {
        line.time = self.time.or(line.time);
        for &(what, value) in &self.values {
            if *what == What::OsError {
                *os = Some(value);
                continue;
            }
            let Some(value) = present(value) else { continue };
            match what {
                What::Level => line.level = level_of(value),
                What::Module => line.module = Some(Cow::Borrowed(value)),
                What::Pid => line.pid = integer(value),
                What::Tid => line.tid = integer(value),
                What::Client => line.client = Some(Cow::Borrowed(if is_addr(split_port(value)) { split_port(value) } else { value })),
                What::LogId => line.log_id = Some(Cow::Borrowed(value)),
                What::Host => line.host = Some(Cow::Borrowed(value)),
                What::Ray => line.ray = RayId::parse(value),
                What::Visitor => line.visitor = Some(Cow::Borrowed(value)),
                What::Referer => line.referer = Some(unescape_apache(value)),
                What::Agent => line.agent = Some(unescape_apache(value)),
                _ => {}
            }
        }
    }
}
