//! The same requests as Apache would log them, for the parser benches.

use super::row::Row;
use super::text::{Clock, Text, utc};
use super::{Plan, origin_rows};
use std::ops::Range;

/// `vhost_combined` with the ray behind it.
pub fn access(plan: &Plan, rows: Range<u64>) -> Vec<u8> {
    let mut out = Text::default();
    let mut clock = Clock::default();
    origin_rows(plan, rows, |row| {
        clock.set(row.start_ns);
        out.s(row.host).s(":443 ");
        row.write_visitor(&mut out);
        out.s(" - - [").s(&clock.access).s("] \"").s(row.method).s(" ").s(&row.uri.bytes).s(" HTTP/1.1\" ").n(row.logged_status);
        out.s(" ").n(row.body + 300).s(" \"").s(if row.referrer.is_empty() { "-" } else { row.referrer });
        out.s("\" \"").s(row.agent.text).s("\" ").hex(row.ray, 16).s("-").s(row.colo.code).s("\n");
    });
    out.bytes
}

/// A warning of PHP behind mod_proxy_fcgi, in the default layout of a threaded Apache.
pub fn error(plan: &Plan, rows: Range<u64>) -> Vec<u8> {
    let mut out = Text::default();
    origin_rows(plan, rows, |row| write_error(row, &mut out));
    out.bytes
}

fn write_error(row: &Row, out: &mut Text) {
    let stamp = utc(row.start_ns).format("%a %b %d %H:%M:%S%.6f %Y").to_string();
    out.s("[")
        .s(stamp)
        .s("] [proxy_fcgi:error] [pid ")
        .n(14_461 + row.number % 8)
        .s(":tid ")
        .n(140_156_278_736_640 + row.number % 64 * 8_192);
    out.s("] [client ");
    row.write_visitor(out);
    out.s(":").n(1_024 + row.ray % 60_000).s("] AH01071: Got error 'PHP message: PHP Warning:  Undefined array key ").n(row.number % 4_000);
    out.s(" in /var/www/shop/lib/catalog.php on line 4'");
    if !row.referrer.is_empty() {
        out.s(", referer: ").s(row.referrer);
    }
    out.s("\n");
}
