//! The shared words of cfray.
//!
//! * **edge row**: one record of Cloudflare's Logpush dataset `http_requests`;
//! * **incident**: an edge row with one of the chosen statuses (520 unless told otherwise);
//! * **fact**: the small fixed-size remainder that every other edge row leaves behind;
//! * **line**: one record of an origin log, parsed; **event**: what is kept of it;
//! * **source**: one file (or stream) with its format and the server it speaks for;
//! * **tie**: how an origin line belongs to an incident;
//! * **verdict**: the cause given to an incident, with evidence, confidence and a runner-up.
//!
//! This crate does no I/O and knows no pattern; everything else in the workspace may use it.
#![forbid(unsafe_code)]

pub mod answer;
pub mod cause;
pub mod edge;
pub mod event;
pub mod fact;
pub mod facts;
pub mod index;
pub mod key;
pub mod line;
pub mod ray;
pub mod record;
pub mod report;
pub mod rows;
pub mod serverconf;
pub mod shelf;
pub mod slice;
pub mod source;
pub mod text;
pub mod time;
pub mod traffic;
pub mod varint;
pub mod verdict;

pub use answer::AnsweredLine;
pub use cause::{Cause, Family, OwnCause};
pub use edge::{EdgeCounters, EdgeField, EdgeFilter, EdgeRow, EdgeScan};
pub use event::{Details, OriginEvent, OriginScan, Sig, SigHit, SourceScan};
pub use fact::{Combo, Fact, FactFlags};
pub use facts::{FactStore, Facts};
pub use index::IncidentIndex;
pub use line::{Level, Line, LineKind, Stack};
pub use ray::RayId;
pub use record::{Num, RecordText, Stated, TextShelf};
pub use rows::Rows;
pub use shelf::Shelf;
pub use slice::{IncidentKeys, Slice, SliceTime};
pub use source::{LineRef, SourceId, SourceInfo};
pub use text::{Pool, Text};
pub use time::{LogTime, Stamp};
pub use traffic::Traffic;
pub use verdict::{Evidence, EvidenceKind, Tie, Verdict};
