//! Stage audit.
