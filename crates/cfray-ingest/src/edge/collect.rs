//! Where rows become counters, facts and incidents; behind both parsers and all formats.

use super::keys::KeyMaker;
use super::part::{Class, EdgePart, Kept, finest, place};
use super::row;
use super::value::{Row, Texts};
use cfray_model::{Combo, EdgeField, EdgeFilter, FactFlags, LineRef, RayId, Stamp};
use std::borrow::Cow;
use std::collections::HashMap;

/// Statuses that are counted in an array.
const STATUSES: usize = 1000;
/// Seconds that are counted in an array; rows come from a few minutes at a time.
const SECONDS: usize = 256;

/// Combos that are found without the map; a power of two.
const RECENT: usize = 1 << 11;

/// Collects rows into a part.
#[derive(Debug)]
pub(crate) struct Collector {
    pub part: EdgePart,
    filter: EdgeFilter,
    keys: KeyMaker,
    statuses: Vec<u64>,
    seconds: Vec<(i64, u64)>,
    classes: HashMap<Class, u32>,
    last_class: Option<(Class, u32)>,
    combos: HashMap<u64, Vec<u32>>,
    /// The texts that combos were made from, one behind the other: length of each piece, then the pieces.
    texts: Vec<u8>,
    /// Where each combo's text ends.
    text_ends: Vec<usize>,
    last_combo: u32,
    /// Combos seen of late, by low bits of their hash.
    recent: Vec<u32>,
    scratch: Vec<u8>,
    /// Texts of incidents.
    shared: Texts,
}

impl Collector {
    /// Nothing collected yet.
    pub fn new(filter: &EdgeFilter) -> Self {
        Self {
            part: EdgePart::default(),
            filter: filter.clone(),
            keys: KeyMaker::default(),
            statuses: vec![0; STATUSES],
            seconds: vec![(0, 0); SECONDS],
            classes: HashMap::new(),
            last_class: None,
            combos: HashMap::new(),
            texts: Vec::new(),
            text_ends: Vec::new(),
            last_combo: u32::MAX,
            recent: vec![u32::MAX; RECENT],
            scratch: Vec::new(),
            shared: Texts::default(),
        }
    }

    /// Takes a row that stands at `at`, found inside the row with the ray `found_in` if it is a subrequest.
    pub fn row(&mut self, values: &Row<'_>, at: LineRef, found_in: Option<RayId>) {
        let status = values.status(EdgeField::EdgeResponseStatus);
        let start = values.time(EdgeField::EdgeStartTimestamp);
        let source = row::source(values);
        let class = self.class(values.slots.mask, source.as_deref());
        self.part.rows += 1;
        self.part.width = self.part.width.max(values.slots.width);
        if let Some(rows) = self.part.class_rows.get_mut(class as usize) {
            *rows += 1;
        }
        if let Some(status) = status {
            match self.statuses.get_mut(usize::from(status)) {
                Some(rows) => *rows += 1,
                None => *self.part.statuses.entry(status).or_default() += 1,
            }
        }
        if let Some(start) = start {
            let stamp = Stamp(start.ns);
            if self.part.first.is_none_or(|first| stamp < first) {
                self.part.first = Some(stamp);
            }
            self.part.last = self.part.last.max(Some(stamp));
            self.part.precision_ns = finest(self.part.precision_ns, start.precision_ns);
            self.second(stamp.secs());
        }
        if values.slots.mask & (1 << EdgeField::SampleInterval as u64) != 0 {
            let interval = values.int(EdgeField::SampleInterval).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            self.part.sample_interval = self.part.sample_interval.max(interval);
        }

        let known = status.unwrap_or(0);
        let incident = self.incident(values, known, at, found_in);
        if incident || known >= 500 || row::contacted(values) != Some(false) {
            let mut fact = row::fact(values, start, source.as_deref(), found_in, &mut self.keys);
            fact.combo = self.combo(values);
            fact.flags.0 |= if incident { FactFlags::INCIDENT } else { 0 };
            self.part.keep(Kept { fact, place: place(at.source.0, at.offset), class, has_status: status.is_some() });
        }
    }

