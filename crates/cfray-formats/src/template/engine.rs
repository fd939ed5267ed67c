//! Lines that a sequence of literals and fields describes.

use super::strftime::{Clock, Part};
use super::{Class, Field, TemplateError, Token};
use crate::access::{Role, put};
use crate::fields::text::closing_quote;
use crate::spec::{LineError, RecordParser};
use cfray_model::{Line, LineKind, Stack};
use memchr::memmem;
use std::borrow::Cow;

/// A compiled format string.
#[derive(Clone, Debug)]
pub struct Template {
    steps: Vec<Step>,
    stack: Stack,
    format: &'static str,
    /// More may follow the last field.
    open_end: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Literal(Box<[u8]>),
    Field {
        role: Role,
        class: Class,
        /// A quote before it and one after it: escaped quotes do not end it.
        quoted: bool,
    },
}

/// Compiles; fails where two fields stand side by side and nothing tells where one ends.
pub fn compile(tokens: Vec<Token>, stack: Stack, format: &'static str) -> Result<Template, TemplateError> {
    let tokens = one_per_role(join_targets(tokens));
    for pair in tokens.windows(2) {
        if let [Token::Field(a), Token::Field(b)] = pair
            && matches!(a.class, Class::Text | Class::List)
        {
            return Err(TemplateError::new(format!("{} and {} stand side by side: nothing tells where one ends", a.name, b.name)));
        }
    }
    let mut steps = Vec::with_capacity(tokens.len());
    let mut after_quote = false;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Literal(text) => {
                after_quote = text.ends_with(b"\"");
                steps.push(Step::Literal(text.clone().into()));
            }
            Token::Field(field) => {
                let before_quote = matches!(tokens.get(i + 1), Some(Token::Literal(text)) if text.starts_with(b"\""));
                steps.push(Step::Field { role: field.role, class: field.class.clone(), quoted: after_quote && before_quote });
                after_quote = false;
            }
        }
    }
    Ok(Template { steps, stack, format, open_end: false })
}

/// `$uri$is_args$args`, `%U%q`, `%r%Q%q`, `$scheme://$host$request_uri` are one target.
fn join_targets(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Token::Field(field) = &token
            && let Some(Token::Field(last)) = out.last_mut()
            && matches!(last.role, Role::Path | Role::Uri)
            && (field.role == Role::Query || matches!(field.name.as_str(), "$is_args" | "%Q"))
        {
            last.role = Role::Uri;
            last.class = Class::Text;
            continue;
        }
        out.push(token);
    }
    out
}

/// Of several fields of one role the best; a second client address becomes the visitor's.
fn one_per_role(mut tokens: Vec<Token>) -> Vec<Token> {
    let fields = |tokens: &[Token]| -> Vec<(usize, Role, u8)> {
        tokens.iter().enumerate().filter_map(|(i, t)| if let Token::Field(f) = t { Some((i, f.role, f.rank)) } else { None }).collect()
    };
    let all = fields(&tokens);
    let best = |role: Role| all.iter().filter(|(_, r, _)| *r == role).min_by_key(|(i, _, rank)| (*rank, *i)).map(|(i, _, _)| *i);
    let has_visitor = all.iter().any(|(_, r, _)| *r == Role::Visitor);
    // Unit by unit, the finest statement of the duration is taken.
    let durations = [Role::Nanos, Role::Micros, Role::Millis, Role::Duration, Role::Seconds];
    let duration = durations.iter().copied().find(|d| all.iter().any(|(_, r, _)| r == d));
    // One statement of the request: the line itself, else its parts.
    let has_request = all.iter().any(|(_, r, _)| *r == Role::Request);
    let has_end = all.iter().any(|(_, r, _)| *r == Role::Time);
    for (i, token) in tokens.iter_mut().enumerate() {
        let Token::Field(Field { role, .. }) = token else { continue };
        let time = matches!(role, Role::Time | Role::TimeStart);
        if time || *role == Role::Ignore {
            // The end of the request is what error logs and edge rows are compared with.
            if *role == Role::TimeStart && has_end {
                *role = Role::Ignore;
            }
            continue;
        }
        let second_client = *role == Role::Client && best(Role::Client) != Some(i);
        if second_client && !has_visitor {
            *role = Role::Visitor;
        } else if best(*role) != Some(i)
            || (durations.contains(role) && Some(*role) != duration)
            || (has_request && matches!(role, Role::Method | Role::Uri | Role::Path | Role::Query | Role::Protocol))
        {
            *role = Role::Ignore;
        }
    }
    tokens
}

