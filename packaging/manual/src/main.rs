//! Writes the manual pages and the shell completions that the packages hold: `berth-manual DIR`.
//!
//! Everything comes from the definition of the commands and flags, which is what `--help` shows.

use std::ffi::OsString;
use std::path::Path;
use std::{env, fs, io};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

fn main() -> io::Result<()> {
    let directory: Option<OsString> = env::args_os().nth(1);
    let directory = directory.ok_or_else(|| io::Error::other("usage: berth-manual DIR"))?;
    write(Path::new(&directory))
}

/// `man1/berth.1`, `man1/berth-COMMAND.1` and `completions/` for three shells, below `directory`.
fn write(directory: &Path) -> io::Result<()> {
    let mut berth = berth::cli::Cli::command().disable_help_subcommand(true);
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut berth, "berth", &completions)?;
    }
    berth.build();
    let manual = directory.join("man1");
    fs::create_dir_all(&manual)?;
    for page in std::iter::once(&berth).chain(berth.get_subcommands()) {
        let name = page.get_display_name().unwrap_or(page.get_name()).to_owned();
        fs::write(manual.join(format!("{name}.1")), self::page(page.clone())?)?;
    }
    Ok(())
}

/// One page. What stands below the flags in `--help` is set as it is there: it holds examples and tables.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let below = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let has_commands = command.has_subcommands();
    let source = format!("berth {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).source(source).manual("berth");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(below) = below {
        page.extend(b".SH NOTES\n.nf\n");
        for line in below.lines() {
            page.extend(as_roff(line).bytes());
            page.push(b'\n');
        }
        page.extend(b".fi\n");
    }
    Ok(page)
}

/// A line that roff shows as it is.
fn as_roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('…', "...");
    // At the beginning of a line these would be requests.
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What is shown of a command: its long flags, its commands and its named values.
    fn words(command: &Command) -> Vec<String> {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let flags = flags.filter_map(|flag| flag.get_long().map(|long| format!("--{long}")));
        flags.chain(command.get_subcommands().map(|c| c.get_name().to_owned())).collect()
    }

    #[test]
    fn every_command_and_flag_is_in_its_page_and_in_every_completion() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let read = |file: String| fs::read_to_string(directory.path().join(file)).unwrap().replace("\\-", "-");
        // `help` shows what is in the pages of the others, and has none.
        let mut berth = berth::cli::Cli::command().disable_help_subcommand(true);
        berth.build();
        let mut seen = 0;
        for command in std::iter::once(&berth).chain(berth.get_subcommands()) {
            let name = command.get_display_name().unwrap_or("berth");
            let page = read(format!("man1/{name}.1"));
            // Where they are told of, not the synopsis, which only names them.
            let (_, page) = page.split_once(".SH OPTIONS").unwrap();
            for word in words(command) {
                seen += 1;
                assert!(page.contains(&word), "{word} is not in {name}(1)");
                for file in ["berth.bash", "_berth", "berth.fish"] {
                    // fish writes flags without their dashes: -l json
                    let word = if file == "berth.fish" { word.trim_start_matches("--") } else { &word };
                    assert!(read(format!("completions/{file}")).contains(word), "{word} of {name} is not in {file}");
                }
            }
        }
        assert!(seen > 20, "only {seen} words were looked for");
    }

    #[test]
    fn a_line_of_an_example_is_shown_as_it_is() {
        assert_eq!(as_roff(".x -y 'z' \\"), "\\&.x \\-y \\(aqz\\(aq \\e");
    }
}
