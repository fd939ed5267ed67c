//! Access lines written as one JSON object each: a forgiving reader and what its keys mean.

pub mod learn;
pub mod scan;
