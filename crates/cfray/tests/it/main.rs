//! The command as its users meet it: through the binary, by files, streams and exit statuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod causes;
mod clocks;
mod config;
mod explain;
mod failures;
mod generated;
mod inputs;
mod outputs;
mod parquet;
mod ray;
mod spilled;
mod stories;
mod support;
