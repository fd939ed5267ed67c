//! apache_error