    /// Keeps the row as an incident if the filter wants it.
    fn incident(&mut self, values: &Row<'_>, status: u16, at: LineRef, found_in: Option<RayId>) -> bool {
        let by_status = self.filter.statuses.iter().any(|&(from, to)| (from..=to).contains(&status));
        let by_ray = self.filter.ray.is_some() && (row::ray(values) == self.filter.ray || row::parent(values, found_in) == self.filter.ray);
        if !by_status && !by_ray {
            return false;
        }
        let row = row::edge_row(values, at, found_in, &mut self.shared);
        let wanted = self.filter.wants(&row);
        if wanted {
            self.part.incident(row);
        }
        wanted
    }

    /// Counts a row of this second.
    #[inline]
    fn second(&mut self, second: i64) {
        let Some((held, rows)) = self.seconds.get_mut(second.rem_euclid(SECONDS as i64) as usize) else { return };
        if *held != second && *rows > 0 {
            self.part.traffic.add(*held, *rows);
            *rows = 0;
        }
        *held = second;
        *rows += 1;
    }

    /// Index of the class of rows with these fields and this source.
    #[inline]
    fn class(&mut self, mask: u64, source: Option<&[u8]>) -> u32 {
        if let Some((class, id)) = &self.last_class
            && class.mask == mask
            && class.source.as_deref() == source
        {
            return *id;
        }
        let class = Class { mask, source: source.map(<[u8]>::to_vec) };
        let id = self.part.class(&mut self.classes, class.clone());
        self.last_class = Some((class, id));
        id
    }

    /// Index of the row's combo.
    fn combo(&mut self, values: &Row<'_>) -> u32 {
        let text = |field| values.text(field).unwrap_or(Cow::Borrowed(b""));
        let contacted = row::contacted(values) != Some(false);
        let address = |field| if contacted { text(field) } else { Cow::Borrowed(&b""[..]) };
        let pieces = [
            text(EdgeField::ClientRequestHost),
            text(EdgeField::ClientRequestMethod),
            text(EdgeField::EdgeColoCode),
            address(EdgeField::EdgeServerIp),
            address(EdgeField::OriginIp),
        ];
        self.scratch.clear();
        for piece in &pieces {
            self.scratch.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        }
        for piece in &pieces {
            self.scratch.extend_from_slice(piece);
        }
        let (texts, ends) = (&self.texts, &self.text_ends);
        let same = |id: u32| {
            let id = id as usize;
            let from = if id == 0 { Some(0) } else { ends.get(id - 1).copied() };
            from.zip(ends.get(id)).and_then(|(from, end)| texts.get(from..*end)) == Some(&self.scratch)
        };
        if same(self.last_combo) {
            return self.last_combo;
        }
        let hash = cfray_model::key::bytes_key(&self.scratch);
        let Some(recent) = self.recent.get_mut(hash as usize % RECENT) else { return 0 };
        if same(*recent) {
            self.last_combo = *recent;
            return *recent;
        }
        let ids = self.combos.entry(hash).or_default();
        let known = ids.iter().copied().find(|id| same(*id));
        self.last_combo = known.unwrap_or_else(|| {
            let id = self.text_ends.len() as u32;
            let [host, method, colo, edge_ip, origin_ip] = pieces.map(|p| String::from_utf8_lossy(&p).into_owned());
            self.part.combos.push(Combo { host: host.to_ascii_lowercase(), method, colo, edge_ip, origin_ip });
            self.texts.extend_from_slice(&self.scratch);
            self.text_ends.push(self.texts.len());
            ids.push(id);
            id
        });
        *recent = self.last_combo;
        self.last_combo
    }

    /// What was collected.
    pub fn finish(mut self) -> EdgePart {
        for (status, rows) in (0u16..).zip(&self.statuses) {
            if *rows > 0 {
                *self.part.statuses.entry(status).or_default() += rows;
            }
        }
        for (second, rows) in &self.seconds {
            if *rows > 0 {
                self.part.traffic.add(*second, *rows);
            }
        }
        self.part
    }
}
