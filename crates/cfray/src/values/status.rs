//! `--status 520-527,530`.

use std::str::FromStr;

/// Chosen edge statuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statuses {
    /// Inclusive ranges.
    pub ranges: Vec<(u16, u16)>,
    /// As written.
    pub text: String,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { ranges: vec![(520, 520)], text: "520".to_owned() }
    }
}

fn status(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|s| (100..1000).contains(s))
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (status(from), status(to)) {
                (Some(from), Some(to)) if from <= to => ranges.push((from, to)),
                (Some(from), Some(to)) => return Err(format!("{from}-{to} runs backwards; write {to}-{from}")),
                _ => return Err(format!("{:?} is no HTTP status; write 520, 520-527 or 520-527,530", part.trim())),
            }
        }
        Ok(Self { ranges, text: text.split_whitespace().collect() })
    }
}

impl<'de> serde::Deserialize<'de> for Statuses {
    /// A number (`status = 520`) or a string (`status = "520-527"`).
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u16),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Number(number) => number.to_string(),
            Form::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        assert_eq!("520".parse(), Ok(Statuses::default()));
        assert_eq!(
            "520-527, 530".parse::<Statuses>().map(|s| (s.ranges, s.text)),
            Ok((vec![(520, 527), (530, 530)], "520-527,530".to_owned()))
        );
        for bad in ["", "5xx", "520-", "-520", "52", "5200", "520,,521"] {
            assert!(bad.parse::<Statuses>().is_err(), "{bad}");
        }
        assert_eq!("527-520".parse::<Statuses>(), Err("527-520 runs backwards; write 520-527".to_owned()));
    }
}
