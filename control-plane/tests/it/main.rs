//! Integration tests: one binary, a module a resource.

mod pki;
