//! Where in the configuration something stands: line and column for messages.

use crate::values::fail_on;
use toml::de::{DeTable, DeValue};

/// The file as a tree that knows its places.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t str,
    table: Option<DeTable<'t>>,
}

/// A step on the way to a value.
type Path<'p> = &'p [&'p str];

impl<'t> Places<'t> {
    /// For a text that has been read already.
    pub fn new(text: &'t str) -> Self {
        Self { text, table: DeTable::parse(text).ok().map(toml::Spanned::into_inner) }
    }

    /// `line 2, column 3: `.
    pub fn name(text: &str, at: usize) -> String {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("line {line}, column {column}: ")
    }

    /// A message about a key.
    pub fn key(&self, path: Path<'_>, what: &str) -> String {
        self.place(path, true).map_or_else(|| what.to_owned(), |at| format!("{}{what}", Self::name(self.text, at)))
    }

    /// A message about a value.
    pub fn value(&self, path: Path<'_>, what: &str) -> String {
        self.place(path, false).map_or_else(|| what.to_owned(), |at| format!("{}{what}", Self::name(self.text, at)))
    }

    /// Byte where the key or value of a path begins; a number is an index into a list.
    fn place(&self, path: Path<'_>, of_key: bool) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let entry = |table: &DeTable<'t>, name: &str| {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            Some((key.span().start, value.clone()))
        };
        let (mut key, mut value) = entry(self.table.as_ref()?, first)?;
        for step in rest {
            match value.get_ref() {
                DeValue::Table(table) => (key, value) = entry(table, step)?,
                DeValue::Array(list) => {
                    let item = list.get(step.parse::<usize>().ok()?)?.clone();
                    (key, value) = (item.span().start, item);
                }
                _ => return None,
            }
        }
        Some(if of_key { key } else { value.span().start })
    }
}

/// `; did you mean ...` for a message that lists the names there are.
pub fn suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next().filter(|_| message.starts_with("unknown field")).unwrap_or_default();
    fail_on::nearest_of(wrong, names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
