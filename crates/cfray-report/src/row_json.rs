//! One incident as a JSON object: the columns of the contract, absent ones as null.

use crate::columns::{Value, columns};
use cfray_model::Stamp;
use cfray_model::report::Row;
use cfray_model::time::MILLI;
use cfray_model::verdict::Evidence;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A row by columns.
pub struct RowJson<'a>(pub &'a Row);

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(columns().len()))?;
        for column in columns() {
            match (column.get)(self.0) {
                Value::Absent => map.serialize_entry(column.name, &())?,
                Value::Text(text) => map.serialize_entry(column.name, &text)?,
                Value::Int(number) => map.serialize_entry(column.name, &number)?,
                Value::Float(number) => map.serialize_entry(column.name, &number)?,
                Value::Bool(truth) => map.serialize_entry(column.name, &truth)?,
                Value::Time(stamp) => map.serialize_entry(column.name, &stamp.to_rfc3339_ms())?,
                Value::Evidence(items) => map.serialize_entry(column.name, &items.iter().map(EvidenceJson::new).collect::<Vec<_>>())?,
            }
        }
        map.end()
    }
}

/// One item of evidence with its time as text.
#[derive(Serialize)]
struct EvidenceJson<'a> {
    kind: &'static str,
    source: Option<&'a str>,
    line: Option<u64>,
    time: Option<String>,
    offset_ms: Option<i64>,
    text: &'a str,
}

impl<'a> EvidenceJson<'a> {
    fn new(item: &'a Evidence) -> Self {
        Self {
            kind: item.kind.name(),
            source: Some(item.source.as_str()).filter(|s| !s.is_empty()),
            line: item.line,
            time: item.time_ms.map(|ms| Stamp(ms.saturating_mul(MILLI)).to_rfc3339_ms()),
            offset_ms: item.offset_ms,
            text: &item.text,
        }
    }
}
