//! nginx_access
