//! What summaries need of a row: numbers instead of texts, so that millions of them fit.

use cfray_model::key::{path_shape, shape_key};
use cfray_model::report::Row;
use cfray_model::{Cause, RayId, Stamp, Text, Tie};
use foldhash::HashMap;

/// Number of a text in [`Names`].
pub type Name = u32;
/// The row has no such text.
pub const NONE: Name = u32::MAX;

/// A row in brief.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// `EdgeStartTimestamp`.
    pub start: Option<Stamp>,
    /// The end, else the start.
    pub end: Option<Stamp>,
    /// The ray.
    pub ray: Option<RayId>,
    /// The verdict's confidence.
    pub confidence: f64,
    /// Number of the cause.
    cause: u16,
    /// Number of the runner-up; `u16::MAX` is none.
    runner_up: u16,
    /// [`shape_key`] of the path, where there is one.
    pub shape: u16,
    /// Strongest tie.
    pub tie: Tie,
    /// Counted in totals.
    pub counted: bool,
    /// A success came after [`Self::after_s`], or none came.
    pub cleared: bool,
    /// None came.
    pub persisted: bool,
    /// Seconds to the success.
    pub after_s: f64,
    /// `ClientRequestSource`.
    pub request_source: Name,
    /// Server that it was tied to.
    pub server: Name,
    /// Host as logged.
    pub host: Name,
    /// Host in lower case.
    pub site: Name,
    /// Method.
    pub method: Name,
    /// [`path_shape`] of the path.
    pub path: Name,
    /// Colo.
    pub colo: Name,
    /// OriginIP.
    pub origin: Name,
    /// ClientIP.
    pub client: Name,
}

impl Brief {
    /// Of a row.
    pub fn of(row: &Row, names: &mut Names) -> Self {
        let e = &row.edge;
        Self {
            start: e.start,
            end: e.end.or(e.start),
            ray: e.ray,
            confidence: row.verdict.confidence,
            cause: row.verdict.cause.number(),
            runner_up: row.verdict.runner_up.map_or(u16::MAX, |(cause, _)| cause.number()),
            shape: e.uri.as_deref().map_or(0, |uri| shape_key(uri.as_bytes())),
            tie: row.verdict.tie,
            counted: row.counted,
            cleared: row.retry == "cleared",
            persisted: row.retry == "persisted",
            after_s: row.cleared_after_s.unwrap_or(f64::NAN),
            request_source: names.of(e.source.as_ref()),
            server: names.of(Some(&row.server)),
            host: names.of(e.host.as_ref()),
            site: names.lower(e.host.as_ref()),
            method: names.of(e.method.as_ref()),
            path: e.uri.as_ref().map_or(NONE, |uri| names.path(uri)),
            colo: names.of(e.colo.as_ref()),
            origin: names.of(e.origin_ip.as_ref()),
            client: names.of(e.client_ip.as_ref()),
        }
    }

    /// The cause.
    pub fn cause(&self) -> Cause {
        Cause::from_number(self.cause)
    }

    /// The cause's number: equal for equal causes.
    pub const fn cause_number(&self) -> u16 {
        self.cause
    }

    /// The runner-up.
    pub fn runner_up(&self) -> Option<Cause> {
        (self.runner_up != u16::MAX).then(|| Cause::from_number(self.runner_up))
    }
}

/// Texts by number.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Text, Name>,
    list: Vec<Text>,
    /// What was asked for last: host and its lower case.
    host: Option<(Text, Name)>,
}

impl Names {
    /// Number of a text.
    pub fn of(&mut self, text: Option<&Text>) -> Name {
        let Some(text) = text else { return NONE };
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.list.len() as Name;
        self.list.push(text.clone());
        self.numbers.insert(text.clone(), number);
        number
    }

    fn lower(&mut self, text: Option<&Text>) -> Name {
        let Some(text) = text else { return NONE };
        if let Some((held, number)) = &self.host
            && held == text
        {
            return *number;
        }
        let number = if text.bytes().any(|b| b.is_ascii_uppercase()) {
            self.of(Some(&text.to_ascii_lowercase().into()))
        } else {
            self.of(Some(text))
        };
        self.host = Some((text.clone(), number));
        number
    }

    fn path(&mut self, uri: &str) -> Name {
        let shape = path_shape(uri);
        match self.numbers.get(shape.as_str()) {
            Some(number) => *number,
            None => self.of(Some(&shape.into())),
        }
    }

    /// The text with a number; empty where there is none.
    pub fn text(&self, name: Name) -> &str {
        self.list.get(name as usize).map_or("", Text::as_str)
    }

    /// The same, `None` where the row had none.
    pub fn get(&self, name: Name) -> Option<&str> {
        self.list.get(name as usize).map(Text::as_str)
    }
}

/// The most frequent of some names, ties in order of text; names that no row has are left out.
pub fn top(values: impl Iterator<Item = Name>, names: &Names, most: usize) -> Vec<(String, u64)> {
    let mut counts: HashMap<Name, u64> = HashMap::default();
    for value in values.filter(|value| *value != NONE) {
        *counts.entry(value).or_default() += 1;
    }
    let mut list: Vec<(&str, u64)> = counts.into_iter().map(|(name, n)| (names.text(name), n)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    list.truncate(most);
    list.into_iter().map(|(text, n)| (text.to_owned(), n)).collect()
}
