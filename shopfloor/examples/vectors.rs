//! Writes `docs/vectors/blocks.json` to stdout: `cargo run -p shopfloor --example vectors > docs/vectors/blocks.json`.
#![allow(clippy::print_stdout, reason = "it answers on stdout")]

#[path = "../tests/it/wire/vector_file.rs"]
mod vector_file;

fn main() {
    print!("{}", vector_file::text());
}
