//! Format strings that spell a JSON object: keys and their variables, for the JSON reader.

use super::{Class, Field, TemplateError, Token};
use crate::access::Role;
use crate::json::learn::Keys;
use crate::json::scan::scan;
use crate::json_access::JsonAccess;
use cfray_model::Stack;

/// Does the format string open as an object?
pub fn is_json(tokens: &[Token]) -> bool {
    matches!(tokens.first(), Some(Token::Literal(text)) if text.trim_ascii_start().starts_with(b"{"))
}

/// Reads the format string itself as an object in which each variable is a mark.
pub fn compile(tokens: &[Token], stack: Stack) -> Result<JsonAccess, TemplateError> {
    let mut text = Vec::new();
    let mut fields: Vec<&Field> = Vec::new();
    for token in tokens {
        match token {
            Token::Literal(literal) => text.extend(literal.iter().map(|b| if *b < 0x20 { b' ' } else { *b })),
            Token::Field(field) => {
                text.push(MARK);
                text.extend_from_slice(fields.len().to_string().as_bytes());
                text.push(MARK);
                fields.push(field);
            }
        }
    }
    let mut found: Vec<(Box<[u8]>, Role, u8)> = Vec::new();
    scan(&text, &mut |key, value| {
        if let Some((role, rank)) = role_of(value.raw(), &fields) {
            found.push((key.into(), role, rank));
        }
    })
    .map_err(|at| TemplateError::new(format!("the format string opens with `{{` but is no JSON object (byte {at})")))?;
    let mut roles: Vec<(Box<[u8]>, Role)> = Vec::new();
    let has = |role: Role| found.iter().any(|(_, r, _)| *r == role);
    let request = has(Role::Request);
    for (key, role, rank) in &found {
        let best = found.iter().filter(|(_, r, _)| r == role).map(|(_, _, rank)| *rank).min();
        let spare = request && matches!(role, Role::Method | Role::Uri | Role::Path | Role::Query | Role::Protocol);
        let start_beside_end = *role == Role::TimeStart && has(Role::Time);
        if *role != Role::Ignore && best == Some(*rank) && !spare && !start_beside_end && !roles.iter().any(|(_, r)| r == role) {
            roles.push((key.clone(), *role));
        }
    }
    if roles.is_empty() {
        return Err(TemplateError::new("no variable of the JSON format string is known"));
    }
    Ok(JsonAccess::new(Keys { roles, stack, node: false }))
}

const MARK: u8 = 1;

/// Role of a value that consists of one variable, of parts of a time, or of a request.
fn role_of(value: &[u8], fields: &[&Field]) -> Option<(Role, u8)> {
    let mut parts: Vec<&Field> = Vec::new();
    let mut between: Vec<u8> = Vec::new();
    for (i, piece) in value.split(|&b| b == MARK).enumerate() {
        if i % 2 == 0 {
            between.extend_from_slice(piece);
        } else {
            let index: usize = std::str::from_utf8(piece).ok()?.parse().ok()?;
            parts.push(fields.get(index)?);
        }
    }
    match *parts {
        [] => None,
        [only] if between.trim_ascii().is_empty() => {
            // Of two times the finer one.
            let rank = if matches!(only.role, Role::Time | Role::TimeStart) { coarseness(only) } else { only.rank };
            Some((only.role, rank))
        }
        [first, ..] => {
            let roles: Vec<Role> = parts.iter().map(|p| p.role).collect();
            if roles.iter().all(|r| matches!(r, Role::Time | Role::TimeStart)) {
                Some((first.role, 0))
            } else if roles.starts_with(&[Role::Method, Role::Uri]) || roles.starts_with(&[Role::Method, Role::Path]) {
                Some((Role::Request, 1))
            } else if matches!(roles.last(), Some(Role::Uri | Role::Query)) {
                // Path and query, or a whole URL.
                Some((Role::Uri, 1))
            } else {
                None
            }
        }
    }
}

fn coarseness(field: &Field) -> u8 {
    use super::strftime::Part;
    match &field.class {
        Class::Time(parts) => match parts.as_slice() {
            [Part::Epoch | Part::EpochDigits] => 1,
            [Part::Fraction(_)] => u8::MAX,
            _ => 2,
        },
        _ => 3,
    }
}
