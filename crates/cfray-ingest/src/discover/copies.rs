//! The same log twice: `access.log.1` and `access.log.1.gz` hold the same lines and are read once.

use super::sniff::Found;
use super::walk::Opening;
use crate::open::{self, Compression};
use crate::options::Options;
use cfray_model::key;
use cfray_model::source::Skipped;
use std::collections::BTreeMap;
use std::io::Read;

/// Content is hashed in pieces of this size, so that equal content has equal hashes however it is
/// compressed.
const PIECE: usize = 256 << 10;

/// Drops every file whose content equals that of another of the same scope. Only files whose first
/// 64 KB are equal are read in full.
pub fn drop_copies(found: &mut Vec<Found>, skipped: &mut Vec<Skipped>, options: &Options) {
    let mut alike: BTreeMap<(String, bool, usize, u64), Vec<usize>> = BTreeMap::new();
    for (i, one) in found.iter().enumerate() {
        if matches!(one.candidate.opening, Opening::File { .. }) {
            alike.entry((one.scope.clone(), one.is_edge(), one.head.0, one.head.1)).or_default().push(i);
        }
    }
    let mut drop: BTreeMap<usize, String> = BTreeMap::new();
    for group in alike.into_values().filter(|g| g.len() > 1) {
        let mut equal: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for i in worth_reading(found, group) {
            if let Some(content) = found.get(i).and_then(|one| fingerprint(one, options)) {
                equal.entry(content).or_default().push(i);
            }
        }
        for mut same in equal.into_values().filter(|s| s.len() > 1) {
            // The plain file is kept before a packed one, then the one nearer to the top.
            same.sort_by_key(|&i| found.get(i).map(|f| (f.compression, f.candidate.dir.len(), f.candidate.name.clone())));
            let Some((keep, rest)) = same.split_first() else { continue };
            let name = found.get(*keep).map(|f| f.candidate.name.clone()).unwrap_or_default();
            drop.extend(rest.iter().map(|&i| (i, name.clone())));
        }
    }
    for (&i, name) in drop.iter().rev() {
        let one = found.remove(i);
        skipped.push(Skipped { name: one.candidate.name, what: format!("same content as {name}"), hint: String::new(), failed: false });
    }
}

/// Leaves out plain files that differ in length from every other, unless a packed file might equal them.
fn worth_reading(found: &[Found], group: Vec<usize>) -> Vec<usize> {
    let length = |i: &usize| match found.get(*i).map(|f| (f.compression, f.candidate.opening)) {
        Some((Compression::None, Opening::File { len, .. })) => Some(len),
        _ => None,
    };
    let lengths: Vec<Option<u64>> = group.iter().map(length).collect();
    if lengths.contains(&None) {
        return group;
    }
    group.iter().copied().filter(|i| lengths.iter().filter(|l| **l == length(i)).count() > 1).collect()
}

/// Length and hash of the decompressed content; `None` when it cannot be read to its end.
fn fingerprint(one: &Found, options: &Options) -> Option<(u64, u64)> {
    let Opening::File { len, id } = one.candidate.opening else { return None };
    let mut content = open::open_file(&one.candidate.path, id, len, one.compression, options).ok()?;
    let (mut piece, mut length, mut hash) = (Vec::with_capacity(PIECE), 0u64, 0u64);
    loop {
        piece.clear();
        content.reader.by_ref().take(PIECE as u64).read_to_end(&mut piece).ok()?;
        if piece.is_empty() {
            return Some((length, hash));
        }
        length += piece.len() as u64;
        let mut link = [0u8; 16];
        link[..8].copy_from_slice(&hash.to_le_bytes());
        link[8..].copy_from_slice(&key::bytes_key(&piece).to_le_bytes());
        hash = key::bytes_key(&link);
    }
}
