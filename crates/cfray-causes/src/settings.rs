//! What the user may set for the join and the verdicts.

use crate::limits;
use crate::own::OwnRule;
use crate::serverconf::ConfigAudit;
use cfray_model::report::Meta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A zone given by the user with `--tz` or in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneSpec {
    /// Fixed seconds east of UTC.
    Fixed(i32),
    /// IANA zone.
    Named(chrono_tz::Tz),
}

impl ZoneSpec {
    /// Seconds east of UTC for civil digits read as UTC nanoseconds. In the fold of a daylight-saving
    /// change the earlier reading counts; in the gap the offset before it.
    pub fn offset_s(&self, civil_ns: i64) -> i32 {
        use chrono::{Offset, TimeZone};
        match self {
            Self::Fixed(s) => *s,
            Self::Named(tz) => {
                let Some(utc) = chrono::DateTime::from_timestamp(civil_ns.div_euclid(1_000_000_000), 0) else { return 0 };
                let civil = utc.naive_utc();
                match tz.offset_from_local_datetime(&civil) {
                    chrono::LocalResult::Single(o) | chrono::LocalResult::Ambiguous(o, _) => o.fix().local_minus_utc(),
                    chrono::LocalResult::None => tz.offset_from_utc_datetime(&(civil - chrono::Duration::hours(1))).fix().local_minus_utc(),
                }
            }
        }
    }
}

/// Settings of a run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Zones by file-name glob (already matched to sources by the caller): `None` is every source.
    pub zones: Vec<(Option<globset::GlobMatcher>, ZoneSpec)>,
    /// Causes that the configuration defines; the place is the bit of the pattern.
    pub own: Vec<OwnRule>,
    /// Thresholds that the configuration sets, by name.
    pub thresholds: BTreeMap<String, i64>,
    /// Passed through to the report.
    pub meta: Meta,
    /// Rows carry the origin's lines of their request: for the page, which draws them as a timeline.
    pub lines: bool,
    /// Most threads that look at incidents; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
    /// In a large storm a slice is joined while the one before it is judged: two are in memory. The result does not depend on it.
    pub ahead: bool,
    /// Configuration of the origin's servers, audited.
    pub config: Arc<ConfigAudit>,
}

/// A number that the configuration may set under `[thresholds]`.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// Dotted name.
    pub name: &'static str,
    /// What holds without the configuration; `None`: what the table of limits says for the day.
    pub default: Option<i64>,
    /// Least and greatest value that makes sense.
    pub range: (i64, i64),
    /// `bytes` or `s`.
    pub unit: &'static str,
    /// What it decides.
    pub what: &'static str,
}

/// Cloudflare's limit for response headers, for zones on which another one holds.
pub const RESPONSE_HEADER: Threshold = Threshold {
    name: "cloudflare.response_header",
    default: None,
    range: (1024, 16 << 20),
    unit: "bytes",
    what: "response headers of this size and more are too large (Cloudflare's limit of the day without it)",
};

/// See `infer.rs`.
pub const INFER_REACH: Threshold = Threshold {
    name: "infer.reach",
    default: Some(4),
    range: (0, 60),
    unit: "s",
    what: "a failure without any line takes the cause of those around it within this time",
};

/// See `episodes.rs`.
pub const EPISODE_PAUSE: Threshold =
    Threshold { name: "episode.pause", default: Some(120), range: (1, 86_400), unit: "s", what: "a longer pause ends an episode" };

/// Every number that may be set.
pub static THRESHOLDS: &[Threshold] = &[RESPONSE_HEADER, INFER_REACH, EPISODE_PAUSE];

impl Settings {
    /// The value that holds for a threshold with a default.
    pub fn threshold(&self, threshold: &Threshold) -> i64 {
        self.thresholds.get(threshold.name).copied().or(threshold.default).unwrap_or_default()
    }

    /// The limit for response headers at a time, in bytes.
    pub fn header_limit(&self, at_epoch_s: i64) -> u64 {
        let set = self.thresholds.get(RESPONSE_HEADER.name).and_then(|value| u64::try_from(*value).ok());
        set.unwrap_or_else(|| limits::header_limit(at_epoch_s))
    }

    /// The zone the user gave for a source, the last matching one.
    pub fn zone_of(&self, source: &str) -> Option<&ZoneSpec> {
        self.zones.iter().rev().find(|(glob, _)| glob.as_ref().is_none_or(|g| g.is_match(source))).map(|(_, z)| z)
    }
}
