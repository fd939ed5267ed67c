#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::{OutputFormat, example, render as render_as};
use polars_core::prelude::{AnyValue, DataFrame};
use polars_io::prelude::{ParquetReader, SerReader};

fn written(report: &cfray_model::report::Report) -> DataFrame {
    let mut out = Vec::new();
    render_as(report, OutputFormat::Parquet, &RenderOptions::default(), &mut out).unwrap();
    ParquetReader::new(std::io::Cursor::new(out)).finish().unwrap()
}

#[test]
fn types_and_values_read_back() {
    let report = example::report();
    let frame = written(&report);
    assert_eq!(frame.height(), report.rows.len());
    for column in columns() {
        assert_eq!(frame.column(column.name).unwrap().dtype(), &dtype(column.kind), "{}", column.name);
    }
    let cell = |name: &str, row: usize| frame.column(name).unwrap().get(row).unwrap().into_static();
    assert_eq!(cell("edge_status", 0), AnyValue::Int16(520));
    assert_eq!(cell("origin_tcp_ms", 0), AnyValue::Int32(0));
    assert_eq!(cell("client_asn", 0), AnyValue::Int64(64_496));
    assert_eq!(cell("counted", 0), AnyValue::Boolean(true));
    assert_eq!(cell("edge_ip", 5).get_str(), Some(""), "a logged empty string stays");
    assert!(cell("parent_ray_id", 0).is_null());
    for (index, row) in report.rows.iter().enumerate() {
        let AnyValue::Datetime(millis, TimeUnit::Milliseconds, Some(zone)) = frame.column("edge_time").unwrap().get(index).unwrap() else {
            panic!("no time")
        };
        assert_eq!((millis, zone.as_str()), (row.edge.start.unwrap().millis(), "UTC"));
        let AnyValue::List(items) = cell("evidence", index) else { panic!("no list") };
        assert_eq!(items.len(), row.verdict.evidence.len());
        let texts = items.struct_().unwrap().field_by_name("text").unwrap();
        let lines = items.struct_().unwrap().field_by_name("line").unwrap();
        for (at, item) in row.verdict.evidence.iter().enumerate() {
            assert_eq!(lines.i64().unwrap().get(at), item.line.map(|n| n as i64));
            let text = texts.str().unwrap().get(at).unwrap();
            assert!(text.chars().count() <= 400 && !text.contains("hunter2") && !text.contains('\x1b'));
        }
    }
}

#[test]
fn no_incidents_leave_the_schema() {
    let frame = written(&example::empty());
    assert_eq!(frame.height(), 0);
    for column in columns() {
        assert_eq!(frame.column(column.name).unwrap().dtype(), &dtype(column.kind), "{}", column.name);
    }
}

#[test]
fn more_rows_than_a_group() {
    let mut report = example::report();
    let row = report.rows.get(0).unwrap().into_owned();
    let numbered = |n: usize| Row { episode: Some(n as i64), ..row.clone() };
    report.rows = (0..2 * GROUP + 3).map(numbered).collect::<Vec<_>>().into();
    let bytes = |threads| {
        let mut out = Vec::new();
        let options = RenderOptions { threads, ..RenderOptions::default() };
        render_as(&report, OutputFormat::Parquet, &options, &mut out).unwrap();
        out
    };
    let written = bytes(1);
    assert!(bytes(3) == written, "threads make no difference");
    let mut reader = ParquetReader::new(std::io::Cursor::new(written));
    assert_eq!(reader.get_metadata().unwrap().row_groups.iter().map(|g| g.num_rows()).collect::<Vec<_>>(), [GROUP, GROUP, 3]);
    let frame = reader.finish().unwrap();
    assert_eq!(frame.height(), 2 * GROUP + 3);
    let episodes: Vec<Option<i64>> = frame.column("episode").unwrap().i64().unwrap().iter().collect();
    assert!(episodes.iter().zip(0..).all(|(episode, n)| *episode == Some(n)));
    let AnyValue::List(items) = frame.column("evidence").unwrap().get(GROUP + 2).unwrap() else { panic!("no list") };
    assert_eq!(items.len(), row.verdict.evidence.len());
}

/// A group that is encoded here is what polars writes of the same rows.
#[test]
fn groups_are_those_of_polars() {
    let report = example::report();
    let options = RenderOptions::default();
    let view = View::new(&report, &options);
    let rows = view.part(0, view.len());
    let schema = Schema::from_iter(columns().iter().map(|column| Field::new(column.name.into(), dtype(column.kind))));
    let written = |ours: bool| {
        let mut out = Vec::new();
        let mut writer = ParquetWriter::new(&mut out).with_compression(compression().unwrap()).batched(&schema).unwrap();
        if ours {
            let types = writer.parquet_schema().fields().to_vec();
            let (rows, pages) = group(&rows, &types).unwrap();
            writer.write_row_group(rows as u64, &pages).unwrap();
        } else {
            let series = columns().iter().map(|column| series(column, &rows).unwrap()).collect::<Vec<_>>();
            writer.write_batch(&DataFrame::new(rows.len(), series).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        out
    };
    assert!(written(true) == written(false));
}
