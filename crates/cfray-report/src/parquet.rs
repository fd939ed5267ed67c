//! Parquet by polars: the columns of the contract with real types.

use crate::columns::{Column, ColumnType, Value, columns};
use crate::view::View;
use crate::{RenderOptions, ReportError, ordered};
use cfray_model::report::Row;
use cfray_model::shelf::BLOCK;
use polars_core::prelude::{
    BooleanChunked, Column as Series, CompatLevel, DataType, Field, Int16Chunked, Int32Chunked, Int64Chunked, IntoColumn, IntoSeries,
    NamedFrom, NewChunkedArray, PlSmallStr, PolarsError, PolarsResult, Schema, StringChunked, StructChunked, TimeUnit, TimeZone,
};
use polars_core::utils::arrow::array::ListArray;
use polars_core::utils::arrow::offset::Offsets;
use polars_io::prelude::{ParquetCompression, ParquetWriter};
use polars_parquet::parquet::error::ParquetError;
use polars_parquet::write::{
    CompressedPage, Compressor, ParquetType, StatisticsOptions, Version, WriteOptions, ZstdLevel, array_to_columns, get_dtype_encoding,
};
use rayon::prelude::*;
use std::borrow::Cow;
use std::io::Write;

/// Rows in one row group, and in memory at once for each thread: masked rows and columns take some kilobytes each. Whole blocks
/// of packed rows, so that none is unpacked for two groups.
const GROUP: usize = 8 * BLOCK;

/// Of every page: the fastest level. Higher ones take twice the time and save a few hundredths.
fn compression() -> PolarsResult<ParquetCompression> {
    Ok(ParquetCompression::Zstd(Some(ZstdLevel::try_new(1)?)))
}

impl From<PolarsError> for ReportError {
    fn from(error: PolarsError) -> Self {
        match error {
            PolarsError::IO { error, .. } => Self::Io(std::io::Error::new(error.kind(), error.to_string())),
            other => Self::Parquet(other.to_string()),
        }
    }
}

/// Writes the file, a row group at a time. Without incidents it still has its schema.
pub fn render(view: &View<'_>, _: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    let schema = Schema::from_iter(columns().iter().map(|column| Field::new(column.name.into(), dtype(column.kind))));
    let mut writer = ParquetWriter::new(out).with_compression(compression()?).batched(&schema)?;
    let types = writer.parquet_schema().fields().to_vec();
    if view.len() <= GROUP {
        // Of one group the columns are made side by side, of several the groups are.
        let rows = view.batch(0, GROUP);
        let columns = columns().par_iter().zip(&types).map(|(column, of)| leaves(column, of, &rows));
        let pages = columns.collect::<PolarsResult<Vec<_>>>()?.into_iter().flatten().collect::<Vec<_>>();
        if !rows.is_empty() {
            writer.write_row_group(rows.len() as u64, &pages)?;
        }
    } else {
        let group = |number: usize| group(&view.part(number * GROUP, (number + 1) * GROUP), &types);
        ordered::each(view.threads(), view.len().div_ceil(GROUP), group, |group| {
            let (rows, pages) = group?;
            Ok(writer.write_row_group(rows as u64, &pages)?)
        })?;
    }
    writer.finish()?;
    Ok(())
}

/// The pages of each leaf of the schema, encoded and compressed.
type Leaves = Vec<Vec<CompressedPage>>;

/// A row group as [`BatchedWriter::write_batch`](polars_io::prelude::BatchedWriter) would write it, and its number of rows.
fn group(rows: &[Cow<'_, Row>], types: &[ParquetType]) -> PolarsResult<(usize, Leaves)> {
    let mut all = Vec::with_capacity(types.len() + 8);
    for (column, of) in columns().iter().zip(types) {
        // A column goes when its pages are there.
        all.append(&mut leaves(column, of, rows)?);
    }
    Ok((rows.len(), all))
}

/// One column of a row group: a leaf, or those of a list's items.
fn leaves(column: &Column, of: &ParquetType, rows: &[Cow<'_, Row>]) -> PolarsResult<Leaves> {
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: compression()?.into(),
        data_page_size: None,
    };
    let array = series(column, rows)?.take_materialized_series().rechunk().to_arrow(0, CompatLevel::newest());
    let columns = array_to_columns(&array, of.clone(), options, &get_dtype_encoding(array.dtype()))?;
    columns
        .into_iter()
        .map(|pages| {
            let pages = pages.map(|page| page.map_err(|error| ParquetError::FeatureNotSupported(error.to_string())));
            Ok(Compressor::new(pages, options.compression, Vec::new()).collect::<Result<Vec<_>, _>>()?)
        })
        .collect()
}

fn time() -> DataType {
    DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC))
}

