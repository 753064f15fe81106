//! Edges: each adapter against the other side of its wire, as far as possible somebody else's.

mod engine;
