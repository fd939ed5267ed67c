//! Names of fields: which key, in which spelling, fills which field.

use cfray_model::EdgeField;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// How many fields are read.
pub(crate) const FIELDS: usize = EdgeField::ALL.len();

/// Longest name that is looked up; longer keys are nobody's.
const LONGEST: usize = 64;

/// What a key fills, and how strongly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// The field.
    pub field: EdgeField,
    /// 0 for a name the user mapped, 1 for the canonical name, then the aliases in their order. A
    /// row that carries several names of one field (`ClientRequestHost` and its alias
    /// `EdgeRequestHost` are both in most rows) takes the lowest; among equals the last wins.
    pub rank: u8,
}

/// A user's name for a field inside nested objects.
#[derive(Clone, Debug)]
pub(crate) struct NestedName {
    /// Keys below the top one, lower case.
    pub path: Vec<Vec<u8>>,
    /// What it fills.
    pub target: Target,
}

/// All names that are known in a run: canonical, aliases and the user's.
#[derive(Clone, Debug, Default)]
pub struct Names {
    flat: HashMap<Vec<u8>, Target>,
    nested: HashMap<Vec<u8>, Arc<[NestedName]>>,
}

impl Names {
    /// Logpush's names and aliases, plus the user's (`theirs -> canonical`, dotted when nested).
    pub fn new(field_map: &BTreeMap<String, String>) -> Self {
        let mut names = Self::default();
        for &field in EdgeField::ALL {
            names.flat.insert(field.name().to_ascii_lowercase().into_bytes(), Target { field, rank: 1 });
        }
        for &field in EdgeField::ALL {
            for (alias, rank) in field.aliases().iter().zip(2u8..) {
                names.flat.entry(alias.to_ascii_lowercase().into_bytes()).or_insert(Target { field, rank });
            }
        }
        let mut nested: BTreeMap<Vec<u8>, Vec<NestedName>> = BTreeMap::new();
        for (theirs, canonical) in field_map {
            let Some(field) = Self::canonical(canonical) else { continue };
            let target = Target { field, rank: 0 };
            let theirs = theirs.to_ascii_lowercase().into_bytes();
            let mut path = theirs.split(|&b| b == b'.').map(<[u8]>::to_vec);
            if let (Some(head), path) = (path.next(), path.collect::<Vec<_>>())
                && !path.is_empty()
            {
                nested.entry(head).or_default().push(NestedName { path, target });
            }
            names.flat.insert(theirs, target);
        }
        names.nested = nested.into_iter().map(|(head, below)| (head, below.into())).collect();
        names
    }

    /// [`Self::new`]; without names of the user's the same value every time.
    pub(crate) fn shared(field_map: &BTreeMap<String, String>) -> Arc<Self> {
        static PLAIN: LazyLock<Arc<Names>> = LazyLock::new(|| Arc::new(Names::new(&BTreeMap::new())));
        if field_map.is_empty() { Arc::clone(&PLAIN) } else { Arc::new(Self::new(field_map)) }
    }

    /// The field with this canonical name, in any case.
    pub fn canonical(name: &str) -> Option<EdgeField> {
        EdgeField::ALL.iter().copied().find(|f| f.name().eq_ignore_ascii_case(name.trim()))
    }

    /// What a top-level key (decoded) fills.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Target> {
        if key.len() > LONGEST {
            return self.flat.get(&key.to_ascii_lowercase()).copied();
        }
        let mut lower = [0u8; LONGEST];
        let lower = lower.get_mut(..key.len())?;
        lower.copy_from_slice(key);
        lower.make_ascii_lowercase();
        self.flat.get(&*lower).copied()
    }

    /// The user's names below a top-level key.
    pub(crate) fn below(&self, key: &[u8]) -> Option<&Arc<[NestedName]>> {
        if self.nested.is_empty() {
            return None;
        }
        self.nested.get(&key.to_ascii_lowercase())
    }

    /// For a list of columns: which field each one fills, after ranks and duplicates are settled.
    pub(crate) fn columns<'a>(&self, columns: impl Iterator<Item = &'a [u8]>) -> Vec<Option<EdgeField>> {
        let targets: Vec<Option<Target>> = columns.map(|c| self.get(c.trim_ascii())).collect();
        let mut best: [Option<(u8, usize)>; FIELDS] = [None; FIELDS];
        for (i, target) in targets.iter().enumerate() {
            if let Some(t) = target
                && let Some(slot) = best.get_mut(t.field as usize)
                && slot.is_none_or(|(rank, _)| t.rank <= rank)
            {
                *slot = Some((t.rank, i));
            }
        }
        targets
            .iter()
            .enumerate()
            .map(|(i, t)| t.filter(|t| best.get(t.field as usize).copied().flatten().is_some_and(|(_, at)| at == i)).map(|t| t.field))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_case_aliases_and_the_users_names() {
        let map = BTreeMap::from([("info.ray.id".to_owned(), "rayid".to_owned()), ("client-ip".to_owned(), "ClientIP".to_owned())]);
        let names = Names::new(&map);
        let field = |key: &str| names.get(key.as_bytes()).map(|t| t.field);
        assert_eq!(field("edgeresponsestatus"), Some(EdgeField::EdgeResponseStatus));
        assert_eq!(field("CF_RAY"), Some(EdgeField::RayId));
        assert_eq!(field("Client-IP"), Some(EdgeField::ClientIp));
        assert_eq!(field("ZoneName"), None);
        assert_eq!(field(&"x".repeat(1000)), None);
        assert_eq!(names.below(b"Info").map(|n| n.len()), Some(1));
        assert!(names.get(b"ClientRequestHost").map(|t| t.rank) < names.get(b"EdgeRequestHost").map(|t| t.rank));
    }

    #[test]
    fn the_canonical_column_wins_over_its_alias() {
        let names = Names::new(&BTreeMap::new());
        let columns = ["ClientRequestHost", "EdgeRequestHost", "RayID", "rayid"];
        let got = names.columns(columns.iter().map(|c| c.as_bytes()));
        assert_eq!(got, [Some(EdgeField::ClientRequestHost), None, None, Some(EdgeField::RayId)]);
    }
}
