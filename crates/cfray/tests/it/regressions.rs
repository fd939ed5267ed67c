//! What fuzzing found once, and the seeds that no finding came from: replayed with the checks of the fuzz targets.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../../fuzz/src/checks.rs"]
mod checks;

fn findings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions")
}

#[test]
fn findings_stay_mended() {
    let mut replayed = 0;
    for folder in fs::read_dir(findings()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        if name == "config" {
            // Replayed beside the code, in src/config.rs.
            continue;
        }
        let (_, check) = checks::CHECKS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is no check"));
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            // Named when it fails: a panic alone would not say which file it was.
            let _of = Replayed(&path);
            check(&bytes);
            replayed += 1;
        }
    }
    assert!(replayed >= checks::CHECKS.len(), "{replayed} cases");
}

/// Samples of every format through the checks, whole and damaged: they can fail and do not.
#[test]
fn samples_pass_the_checks() {
    for (i, format) in cfray_formats::FORMATS.iter().enumerate() {
        for sample in format.samples {
            let mut bytes = vec![u8::try_from(i).unwrap()];
            bytes.extend_from_slice(sample.as_bytes());
            checks::format(&bytes);
            for at in (1..bytes.len()).step_by(7) {
                let mut cut = bytes.clone();
                cut.truncate(at);
                checks::format(&cut);
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x1b;
                checks::format(&flipped);
            }
        }
    }
}

#[test]
fn the_pipeline_holds_on_a_site() {
    let edge = crate::support::edge();
    let access = crate::support::access();
    let text = format!("{edge}--\n{access}--\n2026/11/22 12:24:07 [alert] 811#811: worker process 4242 exited on signal 11\n");
    checks::pipeline(text.as_bytes());
    let cut: Vec<u8> = text.bytes().enumerate().filter(|(i, _)| i % 997 != 3).map(|(_, b)| b).collect();
    checks::pipeline(&cut);
}

/// Names the file whose replay panicked.
struct Replayed<'a>(&'a std::path::Path);

impl Drop for Replayed<'_> {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while replaying {}", self.0.display());
        }
    }
}
