//! The command line: the same core, run natively.
