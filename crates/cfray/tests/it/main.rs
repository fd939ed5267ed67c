//! The command as its users meet it: through the binary, by files, streams and exit statuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accuracy;
mod audit;
mod causes;
mod clock_changes;
mod clocks;
mod config;
mod coverage;
mod explain;
mod failures;
mod generated;
mod inputs;
mod outputs;
mod parquet;
mod ray;
mod stories;
mod support;
