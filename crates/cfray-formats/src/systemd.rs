//! Messages of systemd about units, as they stand inside a syslog file or the journal.

use cfray_model::{Line, LineKind, Stack};
use std::borrow::Cow;

/// A message of the service manager. `unit` is what the journal says the message is about.
pub(crate) fn parse<'a>(message: &'a [u8], unit: Option<&'a [u8]>) -> Line<'a> {
    let mut line = Line::new(LineKind::System, Stack::Systemd);
    line.module = unit.map(Cow::Borrowed);
    line.message = Cow::Borrowed(message);
    line
}

/// Do lines with this tag speak of units or of dumped processes?
pub(crate) fn is_tag(tag: &[u8]) -> bool {
    tag == b"systemd" || tag == b"systemd-coredump" || tag == b"systemd-oomd"
}
