//! Near misses: user-data that is almost a config. Each is an error, because the instance would boot the config of an older layer.
//!
//! ```text
//!   a line that names berth   line.rs   with something before, after or in the word
//!   a text that is encoded    coded.rs  decoded, it has a config
//!   a text in another form    text.rs   YAML, TOML without `#berth`, broken MIME
//! ```
//! Each file has one table of recognisers. Each recogniser has a sentence that says what the text is and what to do.

pub(crate) use coded::ENCODINGS;
pub use line::COMMANDS;
pub(crate) use line::{BerthLine, NearMiss, goes_on, look};
pub(crate) use text::{Misread, commented_keys, foreign_compression, misread, own_part};

mod coded;
mod line;
mod text;
