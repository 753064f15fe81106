//! Writes the manual pages and the shell completions that the packages hold: `berth-manual DIR DATE`.

use std::path::Path;
use std::{env, fs, io};

use berth_manual::roff::Page;
use berth_manual::{commands, keys, service, shipped};
use clap::CommandFactory;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let mut words = env::args().skip(1);
    match (words.next(), words.next(), words.next()) {
        (Some(directory), Some(date), None) => write(Path::new(&directory), &date),
        _ => Err(io::Error::other("usage: berth-manual DIR YYYY-MM-DD")),
    }
}

/// `man1/`, `man5/`, `man8/`, `completions/` for three shells and the pages of `docs/`, below `directory`.
fn write(directory: &Path, date: &str) -> io::Result<()> {
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        // `help` is completed by nobody: it takes the same names again.
        let mut berth = berth::cli::Cli::command().disable_help_subcommand(true);
        clap_complete::generate_to(shell, &mut berth, "berth", &completions)?;
    }
    let pages: Vec<Page> = commands::pages().into_iter().chain([keys::page(), service::page()]).collect();
    for page in pages {
        let folder = directory.join(format!("man{}", page.section));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{}.{}", page.name, page.section)), page.to_roff(date))?;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    copy_documentation(&sources, Path::new(""), &directory.join("docs"))
}

/// What is below `folder` of the documentation, the pages without links out of it.
fn copy_documentation(sources: &Path, folder: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join(folder))?;
    for entry in fs::read_dir(sources.join(folder))? {
        let entry = entry?;
        let below = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_documentation(sources, &below, to)?;
        } else if below.extension().is_some_and(|extension| extension == "md") {
            fs::write(to.join(&below), shipped::page(&below, &fs::read_to_string(entry.path())?))?;
        } else {
            fs::copy(entry.path(), to.join(&below))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Command;

    use super::*;

    /// What is shown of a command: its long flags and its commands.
    fn words(command: &Command) -> Vec<String> {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let flags = flags.filter_map(|flag| flag.get_long().map(|long| format!("--{long}")));
        flags.chain(command.get_subcommands().map(|c| c.get_name().to_owned())).collect()
    }

    #[test]
    fn every_command_and_flag_is_in_every_completion() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "2026-11-28").unwrap();
        let read = |file: &str| fs::read_to_string(directory.path().join("completions").join(file)).unwrap();
        let mut berth = berth::cli::Cli::command().disable_help_subcommand(true);
        berth.build();
        let mut seen = 0;
        for command in std::iter::once(&berth).chain(berth.get_subcommands()) {
            for word in words(command) {
                seen += 1;
                for file in ["berth.bash", "_berth", "berth.fish"] {
                    // fish writes flags without their dashes: -l json
                    let word = if file == "berth.fish" { word.trim_start_matches("--") } else { &word };
                    assert!(read(file).contains(word), "{word} of {} is not in {file}", command.get_name());
                }
            }
        }
        assert!(seen > 20, "only {seen} words were looked for");
    }

    #[test]
    fn the_pages_are_below_their_sections() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "2026-11-28").unwrap();
        for page in ["man1/berth.1", "man1/berth-status.1", "man5/berth.toml.5", "man8/berth.service.8"] {
            assert!(directory.path().join(page).exists(), "{page}");
        }
    }
}
