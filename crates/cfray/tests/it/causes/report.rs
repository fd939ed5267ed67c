//! The CSV report, and what a test may demand of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Cells of a row by column.
pub type Cells = BTreeMap<String, String>;

/// A report.
pub struct Report {
    /// The bytes.
    pub csv: String,
    dir: PathBuf,
    rows: BTreeMap<String, Cells>,
}

impl Report {
    /// Takes it apart.
    pub fn read(dir: &Path, csv: &str) -> Self {
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows = reader
            .records()
            .map(|r| {
                let cells: Cells = header.iter().map(str::to_owned).zip(r.unwrap().iter().map(str::to_owned)).collect();
                (cells["ray_id"].clone(), cells)
            })
            .collect();
        Self { csv: csv.to_owned(), dir: dir.to_owned(), rows }
    }

    /// The row of a ray.
    #[track_caller]
    pub fn row(&self, ray: &str) -> &Cells {
        self.rows.get(ray).unwrap_or_else(|| panic!("{ray} is not in the report:\n{}", self.csv))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows, by ray.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Cells)> {
        self.rows.iter().map(|(ray, cells)| (ray.as_str(), cells))
    }

    /// Confidence in a ray's verdict.
    #[track_caller]
    pub fn confidence(&self, ray: &str) -> f64 {
        self.row(ray)["confidence"].parse().unwrap()
    }

    /// Every ray has the cause, at one of the ties, and quotes the proving line as it stands in its file.
    /// Without a proof the evidence is a sentence.
    #[track_caller]
    pub fn proves(&self, rays: &[String], cause: &str, ties: &[&str], proof: &str) -> &Self {
        assert!(!rays.is_empty());
        for ray in rays {
            let row = self.row(ray);
            let told = || format!("{ray}: {row:#?}");
            assert_eq!(row["cause"], cause, "{}", told());
            assert!(self.confidence(ray) >= 0.5, "{}", told());
            assert!(ties.contains(&row["match"].as_str()), "{}", told());
            assert!(!row["evidence"].is_empty(), "{}", told());
            if proof.is_empty() {
                continue;
            }
            let quoted = row["evidence"].split(" | ").any(|item| item.contains(proof) && self.stands(item));
            assert!(quoted, "{proof:?} is not quoted from a file: {}", told());
        }
        self
    }

    /// Is the item `FILE:LINE: text`, and does that line of that file begin with that text?
    fn stands(&self, item: &str) -> bool {
        let Some((file, rest)) = item.split_once(':') else { return false };
        let Some((line, text)) = rest.split_once(": ") else { return false };
        let Ok(line) = line.parse::<usize>() else { return false };
        let Ok(all) = fs::read_to_string(self.dir.join(file)) else { return false };
        let Some(is) = all.lines().nth(line.wrapping_sub(1)) else { return false };
        // A record of several lines is quoted with its line breaks spelled out; long ones are cut.
        let text = text.split("\\n").next().unwrap_or(text);
        let text = text.trim_end_matches('…').trim_end_matches("...");
        !text.is_empty() && is.starts_with(text)
    }

    /// None of the rays has the cause, so none has it at 0.5 or more.
    #[track_caller]
    pub fn denies(&self, rays: &[String], cause: &str) -> &Self {
        assert!(!rays.is_empty());
        for ray in rays {
            let row = self.row(ray);
            assert_ne!(row["cause"], cause, "{ray}: {row:#?}");
            if row["runner_up"] == cause {
                assert!(row["runner_up_confidence"].parse::<f64>().unwrap() < 0.5, "{ray}: {row:#?}");
            }
        }
        self
    }

    /// The rays were answered: they are no incidents.
    #[track_caller]
    pub fn leaves_out(&self, rays: &[String]) -> &Self {
        assert!(!rays.is_empty());
        for ray in rays {
            assert!(!self.rows.contains_key(ray), "{ray}: {:#?}", self.rows[ray]);
        }
        self
    }

    /// Runner-up of every ray.
    #[track_caller]
    pub fn second(&self, rays: &[String], cause: &str) -> &Self {
        for ray in rays {
            assert_eq!(self.row(ray)["runner_up"], cause, "{ray}: {:#?}", self.row(ray));
        }
        self
    }

    /// Every ray lacks something that is named so.
    #[track_caller]
    pub fn lacks(&self, rays: &[String], what: &str) -> &Self {
        for ray in rays {
            assert!(self.row(ray)["missing"].contains(what), "{what:?} is not missing: {ray}: {:#?}", self.row(ray));
        }
        self
    }

    /// Ray to cause.
    pub fn causes(&self) -> BTreeMap<String, String> {
        self.rows.iter().map(|(ray, cells)| (ray.clone(), cells["cause"].clone())).collect()
    }
}
