//! Apache httpd: one directive a line, sections between `<Name ...>` and `</Name>`, a backslash at the end of a
//! line goes on (server/config.c, server/util.c ap_getword_conf @f45abec1). `${VAR}` stays as it is: the reader,
//! which sees `Define` in order, replaces it.

use super::{ARGS, Blocks, DEPTH, Parsed};
use cfray_model::serverconf::Directive;

/// Longest line with its continuations, in bytes (Apache itself takes 16 MB; nothing real comes near this).
const LONGEST: usize = 1 << 20;

/// Parses a file.
pub fn parse(text: &[u8], file: u32, line: u32) -> Parsed {
    let mut out = Parsed::default();
    let mut blocks = Blocks::new();
    // Sections that are open inside one nested too deep.
    let mut skipped = 0usize;
    let mut lines = text.split(|b| *b == b'\n').zip(line..).peekable();
    while let Some((first, at)) = lines.next() {
        let mut whole: Vec<u8> = trim_cr(first).to_vec();
        while whole.last() == Some(&b'\\') && lines.peek().is_some() && whole.len() < LONGEST {
            whole.pop();
            if let Some((next, _)) = lines.next() {
                whole.extend_from_slice(trim_cr(next));
            }
        }
        let text = whole.trim_ascii();
        if text.is_empty() || text.first() == Some(&b'#') {
            continue;
        }
        if let Some(close) = text.strip_prefix(b"</") {
            let name = String::from_utf8_lossy(close.trim_ascii_end().strip_suffix(b">").unwrap_or(close)).trim().to_owned();
            if skipped > 0 {
                skipped -= 1;
            } else {
                shut(&mut blocks, &mut out, &name, at);
            }
            continue;
        }
        if let Some(open) = text.strip_prefix(b"<") {
            if skipped > 0 || blocks.open.len() >= DEPTH {
                if skipped == 0 {
                    out.problem(at, format!("sections nested more than {DEPTH} deep are not read"));
                }
                skipped += 1;
                continue;
            }
            if open.last() != Some(&b'>') {
                out.problem(at, "the section's line does not end with `>`");
            }
            let mut words = words(open.strip_suffix(b">").unwrap_or(open), at, &mut out);
            if words.is_empty() {
                out.problem(at, "a section without a name");
                skipped += 1;
                continue;
            }
            if !out.room(at) {
                break;
            }
            let name = words.remove(0);
            blocks.open.push(Directive { name, args: words, file, line: at, block: Some(Vec::new()) });
            continue;
        }
        if skipped > 0 {
            continue;
        }
        let mut words = words(text, at, &mut out);
        if words.is_empty() {
            continue;
        }
        if !out.room(at) {
            break;
        }
        let name = words.remove(0);
        blocks.push(Directive { name, args: words, file, line: at, block: None });
    }
    while let Some(open) = blocks.open.last() {
        out.problem(open.line, format!("<{}> is not closed", open.name));
        blocks.close();
    }
    out.directives = blocks.out;
    out
}

/// Closes the section of a name; those inside it that were left open are named.
fn shut(blocks: &mut Blocks, out: &mut Parsed, name: &str, at: u32) {
    if !blocks.open.iter().any(|d| d.is(name)) {
        return out.problem(at, format!("</{name}> closes nothing"));
    }
    while let Some(open) = blocks.open.last() {
        let found = open.is(name);
        if !found {
            out.problem(open.line, format!("<{}> is not closed before </{name}>", open.name));
        }
        blocks.close();
        if found {
            return;
        }
    }
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Words of a line; inside quotes a backslash before the quote or a backslash is undone.
fn words(text: &[u8], line: u32, out: &mut Parsed) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_ascii();
    while let Some(&first) = rest.first() {
        if words.len() > ARGS {
            out.problem(line, format!("more than {ARGS} arguments: the rest of them is not read"));
            break;
        }
        if !matches!(first, b'"' | b'\'') {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            words.push(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned());
            rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
            continue;
        }
        let (mut word, mut at, mut closed) = (Vec::new(), 1, false);
        while let Some(&byte) = rest.get(at) {
            at += 1;
            match (byte, rest.get(at).copied()) {
                (b'\\', Some(next)) if next == first || next == b'\\' => {
                    word.push(next);
                    at += 1;
                }
                _ if byte == first => {
                    closed = true;
                    break;
                }
                _ => word.push(byte),
            }
        }
        if !closed {
            out.problem(line, "a quote is not closed; it is taken to end with its line");
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
        rest = rest.get(at..).unwrap_or_default().trim_ascii_start();
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_quotes_and_sections() {
        let text = b"# c\nServerRoot \"/etc/apache2\"\nLogFormat \"%h \\\"%r\\\" %>s\" \\\n  combined\r\n<VirtualHost *:443>\n  <IfModule !mod_x.c>\n    SSLVerifyClient require\n  </IfModule>\n</VirtualHost>\n";
        let p = parse(text, 3, 1);
        assert_eq!(p.problems, []);
        assert_eq!(p.directives[1].args, ["%h \"%r\" %>s", "combined"]);
        assert_eq!((p.directives[1].line, p.directives[1].file), (3, 3));
        let host = &p.directives[2];
        assert_eq!((host.name.as_str(), host.arg(), host.line), ("VirtualHost", "*:443", 5));
        assert_eq!(host.inside()[0].arg(), "!mod_x.c");
        assert_eq!(host.inside()[0].inside()[0].line, 7);
    }

    #[test]
    fn mistakes_are_named_by_line_and_the_rest_is_read() {
        for (text, line, words) in [
            ("<VirtualHost *:80>\nA 1\n", 1, "not closed"),
            ("A 1\n</Directory>\nB 2\n", 2, "closes nothing"),
            ("<Location /a>\n<Limit GET>\n</Location>\nB 2\n", 2, "not closed before"),
            ("A \"x\nB 2\n", 1, "quote"),
            ("<Location /a\nB 2\n</Location>\n", 1, "`>`"),
            ("<>\nB 2\n</x>\nB 2\n", 1, "without a name"),
        ] {
            let p = parse(text.as_bytes(), 0, 1);
            assert!(p.problems.iter().any(|x| x.0 == line && x.1.contains(words)), "{text}: {:?}", p.problems);
            assert!(!p.directives.is_empty(), "{text}");
        }
        let deep = parse("<a>\n".repeat(1_000_000).as_bytes(), 0, 1);
        assert!(deep.problems.len() <= super::super::PROBLEMS + 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes, 0, 1);
        }

        #[test]
        fn any_punctuation(text in "[a<>/\"'\\\\ #\n]{0,200}") {
            let _ = parse(text.as_bytes(), 0, 1);
        }
    }
}
