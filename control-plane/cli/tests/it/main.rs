//! The program as a user runs it: real processes against a scripted server.

// A test ends where its setting fails; clippy knows test functions only, not their support.
#![allow(clippy::unwrap_used)]

mod certificate;
mod config;
mod document;
mod outcomes;
mod output;
mod purchase;
mod session;
mod support;
mod watching;
