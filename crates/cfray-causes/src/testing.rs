//! What several tests are made of.

use cfray_model::{LineKind, LineRef, OriginEvent, Stack, Text};

/// A line of the kernel that says nothing.
pub fn event() -> OriginEvent {
    OriginEvent {
        time: None,
        at: LineRef::default(),
        time_is_start: false,
        kind: LineKind::System,
        stack: Stack::Kernel,
        level: None,
        sig: None,
        pid: None,
        tid: None,
        cid: None,
        log_id: 0,
        ray: 0,
        request: 0,
        host: 0,
        client: 0,
        visitor: 0,
        agent: 0,
        referer: 0,
        status: None,
        bytes_sent: None,
        body_bytes: None,
        size: None,
        duration_us: None,
        verified: None,
        upstream_status: None,
        path: Text::new(),
        unsure_ray: false,
        raw_text: false,
        own: 0,
        file: Text::new(),
        text: Text::new(),
    }
}
