//! nginx: words, quotes and blocks as `ngx_conf_read_token` (src/core/ngx_conf_file.c @3f6f782) cuts them.

use super::{ARGS, Blocks, DEPTH, Parsed};
use cfray_model::serverconf::Directive;

/// Directives that are read for the audit and take few arguments: one with more of them, on a later line,
/// lacks its semicolon.
const MOST_ARGS: &[(&str, usize)] = &[
    ("client_body_timeout", 1),
    ("client_header_buffer_size", 1),
    ("client_header_timeout", 1),
    ("fastcgi_buffer_size", 1),
    ("http2", 1),
    ("http2_max_concurrent_streams", 1),
    ("http2_max_field_size", 1),
    ("http2_max_header_size", 1),
    ("include", 1),
    ("keepalive_requests", 1),
    ("keepalive_timeout", 2),
    ("large_client_header_buffers", 2),
    ("limit_conn_status", 1),
    ("limit_req_status", 1),
    ("proxy_buffer_size", 1),
    ("real_ip_header", 1),
    ("return", 2),
    ("set_real_ip_from", 1),
    ("ssl_client_certificate", 1),
    ("ssl_verify_client", 1),
    ("worker_connections", 1),
    ("worker_processes", 1),
];

/// A word of a directive and its line.
type Word = (String, u32);

/// Parses a file.
pub fn parse(text: &[u8], file: u32, line: u32) -> Parsed {
    let mut reader = Reader { text, at: 0, line, out: Parsed::default(), blocks: Blocks::new(), file, skipped: 0, misses: 0 };
    reader.run();
    let mut out = reader.out;
    while let Some(open) = reader.blocks.open.last() {
        out.problem(open.line, format!("the block of `{}` is not closed", open.name));
        reader.blocks.close();
    }
    out.directives = reader.blocks.out;
    out
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    out: Parsed,
    blocks: Blocks,
    file: u32,
    /// Blocks that are open inside one that is not read: too deep or without a name.
    skipped: usize,
    /// Searches to the end of the file that found nothing.
    misses: usize,
}

/// So many of those are made.
const MISSES: usize = 16;

/// What ends a directive or stands alone.
enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
}

