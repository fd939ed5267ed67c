//! PHP-FPM: an ini file with `[global]` and one section a pool (sapi/fpm/fpm/fpm_conf.c). A section becomes a
//! block named `pool`, `global` included; `include` stays in the section where it stands.

use super::{Blocks, Parsed};
use cfray_model::serverconf::Directive;

/// Name given to the blocks of sections.
pub const POOL: &str = "pool";

/// Parses a file.
pub fn parse(text: &[u8], file: u32, line: u32) -> Parsed {
    let mut out = Parsed::default();
    let mut blocks = Blocks::new();
    for (raw, at) in text.split(|b| *b == b'\n').zip(line..) {
        let text = raw.trim_ascii();
        if text.is_empty() || matches!(text.first(), Some(b';' | b'#')) {
            continue;
        }
        if let Some(rest) = text.strip_prefix(b"[") {
            let Some(end) = memchr::memchr(b']', rest) else {
                out.problem(at, "the section's name does not end with `]`");
                continue;
            };
            if !out.room(at) {
                break;
            }
            blocks.close();
            let name = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).trim().to_owned();
            blocks.open.push(Directive { name: POOL.to_owned(), args: vec![name], file, line: at, block: Some(Vec::new()) });
            continue;
        }
        let Some(equals) = memchr::memchr(b'=', text) else {
            out.problem(at, "no `=` in this line");
            continue;
        };
        let name = String::from_utf8_lossy(text.get(..equals).unwrap_or_default()).trim().to_owned();
        if name.is_empty() || name.contains(char::is_whitespace) {
            out.problem(at, "no name before `=`");
            continue;
        }
        if !out.room(at) {
            break;
        }
        let value = value(text.get(equals + 1..).unwrap_or_default(), at, &mut out);
        blocks.push(Directive { name, args: vec![value], file, line: at, block: None });
    }
    blocks.close();
    out.directives = blocks.out;
    out
}

/// A value without its quotes, and without a comment behind it.
fn value(text: &[u8], line: u32, out: &mut Parsed) -> String {
    let text = text.trim_ascii();
    let inner = match text.first() {
        Some(quote @ (b'"' | b'\'')) => match memchr::memchr(*quote, text.get(1..).unwrap_or_default()) {
            Some(end) => text.get(1..=end).unwrap_or_default(),
            None => {
                out.problem(line, "a quote is not closed; it is taken to end with its line");
                text.get(1..).unwrap_or_default()
            }
        },
        _ => text.split(|b| *b == b';').next().unwrap_or_default().trim_ascii(),
    };
    String::from_utf8_lossy(inner).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sections_and_values() {
        let text = b"; main\n[global]\npid = /run/php.pid\ninclude=/etc/php/8.2/fpm/pool.d/*.conf\n[www]\npm.max_children = 5 ; few\naccess.format = \"%R - %u; %s\"\nphp_admin_value[memory_limit] = 128M\n";
        let p = parse(text, 0, 1);
        assert_eq!(p.problems, []);
        assert_eq!(p.directives.len(), 2);
        let www = &p.directives[1];
        assert_eq!((www.name.as_str(), www.arg(), www.line), ("pool", "www", 5));
        let got: Vec<_> = www.inside().iter().map(|d| (d.name.as_str(), d.arg(), d.line)).collect();
        assert_eq!(got, [("pm.max_children", "5", 6), ("access.format", "%R - %u; %s", 7), ("php_admin_value[memory_limit]", "128M", 8)]);
    }

    #[test]
    fn mistakes_are_named_by_line_and_the_rest_is_read() {
        let p = parse(b"[www\npm static\n= 5\n[a]\npm = 'dynamic\npm.max_children = 9\n", 0, 1);
        let lines: Vec<u32> = p.problems.iter().map(|x| x.0).collect();
        assert_eq!(lines, [1, 2, 3, 5], "{:?}", p.problems);
        assert_eq!(p.directives[0].inside()[1].arg(), "9");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes, 0, 1);
        }
    }
}
