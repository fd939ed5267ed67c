//! Messages of several lines whose carrier gives each line a header or an entry of its own: tracebacks of Python, stack traces of PHP.
//!
//! The carrier says which lines one process wrote in a row; here it is looked at which of them are one message. Only what looks
//! like the inside of a trace goes on with it, and only under a message that opens one, so that nothing else is lost in it.

use crate::signatures::python;
use crate::{php_error, php_fpm};

/// Longer blocks are cut: no trace needs more lines, and each line is looked at with those before it.
pub(crate) const MAX_LINES: usize = 200;

/// Does `next` go on with the block that `first` opened? `so_far` gives all of its messages, joined by line breaks; it is asked for
/// only where that decides.
pub(crate) fn continues(first: &[u8], so_far: impl FnOnce() -> Option<Vec<u8>>, next: &[u8]) -> bool {
    if php_error::is_trace(next) && php_error::opens(first) {
        return true;
    }
    if let Some(same_child) = php_fpm::continues_output(first, next) {
        return same_child;
    }
    python::opens(first) && so_far().is_some_and(|text| python::continues(&text, next))
}

/// Does a message open a block?
pub(crate) fn opens(message: &[u8]) -> bool {
    php_error::opens(message) || php_fpm::is_output(message) || python::opens(message)
}

/// May a message stand inside a block, by how it opens? Cheap, and true of all for which [`continues`] is.
pub(crate) fn may_continue(message: &[u8]) -> bool {
    match message {
        [] | [b' ' | b'\t' | b'#' | b'"' | b'\\' | b'[', ..] => true,
        _ => TEXT.iter().any(|open| message.starts_with(open)) || named(message),
    }
}

/// What stands in a trace without an indent.
const TEXT: [&[u8]; 8] = [b"Stack trace:", b"thrown in ", b"PHP ", b"Traceback ", b"The above ", b"During ", b"WARNING:", b"NOTICE:"];

/// `KeyError: 'IN'`: a name without a space, to its colon or end.
fn named(message: &[u8]) -> bool {
    let end = message.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')));
    end.is_none_or(|at| at > 0 && matches!(message.get(at), Some(b':' | b'"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_on(block: &[&str], next: &str) -> bool {
        let first = block.first().copied().unwrap_or_default();
        continues(first.as_bytes(), || Some(block.join("\n").into_bytes()), next.as_bytes())
    }

    #[test]
    fn traces_of_php() {
        let fatal = "PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3";
        assert!(goes_on(&[fatal], "Stack trace:") && goes_on(&[fatal, "Stack trace:"], "#0 {main}"));
        assert!(goes_on(&[fatal, "#0 {main}"], "  thrown in /srv/x.php on line 3"));
        assert!(!goes_on(&[fatal], "GET /cart 500"), "another message");
        assert!(!goes_on(&["cart is empty"], "#0 {main}"), "under no fatal");
        let said = |pid: u32, text: &str| format!("[22-Nov-2026 12:24:07] WARNING: [pool www] child {pid} said into stderr: \"{text}\"");
        assert!(goes_on(&[&said(7, fatal)], &said(7, "#0 {main}")));
        assert!(!goes_on(&[&said(7, fatal)], &said(8, "#0 {main}")), "another child");
    }

    #[test]
    fn tracebacks_of_python() {
        let said = "[2026-11-22 12:24:07 +0000] [811] [ERROR] Error handling request /cart/7";
        let open = "Traceback (most recent call last):";
        assert!(goes_on(&[said], open));
        assert!(goes_on(&[said, open], "  File \"/srv/shop/views.py\", line 9, in cart"));
        assert!(!goes_on(&["started"], open));
    }
}
