//! Near misses: user-data that is almost a config. None is passed over, because an instance would then boot what an older layer says.
//!
//! ```text
//!   a line that names berth   line.rs   what stands in front of it, behind it, or in it
//!   a text that is encoded    coded.rs  undone, it holds a config
//!   a text in another form    text.rs   YAML, TOML without its head, MIME that is none
//! ```
//! Each file has one table of recognisers, each of them with a sentence that says what it plainly is and what to do.

pub(crate) use coded::ENCODINGS;
pub use line::COMMANDS;
pub(crate) use line::{BerthLine, NearMiss, goes_on, look};
pub(crate) use text::{Misread, commented_keys, foreign_compression, misread, own_part};

mod coded;
mod line;
mod text;