impl RecordParser for Template {
    fn format(&self) -> &'static str {
        self.format
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        self.line(record).or_else(|error| {
            // Containers often write both logs to one stream.
            match self.stack {
                Stack::Nginx => crate::nginx_error::parse(record),
                Stack::Apache => crate::apache_error::parse(record),
                _ => Err(error.clone()),
            }
            .map_err(|_| error)
        })
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        self.stack == Stack::Nginx && crate::nginx_error::NginxError::default().continues(record_so_far, line)
    }
}

impl Template {
    /// The same, but lines may have further fields behind.
    pub(crate) fn open_ended(self) -> Self {
        Self { open_end: true, ..self }
    }

    fn line<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let mut line = Line::new(LineKind::Access, self.stack);
        let mut clock = Clock::default();
        let mut starts = false;
        let mut rest = record;
        let at = |rest: &[u8]| record.len() - rest.len();
        for (i, step) in self.steps.iter().enumerate() {
            match step {
                Step::Literal(text) => {
                    rest = rest.strip_prefix(&**text).ok_or_else(|| LineError {
                        reason: Cow::Owned(format!("`{}` of the format string expected", String::from_utf8_lossy(text))),
                        at: at(rest),
                    })?;
                }
                Step::Field { role, class: Class::Time(parts), .. } => {
                    rest = self
                        .time(*role, parts, &mut clock, rest)
                        .ok_or_else(|| LineError::new("not a time in the form of the format string", at(rest)))?;
                    starts |= *role == Role::TimeStart;
                }
                Step::Field { role, class, quoted } => {
                    let next = match self.steps.get(i + 1) {
                        Some(Step::Literal(text)) => Some(&**text),
                        _ => None,
                    };
                    let end = value_end(rest, class, *quoted, next)
                        .ok_or_else(|| LineError::new("the text that the format string has after this field is missing", at(rest)))?;
                    let value = rest.get(..end).unwrap_or_default();
                    put(&mut line, *role, Cow::Borrowed(value));
                    rest = rest.get(end..).unwrap_or_default();
                }
            }
        }
        let ended = rest.is_empty() || (self.open_end && rest.starts_with(b" "));
        if !ended {
            return Err(LineError::new("text after the last field of the format string", at(rest)));
        }
        if let Some(time) = clock.time() {
            line.time = Some(time);
            line.time_is_start = starts;
        }
        Ok(line)
    }

    /// Fields that are not wanted are read all the same, for their end.
    fn time<'a>(&self, role: Role, parts: &[Part], clock: &mut Clock, text: &'a [u8]) -> Option<&'a [u8]> {
        if role == Role::Ignore { Clock::default().read(parts, text) } else { clock.read(parts, text) }
    }
}

fn value_end(text: &[u8], class: &Class, quoted: bool, next: Option<&[u8]>) -> Option<usize> {
    let Some(next) = next else {
        // Side by side with another field, or last in the line.
        let stop = |keep: fn(&u8) -> bool| text.iter().take_while(|b| keep(b)).count();
        return Some(match class {
            Class::Word => stop(|b| b.is_ascii_alphanumeric() || *b == b'?'),
            Class::Number => stop(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')),
            Class::Host => stop(|b| *b != b'/'),
            _ => text.len(),
        });
    };
    if quoted {
        let mut from = 0;
        loop {
            let quote = closing_quote(text, from)?;
            if text.get(quote..)?.starts_with(next) {
                return Some(quote);
            }
            from = quote + 1;
        }
    }
    let mut from = 0;
    loop {
        let end = from + memmem::find(text.get(from..)?, next)?;
        let goes_on = *class == Class::List
            && next.first() == Some(&b' ')
            && (text.get(..end).is_some_and(|t| t.ends_with(b",") || t.ends_with(b" :"))
                || text.get(end..).is_some_and(|t| t.starts_with(b" : ")));
        if !goes_on {
            return Some(end);
        }
        from = end + 1;
    }
}
