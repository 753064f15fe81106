//! Scenarios: the shipped binary in a world on loopback, with a real Docker Engine. Few, each a story that a user could tell.

mod boot;
