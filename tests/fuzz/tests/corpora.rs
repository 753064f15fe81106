//! Every input of `corpus/`, and every input that a fuzzer found something with, through the function that it is an input of.

#![cfg(test)]

use std::fs;
use std::path::Path;

/// Cuts of each input that are tried as well.
const CUTS: usize = 16;

#[track_caller]
#[expect(clippy::print_stderr, reason = "which input it was, beside the panic's own words")]
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "{} inputs in {}", files.len(), corpus.display());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() <= 16 * 1024, "{} is too long to be kept", file.display());
        if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
            eprintln!("the input was {}", file.display());
            std::panic::resume_unwind(panic);
        }
        for cut in bytes.chunks((bytes.len() / CUTS).max(1)).scan(0, |end, chunk| {
            *end += chunk.len();
            bytes.get(..*end - 1)
        }) {
            target(cut);
        }
    }
}

#[test]
fn the_inputs_of_config_keep_its_promises() {
    replay("config", berth_fuzz::config);
}

#[test]
fn the_inputs_of_dns_keep_its_promises() {
    replay("dns", berth_fuzz::dns);
}

#[test]
fn the_inputs_of_imds_keep_its_promises() {
    replay("imds", berth_fuzz::imds);
}

#[test]
fn the_inputs_of_aws_errors_keep_its_promises() {
    replay("aws_errors", berth_fuzz::aws_errors);
}

#[test]
fn the_inputs_of_pull_keep_its_promises() {
    replay("pull", berth_fuzz::pull);
}

#[test]
fn the_inputs_of_registry_keep_its_promises() {
    replay("registry", berth_fuzz::registry);
}

#[test]
fn the_inputs_of_endpoint_keep_its_promises() {
    replay("endpoint", berth_fuzz::endpoint);
}

#[test]
fn the_inputs_of_socket_keep_its_promises() {
    replay("socket", berth_fuzz::socket);
}