fn item() -> DataType {
    DataType::Struct(vec![
        Field::new("kind".into(), DataType::String),
        Field::new("source".into(), DataType::String),
        Field::new("line".into(), DataType::Int64),
        Field::new("time".into(), time()),
        Field::new("offset_ms".into(), DataType::Int64),
        Field::new("text".into(), DataType::String),
    ])
}

fn dtype(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text => DataType::String,
        ColumnType::Int16 => DataType::Int16,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Time => time(),
        ColumnType::Evidence => DataType::List(Box::new(item())),
    }
}

fn series(column: &Column, rows: &[Cow<'_, Row>]) -> PolarsResult<Series> {
    let name = PlSmallStr::from(column.name);
    let cells = rows.iter().map(|row| (column.get)(row));
    Ok(match column.kind {
        ColumnType::Text => {
            let texts: Vec<Option<_>> = cells.map(|cell| if let Value::Text(text) = cell { Some(text) } else { None }).collect();
            StringChunked::from_iter_options(name, texts.into_iter()).into_column()
        }
        // A number that does not fit its column is a broken log's; it saturates rather than wraps.
        ColumnType::Int16 => {
            Int16Chunked::from_iter_options(name, cells.map(|c| int(&c).map(|n| n.clamp(i16::MIN.into(), i16::MAX.into()) as i16)))
                .into_column()
        }
        ColumnType::Int32 => {
            Int32Chunked::from_iter_options(name, cells.map(|c| int(&c).map(|n| n.clamp(i32::MIN.into(), i32::MAX.into()) as i32)))
                .into_column()
        }
        ColumnType::Int64 => Int64Chunked::from_iter_options(name, cells.map(|c| int(&c))).into_column(),
        ColumnType::Float => {
            let numbers: Vec<Option<f64>> = cells.map(|cell| if let Value::Float(number) = cell { Some(number) } else { None }).collect();
            polars_core::prelude::Series::new(name, numbers).into_column()
        }
        ColumnType::Bool => {
            BooleanChunked::from_iter_options(name, cells.map(|cell| if let Value::Bool(truth) = cell { Some(truth) } else { None }))
                .into_column()
        }
        ColumnType::Time => {
            times(name, cells.map(|cell| if let Value::Time(stamp) = cell { Some(stamp.millis()) } else { None })).into_column()
        }
        ColumnType::Evidence => evidence(name, rows)?.into_column(),
    })
}

fn int(cell: &Value<'_>) -> Option<i64> {
    if let Value::Int(number) = cell { Some(*number) } else { None }
}

fn times(name: PlSmallStr, millis: impl Iterator<Item = Option<i64>>) -> polars_core::prelude::Series {
    Int64Chunked::from_iter_options(name, millis).into_datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC)).into_series()
}

/// One struct for all items of all rows, cut into one list a row.
fn evidence(name: PlSmallStr, rows: &[Cow<'_, Row>]) -> PolarsResult<polars_core::prelude::Series> {
    let items: Vec<_> = rows.iter().flat_map(|row| &row.verdict.evidence).collect();
    let fields = [
        StringChunked::from_iter_options("kind".into(), items.iter().map(|i| Some(i.kind.name()))).into_series(),
        StringChunked::from_iter_options("source".into(), items.iter().map(|i| Some(i.source.as_str()).filter(|s| !s.is_empty())))
            .into_series(),
        Int64Chunked::from_iter_options("line".into(), items.iter().map(|i| i.line.and_then(|n| i64::try_from(n).ok()))).into_series(),
        times("time".into(), items.iter().map(|i| i.time_ms)),
        Int64Chunked::from_iter_options("offset_ms".into(), items.iter().map(|i| i.offset_ms)).into_series(),
        StringChunked::from_iter_options("text".into(), items.iter().map(|i| Some(i.text.as_str()))).into_series(),
    ];
    let structs = StructChunked::from_series("item".into(), items.len(), fields.iter())?.into_series().rechunk();
    // One array of structs, and where each row's part of it ends: a slice a row would cost more than all other columns.
    let values = structs.to_arrow(0, CompatLevel::newest());
    let offsets = Offsets::<i64>::try_from_lengths(rows.iter().map(|row| row.verdict.evidence.len()))?;
    let list = ListArray::<i64>::try_new(ListArray::<i64>::default_datatype(values.dtype().clone()), offsets.into(), values, None)?;
    let lists = polars_core::prelude::Series::from_arrow(name, Box::new(list))?;
    debug_assert_eq!(lists.dtype(), &dtype(ColumnType::Evidence));
    Ok(lists)
}

#[cfg(test)]
mod tests;
