//! Which format is a file? Content decides.

use crate::registry::FORMATS;
use crate::spec::{Detection, Sample};

/// The format with the best score; of equal ones the first in the registry.
pub fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let mut best: Option<Detection> = None;
    for format in FORMATS {
        if let Some(found) = (format.detect)(sample)
            && found.score > best.as_ref().map_or(0, |b| b.score)
        {
            best = Some(found);
        }
    }
    best
}
