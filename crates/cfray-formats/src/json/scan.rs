//! A forgiving reader of one JSON object a line.
//!
//! Web servers write JSON by pasting variables between quotes, so it is often not quite JSON:
//! `"rt":,` where a variable was empty, `"st":009`, `"ut":0.010, 0.020`, `\x22` inside strings. All of
//! these are read. Objects inside the object give keys with dots; of an array the first value counts.

use crate::fields::text::{closing_quote, unescape_json};
use std::borrow::Cow;

/// A value as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Inside of a string, still escaped.
    Text(&'a [u8]),
    /// Number, word, or what should have been one; empty when missing.
    Bare(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value without escapes; `null` is empty.
    pub fn plain(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(text) => unescape_json(text),
            Self::Bare(b"null") => Cow::Borrowed(b""),
            Self::Bare(text) => Cow::Borrowed(text),
        }
    }

    /// The bytes as they stand.
    pub const fn raw(self) -> &'a [u8] {
        match self {
            Self::Text(text) | Self::Bare(text) => text,
        }
    }
}

/// Deepest nesting that is followed.
const DEPTH: usize = 8;

/// Most unescaped quotes inside one value that are passed over in the search for its end.
const RAW_QUOTES: usize = 64;

/// Start of the object in a line: at once, or after the `name | ` of a container's log.
pub fn object_start(line: &[u8]) -> Option<usize> {
    let start = memchr::memchr(b'{', line)?;
    let before = line.get(..start)?.trim_ascii();
    (before.is_empty() || before.ends_with(b"|")).then_some(start)
}

/// Calls `each` with the dotted key and the value of every scalar, in order.
/// The error is the byte at which the line stops being an object.
pub fn scan<'a>(line: &'a [u8], each: &mut dyn FnMut(&[u8], Value<'a>)) -> Result<(), usize> {
    let start = object_start(line).ok_or(0usize)?;
    let mut scanner = Scanner { text: line, at: start + 1, each };
    scanner.object(&mut Vec::new(), 0)?;
    scanner.spaces();
    if scanner.at < line.len() && scanner.peek() != Some(b',') { Err(scanner.at) } else { Ok(()) }
}

struct Scanner<'a, 'f> {
    text: &'a [u8],
    at: usize,
    each: &'f mut dyn FnMut(&[u8], Value<'a>),
}

impl<'a> Scanner<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    /// Everything after `{`.
    fn object(&mut self, path: &mut Vec<u8>, depth: usize) -> Result<(), usize> {
        loop {
            self.spaces();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(b'"') => {}
                _ => return Err(self.at),
            }
            let key_start = self.at + 1;
            let key_end = closing_quote(self.text, key_start).ok_or(self.at)?;
            self.at = key_end + 1;
            self.spaces();
            if self.peek() != Some(b':') {
                return Err(self.at);
            }
            self.at += 1;
            let key = self.slice(key_start, key_end);
            if path.is_empty() {
                self.value(Key::Plain(key), path, depth)?;
            } else {
                let before = path.len();
                path.push(b'.');
                path.extend_from_slice(key);
                self.value(Key::Path, path, depth)?;
                path.truncate(before);
            }
        }
    }

    fn value(&mut self, key: Key<'a>, path: &mut Vec<u8>, depth: usize) -> Result<(), usize> {
        self.spaces();
        match self.peek() {
            Some(b'{') => {
                if depth >= DEPTH {
                    return Err(self.at);
                }
                self.at += 1;
                let pushed = match key {
                    Key::Plain(key) => {
                        path.extend_from_slice(key);
                        true
                    }
                    Key::Path => false,
                };
                self.object(path, depth + 1)?;
                if pushed {
                    path.clear();
                }
                Ok(())
            }
            Some(b'[') => self.array(key, path, depth),
            Some(b'"') => {
                let text = self.string()?;
                self.emit(key, path, Value::Text(text));
                Ok(())
            }
            _ => {
                let text = self.bare();
                self.emit(key, path, Value::Bare(text));
                Ok(())
            }
        }
    }

    fn emit(&mut self, key: Key<'a>, path: &[u8], value: Value<'a>) {
        match key {
            Key::Plain(key) => (self.each)(key, value),
            Key::Path => (self.each)(path, value),
        }
    }

    fn array(&mut self, key: Key<'a>, path: &[u8], depth: usize) -> Result<(), usize> {
        self.at += 1;
        let mut first = true;
        loop {
            self.spaces();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => self.at += 1,
                Some(b'{' | b'[') => {
                    if depth >= DEPTH {
                        return Err(self.at);
                    }
                    // Arrays of objects do not describe a request: read past them.
                    let nested = self.peek() == Some(b'{');
                    let mut ignore = |_: &[u8], _: Value<'a>| {};
                    let mut inner = Scanner { text: self.text, at: self.at, each: &mut ignore };
                    let done = if nested {
                        inner.at += 1;
                        inner.object(&mut Vec::new(), depth + 1)
                    } else {
                        inner.array(Key::Plain(b""), b"", depth + 1)
                    };
                    self.at = inner.at;
                    done?;
                    first = false;
                }
                Some(_) => {
                    let value = if self.peek() == Some(b'"') { Value::Text(self.string()?) } else { Value::Bare(self.array_word()?) };
                    if first {
                        self.emit(key, path, value);
                    }
                    first = false;
                }
                None => return Err(self.at),
            }
        }
    }

    /// The inside of a string. A quote ends it if what follows can follow a value; with
    /// `escape=none` a value may hold quotes of its own.
    fn string(&mut self) -> Result<&'a [u8], usize> {
        let start = self.at + 1;
        let first = closing_quote(self.text, start).ok_or(self.at)?;
        let mut end = first;
        let mut tries = RAW_QUOTES;
        loop {
            let next = self.slice(end + 1, self.text.len()).iter().find(|b| !b.is_ascii_whitespace());
            if matches!(next, None | Some(b',' | b'}' | b']')) {
                break;
            }
            tries -= 1;
            match closing_quote(self.text, end + 1).filter(|_| tries > 0) {
                Some(quote) => end = quote,
                None => {
                    end = first;
                    break;
                }
            }
        }
        self.at = end + 1;
        Ok(self.slice(start, end))
    }

    /// Up to `}` or to a comma that a key follows: `0.010, 0.020` is one value.
    fn bare(&mut self) -> &'a [u8] {
        let start = self.at;
        while let Some(b) = self.peek() {
            let ends = match b {
                b'}' => true,
                b',' => {
                    let after = self.slice(self.at + 1, self.text.len()).iter().find(|b| !b.is_ascii_whitespace());
                    matches!(after, None | Some(b'"' | b'}' | b','))
                }
                _ => false,
            };
            if ends {
                break;
            }
            self.at += 1;
        }
        self.slice(start, self.at).trim_ascii()
    }

    fn array_word(&mut self) -> Result<&'a [u8], usize> {
        let start = self.at;
        while let Some(b) = self.peek() {
            if matches!(b, b',' | b']') {
                return Ok(self.slice(start, self.at).trim_ascii());
            }
            self.at += 1;
        }
        Err(self.at)
    }
}

