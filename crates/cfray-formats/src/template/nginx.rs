//! nginx `log_format`.

use super::strftime::Part;
use super::{Class, Field, TemplateError, Token};
use crate::access::Role;
use crate::access::names::role_of_name;

/// Splits a format string at its variables, `$name` and `${name}`.
pub fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut out = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        literal.extend_from_slice(before.as_bytes());
        let after = after.get(1..).unwrap_or("");
        let (name, tail) = if let Some(inner) = after.strip_prefix('{') {
            inner.split_once('}').ok_or_else(|| TemplateError::new(format!("`${after}` opens a brace that is not closed")))?
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            after.split_at(end)
        };
        if name.is_empty() {
            return Err(TemplateError::new("a `$` without a variable name"));
        }
        if !literal.is_empty() {
            out.push(Token::Literal(std::mem::take(&mut literal)));
        }
        out.push(Token::Field(field(name)));
        rest = tail;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        out.push(Token::Literal(literal));
    }
    Ok(out)
}

fn field(name: &str) -> Field {
    let (role, rank) = role_of_name(name.as_bytes()).unwrap_or((Role::Ignore, 0));
    let (role, class) = match name {
        "time_local" => (Role::Time, Class::Time(vec![Part::Clf])),
        "time_iso8601" => (Role::Time, Class::Time(vec![Part::Iso])),
        "msec" => (Role::Time, Class::Time(vec![Part::Epoch])),
        "request_time" => (Role::Seconds, Class::Number),
        "status"
        | "body_bytes_sent"
        | "bytes_sent"
        | "connection"
        | "connection_requests"
        | "request_length"
        | "pid"
        | "server_port"
        | "remote_port" => (role, Class::Number),
        "host" | "http_host" | "server_name" => (role, Class::Host),
        "scheme" | "is_args" | "request_method" | "pipe" | "https" => (role, Class::Word),
        n if n.starts_with("upstream_") && !n.starts_with("upstream_http") => (role, Class::List),
        _ => (role, Class::Text),
    };
    // Every request has a host; the name in the configuration is only second best.
    let role = if name == "is_args" { Role::Ignore } else { role };
    Field { name: format!("${name}"), role, rank, class }
}
