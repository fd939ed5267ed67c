//! Access logs of a format of one's own (`log_format`, `LogFormat`), whose fields stand in an order that the family of the
//! Common Log Format does not have.
//!
//! What each field means is learned from a sample ([`super::free_learn`]): names where the format writes them, else what all
//! values have in common. Servers escape `"`, so nothing that a client writes can look like a quoted field or end one: those hold the
//! line together. Between two of them, a text of a client that falls into more or fewer words moves what stands behind it; then
//! only what stands before the first such text, and behind the last one, counted from the end, is read.

use super::cut::{Cut, fields};
use super::tokens::{Kind, Token};
use crate::access::{Role, put};
use crate::fields::addr::{is_addr, split_port};
use crate::fields::number::status;
use crate::fields::request;
use crate::fields::text::present;
use crate::fields::time::any_time;
use crate::spec::LineError;
use cfray_model::{Line, LineKind, Stack};
use std::borrow::Cow;

/// One field of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// How it is written.
    pub kind: Kind,
    /// Its name, if the format writes one.
    pub key: Option<Box<[u8]>>,
    /// Words of the format inside its quotes or brackets: `"cf_ray=`.
    pub label: Box<[u8]>,
    /// What it means.
    pub role: Role,
    /// Who fills it.
    pub text: Text,
}

/// Who fills a field that has no quotes, as far as that can move other fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    /// The server: one word, whatever a client does. Or it has quotes.
    Server,
    /// A client: any number of words.
    Client,
    /// Nobody in the sample: `-` in each line, so anything else is taken for a client's.
    Nobody,
}

/// A format that was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// What keeps its fields apart.
    pub cut: Cut,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Which server writes it, as far as the lines tell.
    pub stack: Stack,
}

const OTHER: LineError = LineError::new("not the fields that the other lines of this file have", 0);

impl Free {
    /// Reads a line.
    ///
    /// # Errors
    /// When the line does not have the format's fields, or one that every line needs does not hold what it should.
    pub fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let tokens = fields(record, self.cut).ok_or(OTHER)?;
        let mut line = Line::new(LineKind::Access, self.stack);
        let mut tokens = tokens.as_slice();
        let mut fields = self.fields.as_slice();
        loop {
            let (some, quoted, rest) = run(fields, |f: &Field| f.kind);
            let (words, held, others) = run(tokens, |t: &Token<'_>| t.kind);
            read_run(&mut line, record, some, words)?;
            match (quoted, held) {
                (None, None) => break,
                (Some(field), Some(token)) => set(&mut line, record, field, token)?,
                _ => return Err(OTHER),
            }
            (fields, tokens) = (rest, others);
        }
        if line.time.is_none() {
            return Err(OTHER);
        }
        line.time_is_start |= self.stack == Stack::Apache;
        Ok(line)
    }
}

/// What stands before the next quoted item, that item, and what follows.
fn run<T>(items: &[T], kind: impl Fn(&T) -> Kind) -> (&[T], Option<&T>, &[T]) {
    let at = items.iter().position(|item| kind(item) == Kind::Quoted).unwrap_or(items.len());
    let (before, rest) = items.split_at(at);
    (before, rest.first(), rest.get(1..).unwrap_or_default())
}

/// Reads fields without quotes.
fn read_run<'a>(line: &mut Line<'a>, record: &'a [u8], fields: &[Field], words: &[Token<'a>]) -> Result<(), LineError> {
    let text = |field: &Field| field.text != Text::Server;
    let (first, last) = (fields.iter().position(text), fields.iter().rposition(text));
    let as_known = fields.iter().zip(words).all(|(f, w)| f.text != Text::Nobody || present(w.value).is_none());
    if fields.len() == words.len() && as_known {
        return fields.iter().zip(words).try_for_each(|(field, word)| set(line, record, field, word));
    }
    let (Some(first), Some(last)) = (first, last) else { return Err(OTHER) };
    let behind = fields.len() - 1 - last;
    if words.len() < first + behind {
        return Err(OTHER);
    }
    let (before, rest) = words.split_at(first);
    let (moved, after) = rest.split_at(rest.len() - behind);
    fields.iter().zip(before).try_for_each(|(field, word)| set(line, record, field, word))?;
    fields.iter().skip(last + 1).zip(after).try_for_each(|(field, word)| set(line, record, field, word))?;
    // Text that one client wrote, whole.
    if let (true, Some(from), Some(to)) = (first == last, moved.first(), moved.last())
        && let Some(field) = fields.get(first).filter(|f| matches!(f.role, Role::Agent | Role::Referer))
    {
        let (from, to) = (place(record, from.value), place(record, to.value) + to.value.len());
        put(line, field.role, Cow::Borrowed(record.get(from..to).unwrap_or_default()));
    }
    Ok(())
}

fn place(record: &[u8], value: &[u8]) -> usize {
    value.as_ptr().addr().saturating_sub(record.as_ptr().addr())
}

fn set<'a>(line: &mut Line<'a>, record: &[u8], field: &Field, token: &Token<'a>) -> Result<(), LineError> {
    // A client may well put brackets around what it writes.
    if (field.kind != token.kind && field.text == Text::Server) || field.key.as_deref() != token.key && field.key.is_some() {
        return Err(OTHER);
    }
    let value = token.value.strip_prefix(&*field.label).unwrap_or(token.value);
    let right = match field.role {
        Role::Time | Role::TimeStart => any_time(value).is_some(),
        Role::Client => is_addr(split_port(value)) || value.starts_with(b"unix:"),
        Role::Status => status(value).is_some() || value == b"-",
        _ => true,
    };
    if !right {
        return Err(LineError::new("a field does not hold what it holds in the other lines", place(record, value)));
    }
    match field.role {
        Role::Request => request::set(line, value),
        role => put(line, role, Cow::Borrowed(value)),
    }
    Ok(())
}
