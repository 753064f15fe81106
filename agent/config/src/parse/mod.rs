//! From bytes to keys with values and places.

pub(crate) mod document;
pub(crate) mod layers;
pub(crate) mod syntax;
