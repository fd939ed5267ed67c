//! Apache `LogFormat`.

use super::strftime::{self, Part};
use super::{Class, Field, TemplateError, Token};
use crate::access::Role;
use crate::access::names::role_of_name;

/// Splits a format string at its directives: `%>s`, `%{CF-RAY}i`, `%400,501{User-Agent}i`.
pub fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    split(text, field)
}

/// Splits at `%`; `make` gives the fields of one directive from its argument and its letter.
pub(super) fn split(text: &str, make: fn(Option<&str>, &str) -> Result<Vec<Token>, TemplateError>) -> Result<Vec<Token>, TemplateError> {
    let mut out: Vec<Token> = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        literal.extend_from_slice(before.as_bytes());
        let after = after.get(1..).unwrap_or("");
        if let Some(tail) = after.strip_prefix('%') {
            literal.push(b'%');
            rest = tail;
            continue;
        }
        // Conditions on the status and on which of several redirected requests is meant.
        let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '!' | ',' | '<' | '>'));
        let (argument, after) = match after.strip_prefix('{') {
            Some(inner) => {
                let (name, tail) =
                    inner.split_once('}').ok_or_else(|| TemplateError::new(format!("`%{after}` opens a brace that is not closed")))?;
                (Some(name), tail)
            }
            None => (None, after),
        };
        let len = if after.starts_with('^') { 3 } else { after.chars().next().map_or(0, char::len_utf8) };
        let (Some(letter), Some(tail)) = (after.get(..len).filter(|l| !l.is_empty()), after.get(len..)) else {
            return Err(TemplateError::new("a `%` without a letter at the end"));
        };
        if !literal.is_empty() {
            out.push(Token::Literal(std::mem::take(&mut literal)));
        }
        for token in make(argument, letter)? {
            match token {
                Token::Literal(text) => literal.extend_from_slice(&text),
                field => {
                    if !literal.is_empty() {
                        out.push(Token::Literal(std::mem::take(&mut literal)));
                    }
                    out.push(field);
                }
            }
        }
        rest = tail;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        out.push(Token::Literal(literal));
    }
    Ok(out)
}

fn field(argument: Option<&str>, letter: &str) -> Result<Vec<Token>, TemplateError> {
    let name = argument.map_or_else(|| format!("%{letter}"), |a| format!("%{{{a}}}{letter}"));
    let one = |role, rank, class| Ok(vec![Token::Field(Field { name: name.clone(), role, rank, class })]);
    match (letter, argument) {
        ("a", Some("c")) => one(Role::Client, 2, Class::Text),
        ("a", _) => one(Role::Client, 0, Class::Text),
        ("h", _) => one(Role::Client, 1, Class::Text),
        ("t", argument) => time(argument, &name),
        ("r", _) => one(Role::Request, 0, Class::Text),
        ("m", _) => one(Role::Method, 0, Class::Word),
        ("U", _) => one(Role::Path, 0, Class::Text),
        ("q", _) => one(Role::Query, 0, Class::Text),
        ("H", _) => one(Role::Protocol, 0, Class::Text),
        ("s", _) => one(Role::Status, 0, Class::Number),
        ("b" | "B", _) => one(Role::BodyBytes, 0, Class::Number),
        ("O", _) => one(Role::BytesSent, 0, Class::Number),
        ("D", _) => one(Role::Micros, 0, Class::Number),
        ("T", Some("ms")) => one(Role::Millis, 1, Class::Number),
        ("T", Some("us")) => one(Role::Micros, 1, Class::Number),
        ("T", _) => one(Role::Seconds, 2, Class::Number),
        ("L", None) => one(Role::LogId, 0, Class::Text),
        ("P", None | Some("pid")) => one(Role::Pid, 0, Class::Number),
        ("P", Some("tid")) => one(Role::Tid, 0, Class::Number),
        ("v", _) => one(Role::Host, 2, Class::Host),
        ("V", _) => one(Role::Host, 1, Class::Host),
        ("x", Some("SSL_CLIENT_VERIFY")) => one(Role::Verify, 0, Class::Text),
        ("p" | "k" | "I" | "S", _) => one(Role::Ignore, 0, Class::Number),
        // Request headers, notes and environment variables with a well-known name.
        ("i" | "e" | "n", Some(key)) => match role_of_name(key.as_bytes()) {
            Some((Role::Host, _)) => one(Role::Host, 0, Class::Host),
            Some((role @ (Role::Ray | Role::Visitor | Role::Agent | Role::Referer | Role::LogId), rank)) => one(role, rank, Class::Text),
            _ => one(Role::Ignore, 0, Class::Text),
        },
        _ => one(Role::Ignore, 0, Class::Text),
    }
}

/// `%t` (with its brackets), `%{begin:...}t`, `%{end:msec}t`, `%{usec_frac}t`, `%{%Y-%m-%d}t`.
fn time(argument: Option<&str>, name: &str) -> Result<Vec<Token>, TemplateError> {
    let (role, pattern) = match argument {
        None => (Role::TimeStart, None),
        Some(a) => match (a.strip_prefix("begin:").or((a == "begin").then_some("")), a.strip_prefix("end:").or((a == "end").then_some("")))
        {
            (Some(rest), _) => (Role::TimeStart, Some(rest)),
            (_, Some(rest)) => (Role::Time, Some(rest)),
            _ => (Role::TimeStart, Some(a)),
        },
    };
    let parts = match pattern {
        None | Some("") => vec![Part::Literal(b"[".to_vec()), Part::Clf, Part::Literal(b"]".to_vec())],
        Some("sec" | "msec" | "usec") => vec![Part::EpochDigits],
        Some("msec_frac") => vec![Part::Fraction(3)],
        Some("usec_frac") => vec![Part::Fraction(6)],
        Some(pattern) => strftime::parts(pattern)
            .map_err(|letter| TemplateError::new(format!("`{name}`: the time letter `%{letter}` is not supported")))?,
    };
    Ok(vec![Token::Field(Field { name: name.to_owned(), role, rank: 0, class: Class::Time(parts) })])
}
