//! The bracketed details that ModSecurity 2 and 3 append to their message.

use cfray_model::Line;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Built once: for heads as short as these, building a searcher costs more than the search.
static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"ModSecurity: "));

/// Does the message come from ModSecurity?
pub fn is_modsec(message: &[u8]) -> bool {
    message.get(..message.len().min(80)).is_some_and(|head| NAME.find(head).is_some())
}

/// Value of `[key "value"]`, from the last place where it stands: `[data "..."]`, which quotes the
/// client, comes before `[hostname]`, `[uri]` and `[unique_id]`.
pub fn detail<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::rfind(message, key)?;
    let value = message.get(at + key.len()..)?;
    super::text::present(value.get(..memchr::memmem::find(value, b"\"]")?)?)
}

/// Fills host, path and unique id where the line itself does not say.
pub fn set<'a>(line: &mut Line<'a>, message: &'a [u8]) {
    if !is_modsec(message) {
        return;
    }
    if line.host.is_none() {
        line.host = detail(message, b"[hostname \"").map(Cow::Borrowed);
    }
    if line.uri.is_none() {
        line.uri = detail(message, b"[uri \"").map(Cow::Borrowed);
    }
    if line.log_id.is_none() {
        line.log_id = detail(message, b"[unique_id \"").map(Cow::Borrowed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn last_one_wins() {
        let text = br#"ModSecurity: Access denied [data "[uri "/forged"] x"] [hostname "h"] [uri "/real"] [unique_id "abc"]"#;
        assert_eq!(detail(text, b"[uri \"").unwrap(), b"/real");
        assert_eq!(detail(text, b"[unique_id \"").unwrap(), b"abc");
        assert_eq!(detail(b"[uri \"cut", b"[uri \""), None);
    }
}
