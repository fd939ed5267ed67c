//! Format strings given by the user.

use crate::spec::RecordParser;
use std::fmt;

/// Why a format string cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// One sentence.
    pub reason: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for TemplateError {}

/// Compiles a format string.
pub fn from_template(_template: &str) -> Result<Box<dyn RecordParser>, TemplateError> {
    Err(TemplateError { reason: "not yet".to_owned() })
}
