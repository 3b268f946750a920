//! Loops: what must stay true. Each takes no input, compares intent with what is, and acts; a signal only shortens its wait.

pub mod housekeeping;
