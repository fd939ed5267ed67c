//! Access logs of a format of one's own (`log_format`, `LogFormat`), whose fields stand in an order that the family of the
//! Common Log Format does not have.
//!
//! What each field means is learned from a sample ([`super::free_learn`]): names where the format writes them, else what all
//! values have in common. A line is read only if it has the fields of the sample, one by one, so nothing that a client writes into
//! one of them can pass for another.

use super::cut::{Cut, fields};
use super::tokens::Kind;
use crate::access::{Role, put};
use crate::fields::addr::{is_addr, split_port};
use crate::fields::number::status;
use crate::fields::request;
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
}

/// A format that was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// What keeps its fields apart.
    pub cut: Cut,
    /// Its fields; of an open format those before the text at the end.
    pub fields: Vec<Field>,
    /// The line ends in text without quotes (an agent), which has any number of words.
    pub open: bool,
    /// Which server writes it, as far as the lines tell.
    pub stack: Stack,
}

impl Free {
    /// Reads a line.
    ///
    /// # Errors
    /// When the line does not have the format's fields, or one that every line needs does not hold what it should.
    pub fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        const OTHER: LineError = LineError::new("not the fields that the other lines of this file have", 0);
        let tokens = fields(record, self.cut).ok_or(OTHER)?;
        let fits = tokens.iter().zip(&self.fields).all(|(token, field)| token.kind == field.kind && token.key == field.key.as_deref());
        if !fits || tokens.len() < self.fields.len() || (!self.open && tokens.len() > self.fields.len()) {
            return Err(OTHER);
        }
        let mut line = Line::new(LineKind::Access, self.stack);
        for (token, field) in tokens.iter().zip(&self.fields) {
            let value = token.value.strip_prefix(&*field.label).unwrap_or(token.value);
            let at = || value.as_ptr().addr().saturating_sub(record.as_ptr().addr());
            let right = match field.role {
                Role::Time | Role::TimeStart => any_time(value).is_some(),
                Role::Client => is_addr(split_port(value)) || value.starts_with(b"unix:"),
                Role::Status => status(value).is_some() || value == b"-",
                _ => true,
            };
            if !right {
                return Err(LineError::new("a field does not hold what it holds in the other lines", at()));
            }
            match field.role {
                Role::Request => request::set(&mut line, value),
                role => put(&mut line, role, Cow::Borrowed(value)),
            }
        }
        line.time_is_start |= self.stack == Stack::Apache;
        Ok(line)
    }
}
