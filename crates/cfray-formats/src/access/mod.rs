//! What a field of an access log means, whatever the format that carries it.

pub mod names;

use crate::fields::number::{integer, list_first, list_last, scaled, status};
use crate::fields::text::present;
use crate::fields::time::any_time;
use crate::fields::{addr, request};
use cfray_model::{Line, RayId};
use std::borrow::Cow;

/// Meaning of one field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Role {
    /// Not used.
    #[default]
    Ignore,
    /// A time in any of the usual forms: the moment of writing.
    Time,
    /// The same, of the request's start.
    TimeStart,
    /// Address of the peer or, once restored, of the visitor.
    Client,
    /// A second address: `CF-Connecting-IP`, the first of `X-Forwarded-For`.
    Visitor,
    /// Host header or virtual host.
    Host,
    /// Whole request line.
    Request,
    /// Method.
    Method,
    /// Request target with its query.
    Uri,
    /// Path without query.
    Path,
    /// Query without `?`.
    Query,
    /// `HTTP/1.1`.
    Protocol,
    /// Status.
    Status,
    /// Bytes on the wire.
    BytesSent,
    /// Bytes of the body.
    BodyBytes,
    /// A size of unknown meaning.
    Size,
    /// A duration in an unknown unit: a decimal number is seconds, a whole one microseconds.
    Duration,
    /// A duration in seconds.
    Seconds,
    /// A duration in milliseconds.
    Millis,
    /// A duration in microseconds.
    Micros,
    /// A duration in nanoseconds.
    Nanos,
    /// `$upstream_status`, maybe a list.
    UpstreamStatus,
    /// `$ssl_client_verify`: what became of the client's certificate.
    Verify,
    /// `$upstream_addr`, maybe a list.
    Upstream,
    /// User agent.
    Agent,
    /// Referrer.
    Referer,
    /// CF-Ray.
    Ray,
    /// nginx `$connection`.
    Cid,
    /// Process id.
    Pid,
    /// Thread id.
    Tid,
    /// Apache `%L`, unique id.
    LogId,
    /// FPM pool.
    Module,
}

/// Puts a value into the record. Values of the wrong shape, `-` and empty ones are left out.
pub fn put<'a>(line: &mut Line<'a>, role: Role, value: Cow<'a, [u8]>) {
    match role {
        Role::Ignore => {}
        Role::Request => request::set_cow(line, value),
        Role::Size => line.size = size(&value),
        Role::BodyBytes => line.body_bytes = size(&value),
        Role::BytesSent => line.bytes_sent = size(&value),
        _ if present(&value).is_none() => {}
        Role::Time => line.time = any_time(&value).or(line.time),
        Role::TimeStart => {
            if let Some(time) = any_time(&value) {
                line.time = Some(time);
                line.time_is_start = true;
            }
        }
        Role::Client => line.client = Some(map(value, addr::split_port_if_addr)),
        Role::Visitor => {
            let first = map(value, |v| addr::split_port_if_addr(list_first(v)));
            if addr::is_addr(&first) {
                line.visitor = Some(first);
            }
        }
        Role::Host => line.host = Some(value),
        Role::Method => line.method = Some(value),
        Role::Uri => line.uri = Some(value),
        Role::Path => {
            // The whole target, when the line has it too, says more.
            if line.uri.is_none() {
                line.uri = Some(value);
            }
        }
        Role::Query => add_query(line, &value),
        Role::Protocol => line.protocol = Some(value),
        // JSON has no leading zeros: Caddy writes 0 where nothing was answered.
        Role::Status if &*value == b"0" => line.status = Some(0),
        Role::Status => line.status = status(list_last(&value)).or(line.status),
        Role::Duration if memchr::memchr(b'.', &value).is_none() => line.duration_us = integer(&value),
        Role::Duration | Role::Seconds => line.duration_us = scaled(list_last(&value), 1_000_000),
        Role::Millis => line.duration_us = scaled(&value, 1_000),
        Role::Micros => line.duration_us = scaled(&value, 1),
        Role::Nanos => line.duration_us = integer(&value).map(|n| n / 1_000),
        Role::UpstreamStatus => line.upstream_status = status(list_last(&value)),
        Role::Verify => line.verified = verified(&value),
        Role::Upstream => line.upstream = Some(map(value, list_last)),
        Role::Agent => line.agent = Some(value),
        Role::Referer => line.referer = Some(value),
        Role::Ray => line.ray = RayId::parse(&value),
        Role::Cid => line.cid = integer(&value),
        Role::Pid => line.pid = integer(&value),
        Role::Tid => line.tid = integer(&value),
        Role::LogId => line.log_id = Some(value),
        Role::Module => line.module = Some(value),
    }
}

/// What nginx and mod_ssl write of a client certificate; `None` for anything else.
pub fn verified(value: &[u8]) -> Option<bool> {
    match value {
        b"SUCCESS" => Some(true),
        b"NONE" | b"FAILED" | b"GENEROUS" => Some(false),
        _ => value.starts_with(b"FAILED:").then_some(false),
    }
}

/// A size; `-` is Apache's way to write 0.
fn size(value: &[u8]) -> Option<u64> {
    if value == b"-" { Some(0) } else { integer(value) }
}

/// Applies a function that returns a part of its argument, keeping what is borrowed borrowed.
fn map(value: Cow<'_, [u8]>, part: fn(&[u8]) -> &[u8]) -> Cow<'_, [u8]> {
    match value {
        Cow::Borrowed(v) => Cow::Borrowed(part(v)),
        Cow::Owned(v) => Cow::Owned(part(&v).to_vec()),
    }
}

fn add_query(line: &mut Line<'_>, query: &[u8]) {
    let query = query.strip_prefix(b"?").unwrap_or(query);
    if let Some(uri) = &line.uri
        && !query.is_empty()
        && memchr::memchr(b'?', uri).is_none()
    {
        line.uri = Some(Cow::Owned([uri, &b"?"[..], query].concat()));
    }
}
