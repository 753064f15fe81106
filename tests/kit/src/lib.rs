//! A world on loopback.
