//! The fields after the size: bare, quoted or bracketed, with or without a name.

use crate::fields::text::closing_token_quote;
use memchr::{memchr, memchr2, memchr3};

/// How a field is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Up to the next space.
    #[default]
    Bare,
    /// `"..."`.
    Quoted,
    /// `[...]`.
    Bracketed,
}

/// One field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Token<'a> {
    /// How it is written.
    pub kind: Kind,
    /// Name in `name=value`.
    pub key: Option<&'a [u8]>,
    /// Without quotes or brackets.
    pub value: &'a [u8],
}

/// Most fields that are looked at; what follows is left unread.
pub const MAX: usize = 32;

/// The fields of one line, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    items: [Token<'a>; MAX],
    len: usize,
}

impl<'a> Tokens<'a> {
    /// Cuts the rest of a line into fields.
    pub fn read(text: &'a [u8]) -> Self {
        let mut tokens = Self { items: [Token::default(); MAX], len: 0 };
        let mut rest = text.trim_ascii();
        while !rest.is_empty() {
            let (token, after) = next(rest);
            rest = after.trim_ascii_start();
            let Some(slot) = tokens.items.get_mut(tokens.len) else { break };
            *slot = token;
            tokens.len += 1;
        }
        tokens
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &Token<'a>> {
        self.items.iter().take(self.len)
    }

    /// Hash of kinds and names, not of values: equal for all lines of one `log_format`.
    pub fn signature(&self) -> u64 {
        let mut signature = Signature::default();
        self.iter().for_each(|token| signature.add(token));
        signature.value()
    }
}

/// [`Tokens::signature`] while fields are read one by one.
#[derive(Clone, Copy, Debug)]
pub struct Signature(u64);

impl Default for Signature {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Signature {
    /// Adds the next field.
    pub fn add(&mut self, token: &Token<'_>) {
        let mut add = |b: u8| self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        add(token.kind as u8);
        for &b in token.key.unwrap_or_default() {
            add(b);
        }
    }

    /// The hash.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// The first field of a text that is not empty, and what follows it.
pub fn next(text: &[u8]) -> (Token<'_>, &[u8]) {
    match text.first() {
        Some(b'"') => quoted(text, None),
        Some(b'[') => match memchr(b']', text) {
            Some(end) => {
                let token = Token { kind: Kind::Bracketed, key: None, value: text.get(1..end).unwrap_or_default() };
                (token, text.get(end + 1..).unwrap_or_default())
            }
            None => bare(text, None),
        },
        _ => match memchr3(b' ', b'\t', b'=', text) {
            Some(at) if text.get(at) == Some(&b'=') && is_key(text.get(..at).unwrap_or_default()) => {
                let key = text.get(..at);
                let value = text.get(at + 1..).unwrap_or_default();
                if value.first() == Some(&b'"') { quoted(value, key) } else { bare(value, key) }
            }
            _ => bare(text, None),
        },
    }
}

pub(super) fn is_key(text: &[u8]) -> bool {
    (1..=32).contains(&text.len()) && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

pub(super) fn quoted<'a>(text: &'a [u8], key: Option<&'a [u8]>) -> (Token<'a>, &'a [u8]) {
    match closing_token_quote(text, 1) {
        Some(end) => {
            (Token { kind: Kind::Quoted, key, value: text.get(1..end).unwrap_or_default() }, text.get(end + 1..).unwrap_or_default())
        }
        // A line that was cut inside the quotes.
        None => (Token { kind: Kind::Quoted, key, value: text.get(1..).unwrap_or_default() }, b""),
    }
}

/// Up to the next space, but an nginx list (`0.1, 0.2 : 0.3`) is one field.
fn bare<'a>(text: &'a [u8], key: Option<&'a [u8]>) -> (Token<'a>, &'a [u8]) {
    let mut end = 0;
    loop {
        let word = text.get(end..).unwrap_or_default();
        end += memchr2(b' ', b'\t', word).unwrap_or(word.len());
        let rest = text.get(end..).unwrap_or_default();
        let goes_on = text.get(..end).is_some_and(|t| t.ends_with(b",") || t.ends_with(b" :")) || rest.starts_with(b" : ");
        if !goes_on || rest.len() < 2 {
            break;
        }
        end += 1;
    }
    (Token { kind: Kind::Bare, key, value: text.get(..end).unwrap_or_default() }, text.get(end..).unwrap_or_default())
}
