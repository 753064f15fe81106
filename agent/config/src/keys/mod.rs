//! The table of keys, one row each: a key in a config, its documentation and its default come from here.
//!
//! A new key is a row in the file of its section, a field of [`Config`](crate::Config), and the code that uses it.

pub(crate) use key::{Key, KeyDefault};
pub(crate) use table::all;

pub(crate) mod app;
mod aws;
mod container;
pub(crate) mod defaults;
pub(crate) mod foreign_words;
mod key;
pub(crate) mod key_docs;
pub(crate) mod life;
mod limits;
mod release;
mod secrets;
pub(crate) mod suggest;
mod table;
mod target_groups;
