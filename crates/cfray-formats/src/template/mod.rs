//! Format strings given by the user: nginx `log_format`, Apache `LogFormat` and `ErrorLogFormat`,
//! FPM `access.format`; the bare string or the whole directive as it stands in the configuration.
//!
//! A format string becomes a sequence of literals and fields ([`engine`]); one that spells JSON
//! becomes a table of keys for the JSON reader ([`json`]); an `ErrorLogFormat`, whose empty fields
//! vanish with their brackets, has an engine of its own ([`errorlog`]).

pub mod apache;
pub mod directive;
pub mod engine;
pub mod errorlog;
pub mod fpm;
pub mod json;
pub mod nginx;
pub mod strftime;

use crate::access::Role;
use crate::spec::RecordParser;
use directive::Origin;
use std::fmt;

/// Why a format string cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// One sentence.
    pub reason: String,
}

impl TemplateError {
    /// From a sentence.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for TemplateError {}

/// A piece of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Text that stands in every line.
    Literal(Vec<u8>),
    /// A variable.
    Field(Field),
}

/// A variable of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its spelling, for messages.
    pub name: String,
    /// What it means.
    pub role: Role,
    /// Which of several fields of one role is taken: the lowest.
    pub rank: u8,
    /// Where its value ends.
    pub class: Class,
}

/// Where a value ends, apart from the next literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Only at the next literal.
    Text,
    /// A list of upstreams: a literal after a comma or around a colon does not end it.
    List,
    /// Letters and digits.
    Word,
    /// Digits, points, a dash.
    Number,
    /// Up to `/`.
    Host,
    /// A time that knows its own end.
    Time(Vec<strftime::Part>),
}

/// Compiles a format string or a directive.
pub fn from_template(template: &str) -> Result<Box<dyn RecordParser>, TemplateError> {
    let (origin, text) = directive::unwrap(template)?;
    if text.trim().is_empty() {
        return Err(TemplateError::new("the format string is empty"));
    }
    from_format(origin.unwrap_or_else(|| guess(&text)), &text)
}

/// Compiles a format string whose origin is known, quotes and escapes of its directive undone.
pub fn from_format(origin: Origin, text: &str) -> Result<Box<dyn RecordParser>, TemplateError> {
    match origin {
        Origin::Nginx => {
            let tokens = nginx::tokens(text)?;
            access(tokens, cfray_model::Stack::Nginx, crate::nginx_access::FORMAT.name)
        }
        Origin::Apache => {
            let tokens = apache::tokens(text)?;
            access(tokens, cfray_model::Stack::Apache, crate::apache_access::FORMAT.name)
        }
        Origin::ApacheError => Ok(Box::new(errorlog::compile(text)?)),
        Origin::Fpm => access(fpm::tokens(text)?, cfray_model::Stack::Fpm, crate::php_fpm_access::FORMAT.name),
    }
}

fn access(tokens: Vec<Token>, stack: cfray_model::Stack, format: &'static str) -> Result<Box<dyn RecordParser>, TemplateError> {
    if !tokens.iter().any(|t| matches!(t, Token::Field(_))) {
        return Err(TemplateError::new("no variable in the format string: nginx writes $name, Apache and FPM %x"));
    }
    if json::is_json(&tokens) {
        return Ok(Box::new(json::compile(&tokens, stack)?));
    }
    Ok(Box::new(engine::compile(tokens, stack, format)?))
}

/// `$word` is nginx; of those with `%`, `%M` without a request is an error log, and a few letters
/// exist in FPM alone.
fn guess(text: &str) -> Origin {
    let dollar = text.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '{'));
    if dollar {
        return Origin::Nginx;
    }
    let has = |list: &[&str]| list.iter().any(|p| text.contains(p));
    if has(&["%M"]) && !has(&["%r", "%>s", "%s"]) {
        return Origin::ApacheError;
    }
    let apache = has(&["%h", "%>s", "}i", "%b", "%B", "%O", "%a", "%U", "%D", "%v"]);
    if !apache && has(&["%R", "%d", "}d", "%C", "%Q", "}e", "%M", "}M"]) { Origin::Fpm } else { Origin::Apache }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
