//! Stage flow.
