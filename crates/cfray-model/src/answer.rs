//! Ordinary answers that are kept to compare failing requests with.

use crate::time::LogTime;
use serde::Serialize;

/// What is kept of an ordinary answer in an access log: hashes to compare failing requests with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AnsweredLine {
    /// Hash of its place: the lines with the smallest are kept.
    pub hash: u64,
    /// When, as stated.
    pub time: Option<LogTime>,
    /// [`crate::key::addr_key`] of the logged client.
    pub client: u64,
    /// [`crate::key::network_key`] of it.
    pub network: u64,
    /// [`crate::key::addr_key`] of the second address in the line.
    pub visitor: u64,
    /// Hash of the user agent as logged, unescaped (0: not in the line).
    pub agent: u64,
    /// Hash of the path without query, in its canonical spelling.
    pub path: u64,
    /// [`crate::key::shape_key`] of it.
    pub shape: u16,
    /// [`crate::key::host_key`] (0: not in the line).
    pub host: u64,
    /// Hash of the method.
    pub method: u64,
}
