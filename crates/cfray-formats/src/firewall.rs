//! Lines of the packet filter's LOG target (iptables, nftables, UFW), `net/netfilter/nf_log_syslog.c`:
//! a prefix of the owner's choice, then `IN=eth0 OUT= ... SRC=192.0.2.1 DST=... PROTO=TCP SPT=... DPT=443`.
//!
//! They are kernel messages, so they stand in a syslog file, the journal or `dmesg`; there is no file
//! of them alone.

use cfray_model::{Line, LineKind, Stack};
use std::borrow::Cow;

/// A packet filter line, or `None` for another message of the kernel.
pub(crate) fn parse(message: &[u8]) -> Option<Line<'_>> {
    let fields = memchr::memmem::find(message, b"IN=")?;
    let fields = message.get(fields..)?;
    let value = |key: &[u8]| fields.split(|&b| b == b' ').find_map(|word| word.strip_prefix(key)).filter(|v| !v.is_empty());
    value(b"PROTO=")?;
    if !fields.split(|&b| b == b' ').any(|word| word.starts_with(b"OUT=")) {
        return None;
    }
    let source = value(b"SRC=")?;
    std::str::from_utf8(source).ok()?.parse::<std::net::IpAddr>().ok()?;
    let mut line = Line::new(LineKind::System, Stack::Firewall);
    line.client = Some(Cow::Borrowed(source));
    line.message = Cow::Borrowed(message);
    Some(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const UFW: &[u8] = b"[UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:aa:bb:cc:52:54:00:dd:ee:ff:08:00 SRC=172.70.240.21 DST=192.0.2.7 LEN=60 TOS=0x00 PREC=0x00 TTL=58 ID=4711 DF PROTO=TCP SPT=40112 DPT=443 WINDOW=65535 RES=0x00 SYN URGP=0 ";

    #[test]
    fn the_source_is_the_client() {
        let line = parse(UFW).unwrap();
        assert_eq!(line.client.as_deref(), Some(&b"172.70.240.21"[..]));
        let v6 = b"IN=eth0 OUT= SRC=2400:cb00:0000:0000:0000:0000:0000:0001 DST=2001:db8::1 LEN=80 TC=0 HOPLIMIT=58 FLOWLBL=0 PROTO=TCP SPT=1 DPT=443";
        assert_eq!(parse(v6).unwrap().client.as_deref(), Some(&b"2400:cb00:0000:0000:0000:0000:0000:0001"[..]));
    }

    #[test]
    fn other_messages_are_not_taken() {
        assert!(parse(b"usb 1-1: new high-speed USB device").is_none());
        assert!(parse(b"IN=eth0 SRC=192.0.2.1 PROTO=TCP").is_none(), "no OUT=");
        assert!(parse(b"IN=eth0 OUT= SRC=nobody PROTO=TCP").is_none());
    }
}
