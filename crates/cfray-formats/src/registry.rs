//! Every format of an origin log that cfray reads.

use crate::spec::FormatSpec;

/// Sorted by name. Adding a format: one file, one line here.
pub static FORMATS: &[&FormatSpec] = &[];

/// Looks a format up by its fixed name.
pub fn by_name(name: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().copied().find(|f| f.name == name)
}