impl Reader<'_> {
    fn run(&mut self) {
        let mut words: Vec<Word> = Vec::new();
        let mut dropped = false;
        while let Some((token, line)) = self.token() {
            match token {
                Token::Word(word) if words.len() <= ARGS => words.push((word, line)),
                Token::Word(_) => dropped = true,
                Token::Semicolon => {
                    if words.is_empty() {
                        self.out.problem(line, "unexpected `;`");
                    } else if dropped {
                        self.out.problem(line, format!("more than {ARGS} arguments: the rest of them is not read"));
                    }
                    if !self.directive(std::mem::take(&mut words)) {
                        return;
                    }
                    dropped = false;
                }
                Token::Open => {
                    if !self.open(std::mem::take(&mut words), line) {
                        return;
                    }
                    dropped = false;
                }
                Token::Close => {
                    if let Some((name, at)) = words.first() {
                        self.out.problem(*at, format!("`{name}` does not end with `;`"));
                        if !self.directive(std::mem::take(&mut words)) {
                            return;
                        }
                    }
                    if self.skipped > 0 {
                        self.skipped -= 1;
                    } else if !self.blocks.close() {
                        self.out.problem(line, "unexpected `}`");
                    }
                }
            }
        }
        if let Some((name, at)) = words.first() {
            self.out.problem(*at, format!("`{name}` does not end with `;`"));
            self.directive(words);
        }
    }

    /// Keeps a directive; false when no more are read.
    fn directive(&mut self, mut words: Vec<Word>) -> bool {
        while let Some((name, line)) = words.first().cloned() {
            if self.skipped > 0 {
                return true;
            }
            if !self.out.room(line) {
                return false;
            }
            let most = MOST_ARGS.iter().find(|(n, _)| *n == name).map(|(_, most)| *most);
            let broken = most.filter(|most| words.len() > most + 1).and_then(|_| words.iter().position(|w| w.1 > line));
            let rest = broken.map(|at| words.split_off(at)).unwrap_or_default();
            if !rest.is_empty() {
                self.out.problem(line, format!("`{name}` does not end with `;`"));
            }
            let args = words.into_iter().skip(1).map(|w| w.0).collect();
            self.blocks.push(Directive { name, args, file: self.file, line, block: None });
            words = rest;
        }
        true
    }

    fn open(&mut self, mut words: Vec<Word>, line: u32) -> bool {
        let Some((name, at)) = words.first().cloned() else {
            self.out.problem(line, "a block without a name is not read");
            self.skipped += 1;
            return true;
        };
        if self.skipped > 0 || self.blocks.open.len() >= DEPTH {
            if self.skipped == 0 {
                self.out.problem(at, format!("blocks nested more than {DEPTH} deep: `{name}` is not read"));
            }
            self.skipped += 1;
            return true;
        }
        // `listen 80` without its semicolon swallows the block that follows.
        if MOST_ARGS.iter().any(|(n, most)| *n == name && words.len() > most + 1)
            && let Some(next) = words.iter().position(|w| w.1 > at)
        {
            let rest = words.split_off(next);
            self.out.problem(at, format!("`{name}` does not end with `;`"));
            return self.directive(words) && self.open(rest, line);
        }
        if name.ends_with("_by_lua_block") {
            return self.lua(&name, at);
        }
        if !self.out.room(at) {
            return false;
        }
        let args = words.drain(1..).map(|w| w.0).collect();
        self.blocks.open.push(Directive { name, args, file: self.file, line: at, block: Some(Vec::new()) });
        true
    }

    /// Lua between braces: passed over by its own strings and comments, never kept.
    fn lua(&mut self, name: &str, at: u32) -> bool {
        let (start, start_line) = (self.at, self.line);
        let mut depth = 1usize;
        while let Some(&byte) = self.text.get(self.at).filter(|_| self.misses <= MISSES) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b'"' | b'\'' => self.lua_string(byte),
                b'-' if self.rest().starts_with(b"--") => {
                    self.at += 2;
                    if !self.lua_long() {
                        self.skip_line();
                        continue;
                    }
                }
                b'[' if self.lua_long() => {}
                b'\n' => self.line += 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return true;
            }
        }
        self.misses += 1;
        // Not closed by Lua's rules: the first line that begins with a brace ends it.
        self.out.problem(at, format!("the Lua of `{name}` is not closed; it is passed over up to the next `}}` at the start of a line"));
        (self.at, self.line) = (start, start_line);
        while self.at < self.text.len() {
            self.skip_line();
            self.at += 1;
            self.line += 1;
            let rest = self.rest().trim_ascii_start();
            if rest.first() == Some(&b'}') {
                self.at = self.text.len() - rest.len() + 1;
                return true;
            }
        }
        true
    }

    fn lua_string(&mut self, quote: u8) {
        while let Some(&byte) = self.text.get(self.at + 1) {
            match byte {
                b'\\' => self.at += 1,
                b'\n' => return,
                _ => {}
            }
            self.at += 1;
            if byte == quote {
                return;
            }
        }
    }

    /// `[[ ... ]]` or `[==[ ... ]==]`: ends on its last bracket.
    fn lua_long(&mut self) -> bool {
        let rest = self.rest();
        let level = rest.iter().skip(1).take_while(|b| **b == b'=').take(64).count();
        if rest.first() != Some(&b'[') || rest.get(level + 1) != Some(&b'[') {
            return false;
        }
        let close: Vec<u8> = std::iter::once(b']').chain(std::iter::repeat_n(b'=', level)).chain([b']']).collect();
        // Each miss reads to the end of the file: a few are enough to know a hostile one.
        if self.misses > MISSES {
            return false;
        }
        let Some(end) = memchr::memmem::find(rest, &close) else {
            self.misses += 1;
            return false;
        };
        self.line += u32::try_from(memchr::memchr_iter(b'\n', rest.get(..end).unwrap_or_default()).count()).unwrap_or(0);
        self.at += end + close.len() - 1;
        true
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_line(&mut self) {
        self.at = memchr::memchr(b'\n', self.rest()).map_or(self.text.len(), |n| self.at + n);
    }

    /// The next token and the line it begins on.
    fn token(&mut self) -> Option<(Token, u32)> {
        loop {
            let byte = *self.text.get(self.at)?;
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.skip_line(),
                _ => break,
            }
        }
        let line = self.line;
        let byte = *self.text.get(self.at)?;
        let alone = match byte {
            b';' => Some(Token::Semicolon),
            b'{' => Some(Token::Open),
            b'}' => Some(Token::Close),
            _ => None,
        };
        if let Some(token) = alone {
            self.at += 1;
            return Some((token, line));
        }
        if matches!(byte, b'"' | b'\'') {
            return Some((Token::Word(self.quoted(byte)), line));
        }
        Some((Token::Word(self.bare()), line))
    }

    fn quoted(&mut self, quote: u8) -> String {
        let (start, start_line) = (self.at, self.line);
        let mut word = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => match self.text.get(self.at).copied() {
                    Some(next @ (b'"' | b'\'' | b'\\')) => {
                        word.push(next);
                        self.at += 1;
                    }
                    Some(b't') => self.escape(&mut word, b'\t'),
                    Some(b'r') => self.escape(&mut word, b'\r'),
                    Some(b'n') => self.escape(&mut word, b'\n'),
                    _ => word.push(b'\\'),
                },
                b'\n' => {
                    self.line += 1;
                    word.push(byte);
                }
                b if b == quote => return String::from_utf8_lossy(&word).into_owned(),
                b => word.push(b),
            }
        }
        self.out.problem(start_line, format!("a quote ({}) is not closed; it is taken to end with its line", quote as char));
        (self.at, self.line) = (start + 1, start_line);
        let from = self.at;
        self.skip_line();
        let whole = self.text.get(from..self.at).unwrap_or_default().trim_ascii_end();
        let inner = whole.strip_suffix(b";").unwrap_or(whole);
        // The semicolon, if there is one, still ends the directive.
        if inner.len() < whole.len() {
            self.at = from + inner.len();
        }
        String::from_utf8_lossy(inner).into_owned()
    }

    fn escape(&mut self, word: &mut Vec<u8>, byte: u8) {
        word.push(byte);
        self.at += 1;
    }

    fn bare(&mut self) -> String {
        let mut word = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => break,
                b'{' if word.last() != Some(&b'$') => break,
                b'\\' => {
                    // Kept: in a bare word it belongs to a regular expression.
                    word.push(byte);
                    self.at += 1;
                    if let Some(&next) = self.text.get(self.at).filter(|b| **b != b'\n') {
                        word.push(next);
                        self.at += 1;
                    }
                    continue;
                }
                _ => word.push(byte),
            }
            self.at += 1;
        }
        String::from_utf8_lossy(&word).into_owned()
    }
}

