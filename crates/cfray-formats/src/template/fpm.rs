//! PHP-FPM `access.format` (`sapi/fpm/fpm/fpm_log.c`). FPM writes the accept time, escapes nothing
//! and cuts lines at 1,024 bytes.

use super::strftime::{self, Part};
use super::{Class, Field, TemplateError, Token, apache};
use crate::access::Role;
use crate::access::names::role_of_name;

/// Splits a format string at its directives: `%R`, `%{mili}d`, `%{HTTP_CF_RAY}e`.
pub fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    apache::split(text, field)
}

fn field(argument: Option<&str>, letter: &str) -> Result<Vec<Token>, TemplateError> {
    let name = argument.map_or_else(|| format!("%{letter}"), |a| format!("%{{{a}}}{letter}"));
    let (role, class) = match (letter, argument) {
        ("R", _) => (Role::Client, Class::Text),
        ("t" | "T", argument) => {
            let parts = match argument {
                None => vec![Part::Clf],
                Some(pattern) => strftime::parts(pattern)
                    .map_err(|c| TemplateError::new(format!("`{name}`: the time letter `%{c}` is not supported")))?,
            };
            (if letter == "t" { Role::TimeStart } else { Role::Time }, Class::Time(parts))
        }
        ("m", _) => (Role::Method, Class::Word),
        ("r", _) => (Role::Path, Class::Text),
        ("q", _) => (Role::Query, Class::Text),
        ("Q", _) => (Role::Ignore, Class::Word),
        ("s", _) => (Role::Status, Class::Number),
        ("d", Some(unit)) if unit.starts_with("mil") => (Role::Millis, Class::Number),
        ("d", Some(unit)) if unit.starts_with("micro") => (Role::Micros, Class::Number),
        ("d", _) => (Role::Seconds, Class::Number),
        ("p", _) => (Role::Pid, Class::Number),
        ("P" | "l" | "C" | "M", _) => (Role::Ignore, Class::Number),
        ("n", _) => (Role::Module, Class::Text),
        ("e", Some(key)) => match role_of_name(key.as_bytes()) {
            Some((Role::Path, _)) => (Role::Uri, Class::Text),
            Some((role @ (Role::Ray | Role::Host | Role::Uri | Role::Visitor | Role::Agent | Role::Referer), _)) => (role, Class::Text),
            _ => (Role::Ignore, Class::Text),
        },
        _ => (Role::Ignore, Class::Text),
    };
    Ok(vec![Token::Field(Field { name, role, rank: 0, class })])
}
