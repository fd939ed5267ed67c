//! The command as its users meet it: through the binary, by files, streams and exit statuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]
// A test that this machine cannot run says so.
#![allow(clippy::print_stdout)]

mod accuracy;
mod audit;
mod bundle;
mod causes;
mod clock_changes;
mod clocks;
mod config;
mod coverage;
mod explain;
mod failures;
mod generated;
mod hostile;
mod inputs;
mod killed;
mod linear;
mod outputs;
mod own_causes;
mod parquet;
mod ray;
mod redaction;
mod regressions;
mod slices;
mod spilled;
mod stories;
mod support;
