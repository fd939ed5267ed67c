//! Generator of log sets of any size with known truth, for benches and for `benches/compare`.
#![forbid(unsafe_code)]

pub mod generate;