/// A key of the outer object as it stands, or one that the path buffer holds.
#[derive(Clone, Copy)]
enum Key<'a> {
    Plain(&'a [u8]),
    Path,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn pairs(line: &str) -> Result<Vec<(String, String)>, usize> {
        let mut out = Vec::new();
        scan(line.as_bytes(), &mut |key, value| {
            out.push((String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(&value.plain()).into_owned()));
        })?;
        Ok(out)
    }

    fn want(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn repairs() {
        assert_eq!(
            pairs(r#"{"a":,"b":009,"c":0.010, 0.020 : 0.1,"d":-,"e":}"#).unwrap(),
            want(&[("a", ""), ("b", "009"), ("c", "0.010, 0.020 : 0.1"), ("d", "-"), ("e", "")])
        );
        assert_eq!(pairs(r#"{"a":"x"y", "b":"\x22\""}"#).unwrap(), want(&[("a", "x\"y"), ("b", "\\x22\"")]));
        assert_eq!(pairs(r#"app_1  | {"a":null,}"#).unwrap(), want(&[("a", "")]));
    }

    #[test]
    fn nesting() {
        assert_eq!(
            pairs(r#"{"a":{"b":{"c":1},"d":["x","y"]},"e":[{"f":1}],"g":[1,2],"h":true}"#).unwrap(),
            want(&[("a.b.c", "1"), ("a.d", "x"), ("g", "1"), ("h", "true")])
        );
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
        assert!(pairs(&deep).is_err());
    }

    #[test]
    fn not_objects() {
        for text in ["", "x", "[1]", r#"{"a":1"#, r#"{"a" 1}"#, r#"{"a":1} x"#, r#"GET {"a":1}"#] {
            assert!(pairs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_hostile_lines_take_linear_time() {
        for part in ["\"a\"b", "\"a\":1,", "\"a\":\"x\"y\" ,", ", ", "[[", "{\"a\":", "\\\""] {
            for start in ["{", "{\"k\":", "{\"k\":\"", "{\"k\":["] {
                let _ = scan(format!("{start}{}", part.repeat(150_000)).as_bytes(), &mut |_, _| {});
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100), json in "[{}\\[\\]\",:a1 \\\\]{0,60}") {
            let _ = scan(&bytes, &mut |_, _| {});
            let _ = pairs(&format!("{{{json}"));
        }

        #[test]
        fn valid_json_reads_as_serde_reads_it(map in proptest::collection::btree_map("[a-z]{1,6}", ".{0,12}", 0..6)) {
            let line = serde_json::to_string(&map).unwrap();
            let got = pairs(&line).unwrap();
            let want: Vec<(String, String)> = map.into_iter().collect();
            prop_assert_eq!(got, want);
        }
    }
}
