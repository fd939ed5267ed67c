//! Times in format strings: the parts of a `strftime` pattern and nginx's and Apache's own forms.

use crate::fields::number::integer;
use crate::fields::time::{civil_ns, clf_time, day_column, digits, epoch_time, iso_time, month, zone};
use cfray_model::LogTime;
use cfray_model::time::SECOND;

/// One part of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text between parts.
    Literal(Vec<u8>),
    /// `22/Nov/2026:12:30:52 +0000`.
    Clf,
    /// `2026-11-22T12:30:52+00:00`.
    Iso,
    /// Seconds since the epoch, maybe with a fraction, or milli- or microseconds.
    Epoch,
    /// The same without a fraction: it stands in a field of its own.
    EpochDigits,
    /// Four digits.
    Year,
    /// Two digits, of this century.
    ShortYear,
    /// `01` to `12`.
    Month,
    /// `Jan`.
    MonthName,
    /// `01`, ` 1` or `1`.
    Day,
    /// Hour, 24 in a day.
    Hour,
    /// Minute.
    Minute,
    /// Second.
    Second,
    /// So many digits of the second's fraction.
    Fraction(usize),
    /// `+0530`.
    Zone,
    /// A word without meaning here: name of the weekday, of the zone.
    Word,
}

/// Splits a `strftime` pattern; the error is the letter that is not known.
pub fn parts(pattern: &str) -> Result<Vec<Part>, char> {
    let mut out = Vec::new();
    let mut literal = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let letter = chars.next().unwrap_or('%');
        let more: &[Part] = match letter {
            'Y' => &[Part::Year],
            'y' => &[Part::ShortYear],
            'm' => &[Part::Month],
            'b' | 'h' => &[Part::MonthName],
            'd' | 'e' => &[Part::Day],
            'H' | 'k' => &[Part::Hour],
            'M' => &[Part::Minute],
            'S' => &[Part::Second],
            'z' => &[Part::Zone],
            's' => &[Part::EpochDigits],
            'a' | 'A' | 'Z' => &[Part::Word],
            'T' => &[Part::Hour, Part::Literal(Vec::new()), Part::Minute, Part::Literal(Vec::new()), Part::Second],
            'F' => &[Part::Year, Part::Literal(Vec::new()), Part::Month, Part::Literal(Vec::new()), Part::Day],
            '%' => {
                literal.push(b'%');
                continue;
            }
            other => return Err(other),
        };
        if !literal.is_empty() {
            out.push(Part::Literal(std::mem::take(&mut literal)));
        }
        let between: &[u8] = if letter == 'F' { b"-" } else { b":" };
        out.extend(more.iter().map(|p| if matches!(p, Part::Literal(_)) { Part::Literal(between.to_vec()) } else { p.clone() }));
    }
    if !literal.is_empty() {
        out.push(Part::Literal(literal));
    }
    Ok(out)
}

/// A time that is being read, maybe from several fields of a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    whole: Option<LogTime>,
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    tick_ns: Option<i64>,
    zone: Option<i32>,
}

impl Clock {
    /// Reads parts from the start of the text and gives back what follows them.
    pub fn read<'a>(&mut self, parts: &[Part], text: &'a [u8]) -> Option<&'a [u8]> {
        let mut text = text;
        for part in parts {
            text = self.part(part, text)?;
        }
        Some(text)
    }

    fn part<'a>(&mut self, part: &Part, text: &'a [u8]) -> Option<&'a [u8]> {
        let number = |count: usize| digits(count)(text).ok();
        Some(match part {
            Part::Literal(literal) => text.strip_prefix(literal.as_slice())?,
            Part::Clf => self.whole(clf_time(text).ok()?),
            Part::Iso => self.whole(iso_time(text).ok()?),
            Part::Epoch => self.whole(epoch_time(text).ok()?),
            Part::EpochDigits => {
                let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
                let (digits, rest) = text.split_at_checked(len)?;
                self.whole(epoch_time(digits).ok()?);
                rest
            }
            Part::Year => keep(&mut self.year, number(4)?),
            Part::ShortYear => {
                let (rest, year) = number(2)?;
                self.year = Some(2000 + year);
                rest
            }
            Part::Month => keep(&mut self.month, number(2)?),
            Part::MonthName => keep(&mut self.month, month(text).ok()?),
            Part::Day => keep(&mut self.day, day_column(text).ok()?),
            Part::Hour => set(&mut self.hour, day_column(text).ok()?),
            Part::Minute => set(&mut self.minute, number(2)?),
            Part::Second => set(&mut self.second, number(2)?),
            Part::Fraction(count) => {
                let digits = text.get(..*count)?;
                integer(digits)?;
                let (nanos, tick) = crate::fields::time::fraction_digits(digits);
                (self.nanos, self.tick_ns) = (nanos, Some(tick));
                text.get(*count..)?
            }
            Part::Zone => {
                let (rest, offset) = zone(text).ok()?;
                self.zone = Some(offset);
                rest
            }
            Part::Word => {
                let len = text.iter().take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'+' | b'-')).count();
                text.get(len..)?
            }
        })
    }

    fn whole<'a>(&mut self, (rest, time): (&'a [u8], LogTime)) -> &'a [u8] {
        self.whole = Some(time);
        rest
    }

    /// The time, if a whole one or all parts of a date were read.
    pub fn time(&self) -> Option<LogTime> {
        if let Some(mut time) = self.whole {
            // `%{sec}t.%{msec_frac}t`
            if let Some(tick) = self.tick_ns
                && time.precision_ns == SECOND
            {
                time.civil_ns = time.civil_ns.checked_add(i64::from(self.nanos))?;
                time.precision_ns = tick;
            }
            return Some(time);
        }
        let civil_ns = civil_ns(i64::from(self.year?), self.month?, self.day?, self.hour, self.minute, self.second, self.nanos)?;
        Some(LogTime { civil_ns, offset_s: self.zone, precision_ns: self.tick_ns.unwrap_or(SECOND), yearless: false })
    }
}

fn keep<'a>(slot: &mut Option<u32>, (rest, value): (&'a [u8], u32)) -> &'a [u8] {
    *slot = Some(value);
    rest
}

fn set<'a>(slot: &mut u32, (rest, value): (&'a [u8], u32)) -> &'a [u8] {
    *slot = value;
    rest
}
