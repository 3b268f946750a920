//! Migrations are embedded by `sqlx::migrate!`, which cargo does not see.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
