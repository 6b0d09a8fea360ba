//! Stage policy.
