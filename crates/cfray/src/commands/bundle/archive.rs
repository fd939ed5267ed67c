//! The archive: equal members give equal bytes.

use crate::exit::{Failure, Outcome};
use std::io::{self, Cursor, Write};
use std::path::Path;

/// Folder that holds the members, so that unpacking makes one directory.
pub const FOLDER: &str = "cfray-bundle";

/// One file in the archive.
#[derive(Debug)]
pub struct Member {
    /// Path inside [`FOLDER`].
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl Member {
    /// A file of text.
    pub fn text(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), bytes: text.into_bytes() }
    }
}

/// Kinds of archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `.tar.gz`, `.tgz`.
    TarGz,
    /// `.zip`.
    Zip,
}

impl Kind {
    /// By the ending of the name.
    pub fn of(path: &Path) -> Outcome<Self> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Ok(Self::TarGz)
        } else if name.ends_with(".zip") {
            Ok(Self::Zip)
        } else {
            let what = format!("cannot tell the kind of archive of {}", path.display());
            Err(Failure::new(what, "its ending is none of .tar.gz .tgz .zip").help("name it so, for example -o ticket.tar.gz"))
        }
    }
}

/// Writes the members in the order given. No time, owner or key of this machine goes in.
pub fn write(kind: Kind, members: &[Member], out: &mut dyn Write) -> io::Result<()> {
    match kind {
        Kind::TarGz => {
            let gzip = flate2::GzBuilder::new().mtime(0).write(out, flate2::Compression::default());
            let mut tar = tar::Builder::new(gzip);
            for member in members {
                let mut header = tar::Header::new_gnu();
                header.set_size(member.bytes.len() as u64);
                header.set_mode(0o600);
                header.set_mtime(0);
                tar.append_data(&mut header, format!("{FOLDER}/{}", member.name), member.bytes.as_slice())?;
            }
            tar.into_inner()?.finish()?;
        }
        Kind::Zip => {
            // A zip's directory needs seeking, which a pipe cannot.
            let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .last_modified_time(zip::DateTime::default())
                .unix_permissions(0o600);
            for member in members {
                let options = options.large_file(member.bytes.len() as u64 >= u64::from(u32::MAX));
                zip.start_file(format!("{FOLDER}/{}", member.name), options).map_err(io::Error::other)?;
                zip.write_all(&member.bytes)?;
            }
            out.write_all(zip.finish().map_err(io::Error::other)?.get_ref())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::io::Read;

    fn members() -> Vec<Member> {
        vec![Member::text("README.txt", "first\n".to_owned()), Member::text("origin/01-a.txt", "second\n".to_owned())]
    }

    #[test]
    fn the_ending_chooses() {
        for (name, kind) in [("a.tar.gz", Kind::TarGz), ("b/A.TGZ", Kind::TarGz), ("c.zip", Kind::Zip)] {
            assert_eq!(Kind::of(Path::new(name)), Ok(kind), "{name}");
        }
        for name in ["a.gz", "a.tar", "zip", "-"] {
            assert!(Kind::of(Path::new(name)).unwrap_err().to_string().contains(".tar.gz"), "{name}");
        }
    }

    #[test]
    fn equal_members_give_equal_bytes_and_come_back_in_order() {
        for kind in [Kind::TarGz, Kind::Zip] {
            let bytes = || {
                let mut out = Vec::new();
                write(kind, &members(), &mut out).unwrap();
                out
            };
            assert_eq!(bytes(), bytes(), "{kind:?}");
            let mut found = Vec::new();
            match kind {
                Kind::TarGz => {
                    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(Cursor::new(bytes())));
                    for entry in tar.entries().unwrap() {
                        let mut entry = entry.unwrap();
                        let mut text = String::new();
                        entry.read_to_string(&mut text).unwrap();
                        found.push((entry.path().unwrap().display().to_string(), text));
                    }
                }
                Kind::Zip => {
                    let mut zip = zip::ZipArchive::new(Cursor::new(bytes())).unwrap();
                    for i in 0..zip.len() {
                        let mut entry = zip.by_index(i).unwrap();
                        let mut text = String::new();
                        entry.read_to_string(&mut text).unwrap();
                        found.push((entry.name().unwrap().into_owned(), text));
                    }
                }
            }
            let expected = [("cfray-bundle/README.txt", "first\n"), ("cfray-bundle/origin/01-a.txt", "second\n")];
            assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        }
    }
}
