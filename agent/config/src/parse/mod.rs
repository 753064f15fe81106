//! From bytes to keys with values and locations.

pub(crate) mod document;
pub(crate) mod layers;
pub(crate) mod syntax;
