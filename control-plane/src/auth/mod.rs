//! The cryptography of sign-in: passwords, access tokens, random tokens.
//!
//! Knows no database and no HTTP: `app::auth` brings stored rows and this module together. Time is an argument.

pub mod password;
pub mod random;
pub mod token;
