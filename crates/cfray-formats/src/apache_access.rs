//! apache_access
