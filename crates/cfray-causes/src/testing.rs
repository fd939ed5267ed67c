//! What several tests are made of.

use cfray_model::{LineKind, LineRef, OriginEvent, Stack};

/// A line of the kernel that says nothing.
pub fn event() -> OriginEvent {
    OriginEvent::new(LineKind::System, Stack::Kernel, LineRef::default())
}
