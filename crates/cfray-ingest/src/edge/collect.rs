//! Where rows become counters, facts and incidents; behind both parsers and all formats.

use super::combos::Combos;
use super::keys::KeyMaker;
use super::part::{Class, EdgePart, Kept, finest, place};
use super::row;
use super::value::{Row, Texts};
use cfray_model::{EdgeField, EdgeFilter, FactFlags, LineRef, RayId, Stamp};
use std::borrow::Cow;
use std::collections::HashMap;

/// Statuses that are counted in an array.
const STATUSES: usize = 1000;
/// Seconds that are counted in an array; rows come from a few minutes at a time.
const SECONDS: usize = 256;

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
    combos: Combos,
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
            combos: Combos::default(),
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
        let contacted = row::contacted(values);
        if incident || known >= 500 || contacted != Some(false) {
            let mut fact = row::fact(values, start, source.as_deref(), found_in, contacted, &mut self.keys);
            fact.edge_status = known;
            fact.combo = self.combo(values, contacted != Some(false));
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
    fn combo(&mut self, values: &Row<'_>, contacted: bool) -> u32 {
        let text = |field| values.text(field).unwrap_or(Cow::Borrowed(b""));
        let address = |field| if contacted { text(field) } else { Cow::Borrowed(&b""[..]) };
        let (host, method, colo) =
            (text(EdgeField::ClientRequestHost), text(EdgeField::ClientRequestMethod), text(EdgeField::EdgeColoCode));
        let (edge_ip, origin_ip) = (address(EdgeField::EdgeServerIp), address(EdgeField::OriginIp));
        self.combos.id([&host, &method, &colo, &edge_ip, &origin_ip], &mut self.part.combos)
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
