//! Where input comes from when the command line does not say.

use cfray_ingest::Input;
use std::path::{Path, PathBuf};

/// The inputs of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inputs {
    /// What to read.
    pub list: Vec<Input>,
    /// Which input was taken when none was given; else empty. Shown in the summary.
    pub note: String,
}

impl Inputs {
    /// Turns paths into inputs; `-` is standard input. Without paths: standard input if it is a
    /// pipe, a socket or a regular file, else the current directory.
    pub fn choose(paths: &[PathBuf]) -> Self {
        if paths.is_empty() {
            return match stdin_kind() {
                Some(kind) => Self { list: vec![Input::Stdin], note: format!("no path given: read standard input ({kind})") },
                None => Self { list: vec![Input::Path(PathBuf::from("."))], note: "no path given: read the current directory".to_owned() },
            };
        }
        let mut list: Vec<Input> = Vec::new();
        for path in paths {
            let input = if path == Path::new("-") { Input::Stdin } else { Input::Path(path.clone()) };
            if !list.contains(&input) {
                list.push(input);
            }
        }
        Self { list, note: String::new() }
    }

    /// Paths among the inputs.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.list.iter().filter_map(|input| if let Input::Path(path) = input { Some(path.clone()) } else { None }).collect()
    }

    /// Inputs as given.
    pub fn names(&self) -> Vec<String> {
        self.list
            .iter()
            .map(|input| match input {
                Input::Path(path) => path.display().to_string(),
                Input::Stdin => "-".to_owned(),
            })
            .collect()
    }
}

/// What standard input is, when it is something to read. A terminal and /dev/null are not.
#[cfg(unix)]
fn stdin_kind() -> Option<&'static str> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let duplicate = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let kind = std::fs::File::from(duplicate).metadata().ok()?.file_type();
    if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_file() {
        Some("a file")
    } else {
        None
    }
}

#[cfg(not(unix))]
fn stdin_kind() -> Option<&'static str> {
    use std::io::IsTerminal;
    (!std::io::stdin().is_terminal()).then_some("not a terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input_and_repetitions_are_dropped() {
        let inputs = Inputs::choose(&["logs".into(), "-".into(), "logs".into(), "-".into(), "./-".into()]);
        assert_eq!(inputs.list, [Input::Path("logs".into()), Input::Stdin, Input::Path("./-".into())]);
        assert_eq!(inputs.names(), ["logs", "-", "./-"]);
        assert!(inputs.note.is_empty());
    }
}
