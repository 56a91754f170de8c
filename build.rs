//! The commit that this is built from, for records: that of the environment, else git's, with `-dirty` after changes.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LOTTERY_COMMIT");
    let given = env::var("LOTTERY_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(of_repository) {
        println!("cargo:rustc-env=LOTTERY_COMMIT={commit}");
    }
}

fn of_repository() -> Option<String> {
    // Not that of a repository which the sources were only unpacked in.
    if !Path::new(".git").exists() {
        return None;
    }
    // A commit that changes nothing here leaves the program as it was built, and its label with it.
    ["src", "crates", "Cargo.lock"].iter().for_each(|path| println!("cargo:rerun-if-changed={path}"));
    git(&["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
