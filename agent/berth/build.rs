//! What the linker leaves out of the binary that is shipped. Only there: a test wants each function under its own name.

use std::env::var;
use std::path::Path;

/// The tables for unwinding themselves: 645 KB, an eighth of the binary. A panic aborts, so nothing ever reads them.
const NO_UNWIND_TABLES: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame.*) } } INSERT AFTER .text;\n";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| var(name).is_ok_and(|is| is == value);
    // The linker of this target is LLD, which comes with the toolchain; the one of the other architecture knows none of this.
    let is_lld = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is("PROFILE", "release") && is_lld {
        for argument in [
            // Functions and constants of the same bytes are kept once: 78 KB.
            "--icf=all",
            "--ignore-data-address-equality",
            "-O2",
            // The index for unwinding: 86 KB. A panic ends the process, and a backtrace without symbols says nothing.
            "--no-eh-frame-hdr",
        ] {
            println!("cargo:rustc-link-arg-bins=-Wl,{argument}");
        }
        let script = Path::new(&var("OUT_DIR").unwrap_or_default()).join("no-unwind-tables.ld");
        if let Err(error) = std::fs::write(&script, NO_UNWIND_TABLES) {
            println!("cargo:error=cannot write {}: {error}", script.display());
        }
        println!("cargo:rustc-link-arg-bins=-Wl,--script={}", script.display());
    }
}
