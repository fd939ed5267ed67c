//! What an edge row that is no incident leaves behind.

use crate::ray::RayId;
use crate::time::Stamp;
use serde::Serialize;

/// Facts about one edge row: hashes for joining and ids for comparing. 48 bytes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Fact {
    /// Start in milliseconds since the epoch; `i64::MIN` when the row has no time.
    pub start_ms: i64,
    /// `RayID`, 0 when absent.
    pub ray: u64,
    /// `EdgeEndTimestamp - EdgeStartTimestamp` in milliseconds.
    pub dur_ms: u32,
    /// Low half of [`crate::key::request_key`]; 0 when method or URI is absent.
    pub request: u32,
    /// Low half of [`crate::key::page_key`].
    pub page: u32,
    /// Low half of [`crate::key::addr_key`] of `ClientIP`.
    pub client: u32,
    /// Index into [`crate::edge::EdgeScan::combos`].
    pub combo: u32,
    /// `EdgeResponseStatus`.
    pub edge_status: u16,
    /// `OriginResponseStatus`; `u16::MAX` when absent.
    pub origin_status: u16,
    /// Low 16 bits of [`crate::key::bytes_key`] of the user agent.
    pub agent: u16,
    /// [`crate::key::shape_key`] of the path: pages of one kind, for comparing.
    pub shape: u16,
    /// `OriginTCPHandshakeDurationMs`, saturating; `u16::MAX` when absent. On new connections this
    /// is one round trip between that colo and the origin.
    pub tcp_ms: u16,
    /// Flags.
    pub flags: FactFlags,
}

/// Bits of a [`Fact`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct FactFlags(pub u16);

impl FactFlags {
    /// The origin was contacted (edge or origin address present and not empty).
    pub const CONTACTED: u16 = 1;
    /// The connection to the origin was reused.
    pub const REUSED: u16 = 2;
    /// The connection to the origin was new.
    pub const NEW: u16 = 4;
    /// The row became an incident.
    pub const INCIDENT: u16 = 8;
    /// Timestamps have whole-second resolution.
    pub const SECONDS: u16 = 16;
    /// Not a visitor's request ([`crate::edge::EdgeRow::counted`] is false).
    pub const INTERNAL: u16 = 32;
    /// A Worker subrequest.
    pub const SUBREQUEST: u16 = 64;
    /// The row has an end time.
    pub const HAS_END: u16 = 128;
    /// TLS to the origin (`OriginSSLProtocol` neither empty, `none` nor `unknown`).
    pub const ORIGIN_TLS: u16 = 256;

    /// Is the bit set?
    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

impl Fact {
    /// The ray, when the row had one.
    pub fn ray(&self) -> Option<RayId> {
        (self.ray != 0).then_some(RayId(self.ray))
    }

    /// Start, when the row had one.
    pub fn start(&self) -> Option<Stamp> {
        (self.start_ms != i64::MIN).then(|| Stamp(self.start_ms.saturating_mul(crate::time::MILLI)))
    }

    /// End (start when the end is not known).
    pub fn end(&self) -> Option<Stamp> {
        self.start().map(|s| Stamp(s.0.saturating_add(i64::from(self.dur_ms) * crate::time::MILLI)))
    }

    /// Width of the row's timestamp tick in nanoseconds.
    pub fn precision_ns(&self) -> i64 {
        if self.flags.has(FactFlags::SECONDS) { crate::time::SECOND } else { crate::time::MILLI }
    }
}

/// The repeated part of rows: few distinct values, many rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Combo {
    /// `ClientRequestHost`, lower case; empty when absent.
    pub host: String,
    /// `ClientRequestMethod`.
    pub method: String,
    /// `EdgeColoCode`.
    pub colo: String,
    /// `EdgeServerIP`; empty when absent or when the origin was not contacted.
    pub edge_ip: String,
    /// `OriginIP`; likewise.
    pub origin_ip: String,
}
