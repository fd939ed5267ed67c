//! What the user may set for the join and the verdicts.

use crate::serverconf::ConfigAudit;
use cfray_model::report::Meta;
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
    /// Passed through to the report.
    pub meta: Meta,
    /// Most threads that look at incidents; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
    /// Configuration of the origin's servers, audited.
    pub config: Arc<ConfigAudit>,
}

impl Settings {
    /// The zone the user gave for a source, the last matching one.
    pub fn zone_of(&self, source: &str) -> Option<&ZoneSpec> {
        self.zones.iter().rev().find(|(glob, _)| glob.as_ref().is_none_or(|g| g.is_match(source))).map(|(_, z)| z)
    }
}