/// One file of `nginx -T`: the path it had, its text, and the dump's line on which that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Path on the server.
    pub path: String,
    /// Content.
    pub text: &'a [u8],
    /// Line of the dump.
    pub line: u32,
}

const MARK: &[u8] = b"# configuration file ";

/// The files of an `nginx -T` dump, in its order; empty when it is none. What stands before the first marker
/// (`nginx: the configuration file ... syntax is ok`) is passed over.
pub fn dump(text: &[u8]) -> Vec<Section<'_>> {
    let mut out: Vec<Section<'_>> = Vec::new();
    let (mut at, mut line) = (0usize, 0u32);
    let mut start = 0usize;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        line += 1;
        let this = rest.get(..end).unwrap_or_default();
        let path = this.strip_prefix(MARK).map(<[u8]>::trim_ascii_end).and_then(|p| p.strip_suffix(b":"));
        if let Some(path) = path.filter(|p| p.first() == Some(&b'/')) {
            if let Some(last) = out.last_mut() {
                last.text = text.get(start..at).unwrap_or_default();
            }
            out.push(Section { path: String::from_utf8_lossy(path).into_owned(), text: b"", line: line + 1 });
            start = at + end;
        }
        at += end;
    }
    if let Some(last) = out.last_mut() {
        last.text = text.get(start..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(list: &[Directive]) -> String {
        list.iter()
            .map(|d| {
                let block = d.block.as_ref().map_or(String::new(), |b| format!(" {{{}}}", show(b)));
                format!("{}:{}({}){block}", d.line, d.name, d.args.join("|"))
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn parsed(text: &str) -> (String, Vec<(u32, String)>) {
        let p = parse(text.as_bytes(), 0, 1);
        (show(&p.directives), p.problems)
    }

    #[test]
    fn words_quotes_and_blocks() {
        let text = "user www-data; # a { comment\nhttp {\n  log_format x escape=json '$a \"q\" '\n    \"b\\\"c\";\n  server{listen 80;\n\
                    if ($host ~* \"a{2}b;\") { return 444; }\n location ~ \\.php$ { try_files ${uri} =404; } } }\n";
        let (got, problems) = parsed(text);
        assert_eq!(
            got,
            "1:user(www-data) 2:http() {3:log_format(x|escape=json|$a \"q\" |b\"c) 5:server() {5:listen(80) \
             6:if(($host|~*|a{2}b;|)) {6:return(444)} 7:location(~|\\.php$) {7:try_files(${uri}|=404)}}}",
            "{problems:?}"
        );
    }

    #[test]
    fn mistakes_are_named_by_line_and_the_rest_is_read() {
        for (text, line, words, kept) in [
            ("keepalive_timeout 65\nserver_tokens off;\n", 1, "does not end with `;`", "2:server_tokens(off)"),
            ("http {\n keepalive_timeout 65;\n", 1, "not closed", "2:keepalive_timeout(65)"),
            ("a 1;\n}\nb 2;\n", 2, "unexpected `}`", "3:b(2)"),
            ("a 1;;\nb 2;\n", 1, "unexpected `;`", "2:b(2)"),
            ("a \"open;\nb 2;\n", 1, "is not closed", "2:b(2)"),
            ("{ a 1; }\nb 2;\n", 1, "without a name", "2:b(2)"),
            ("server { return 444\n}\nb 2;\n", 1, "`return` does not end", "1:return(444)"),
        ] {
            let (got, problems) = parsed(text);
            assert!(problems.iter().any(|p| p.0 == line && p.1.contains(words)), "{text}: {problems:?}");
            assert!(got.contains(kept), "{text}: {got}");
        }
    }

    #[test]
    fn lua_is_passed_over() {
        let lua = "access_by_lua_block {\n local s = '}' -- }\n --[[ } ]] local t = { a = \"}\\\"}\" }\n local u = [==[ }}} ]==]\n}\nreturn 444;\n";
        let (got, problems) = parsed(lua);
        assert_eq!((got.as_str(), problems.len()), ("6:return(444)", 0));
        let (got, problems) = parsed("content_by_lua_block {\n if { x\n}\nreturn 444;\n");
        assert!(got.contains("4:return(444)") && problems[0].0 == 1, "{got} {problems:?}");
    }

    #[test]
    fn depth_and_counts_are_capped() {
        let deep = parse("a {".repeat(1_000_000).as_bytes(), 0, 1);
        assert!(deep.problems.len() <= super::super::PROBLEMS + 1);
        let bare = parse("{".repeat(1_000_000).as_bytes(), 0, 1);
        assert!(bare.directives.is_empty() && bare.problems.len() == super::super::PROBLEMS + 1);
        let many = parse("a;\n".repeat(300_000).as_bytes(), 0, 1);
        assert_eq!(many.directives.len(), super::super::DIRECTIVES);
        assert!(many.problems[0].1.contains("directives"));
    }

    #[test]
    fn a_dump_falls_into_its_files() {
        let text = b"nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n# configuration file /etc/nginx/nginx.conf:\nevents {}\n\n# configuration file /etc/nginx/conf.d/a.conf:\nserver {}\n";
        let sections = dump(text);
        let got: Vec<_> = sections.iter().map(|s| (s.path.as_str(), s.line)).collect();
        assert_eq!(got, [("/etc/nginx/nginx.conf", 3), ("/etc/nginx/conf.d/a.conf", 6)]);
        assert_eq!(sections[1].text, b"server {}\n");
        assert!(dump(b"events {}\n").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let p = parse(&bytes, 0, 1);
            let lines = bytes.iter().filter(|b| **b == b'\n').count() as u32 + 1;
            for (line, _) in p.problems {
                proptest::prop_assert!(line >= 1 && line <= lines);
            }
        }

        #[test]
        fn any_punctuation(text in "[ab{};\"'#\\\\$ \n\\[\\]=-]{0,200}|(content_by_lua_block \\{[-\\[\\]={}'\n]{0,40})") {
            let _ = parse(text.as_bytes(), 0, 1);
        }
    }
}
