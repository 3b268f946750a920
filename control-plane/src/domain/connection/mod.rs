//! The connection guide.
