//! JSON that is safe to show in a terminal and to embed in a page: what could act is written as `\uXXXX`,
//! which every parser turns back.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// Wraps a formatter.
struct Safe<F>(F);

/// One line.
pub fn line<T: Serialize + ?Sized>(value: &T, out: &mut dyn Write) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Safe(CompactFormatter)))
}

/// Indented.
pub fn pretty<T: Serialize + ?Sized>(value: &T, out: &mut dyn Write) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Safe(PrettyFormatter::new())))
}

/// Control, direction and line marks; `<` and `&` for HTML; U+2028 and U+2029 for JavaScript.
fn acts(c: char) -> bool {
    matches!(
        c,
        '<' | '>' | '&' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W, $($arg: $type),*) -> io::Result<()> {
            self.0.$name(writer, $($arg),*)
        })*
    };
}

impl<F: Formatter> Formatter for Safe<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(acts) {
            let (clean, tail) = rest.split_at(at);
            self.0.write_string_fragment(writer, clean)?;
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                // All of these lie in the basic plane: one unit each.
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }

    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back_and_cannot_act(text in any::<String>()) {
            let text = format!("{text}</script>\u{202e}\u{9b}\u{2028}");
            let mut out = Vec::new();
            line(&text, &mut out).unwrap();
            let json = String::from_utf8(out).unwrap();
            prop_assert!(!json.contains(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
