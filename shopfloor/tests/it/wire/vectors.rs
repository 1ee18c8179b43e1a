//! Our own vectors (`docs/vectors/blocks.json`).
