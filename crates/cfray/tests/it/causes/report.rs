//! The CSV report, and what a test may demand of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Cells of a row by column.
pub type Cells = BTreeMap<String, String>;

/// A report.
pub struct Report {
    /// The bytes.
    pub csv: String,
    /// Text of the files under `logs/`, by name.
    files: BTreeMap<String, String>,
    rows: BTreeMap<String, Cells>,
    list: Vec<Cells>,
}

impl Report {
    /// Takes it apart.
    pub fn read(dir: &Path, csv: &str) -> Self {
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers().unwrap().clone();
        let cells = |r: csv::StringRecord| header.iter().map(str::to_owned).zip(r.iter().map(str::to_owned)).collect::<Cells>();
        let list: Vec<Cells> = reader.records().map(|r| cells(r.unwrap())).collect();
        let rows = list.iter().map(|c| (c["ray_id"].clone(), c.clone())).collect();
        let mut files = BTreeMap::new();
        gather(dir, Path::new("logs"), &mut files);
        Self { csv: csv.to_owned(), files, rows, list }
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

    /// All rows in order, with or without a ray.
    pub fn all(&self) -> Vec<Cells> {
        self.list.clone()
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
        let Some(is) = self.files.get(file).and_then(|all| all.split('\n').nth(line.wrapping_sub(1))) else { return false };
        // A record of several lines is quoted with its line breaks spelled out; long ones lack their middle.
        let text = text.split("\\x0A").next().unwrap_or(text);
        let text = text.split(" … ").next().unwrap_or(text);
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

fn gather(top: &Path, dir: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(top.join(dir)).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = dir.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            gather(top, &name, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.insert(name.to_str().unwrap().to_owned(), text);
        }
    }
}
