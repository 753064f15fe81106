//! What is made from the code of berth for people: the manual pages, the completions, and the made pages of docs/.
//!
//! A page is first a list of blocks ([`text`]), and then set as roff ([`roff`]) or as Markdown. `berth-manual DIR DATE` writes what the
//! packages hold; the pages of docs/ are compared by this crate's tests, and written by the same tests with `UPDATE_EXPECT=1`.

pub mod text;

pub mod markdown;
pub mod roff;
pub mod shipped;

#[cfg(test)]
mod contents;
#[cfg(test)]
mod made;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod schema;

pub mod exits;
pub mod files;
pub mod help;

pub mod commands;
pub mod keys;
pub mod service;

#[cfg(test)]
mod troubleshooting;
