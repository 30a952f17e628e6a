//! Embedded migrations: a new file in `migrations/` must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
