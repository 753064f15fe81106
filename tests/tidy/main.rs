//! What the compiler cannot see: that the documents, the unit file and the code say the same, and that each floor of the
//! house uses only the floors below it.

#![cfg(test)]

mod aws_commands;
mod cases;
mod commands;
mod dependencies;
mod exit_codes;
mod floors;
mod links;
mod needs;
mod one_lines;
mod ready;
