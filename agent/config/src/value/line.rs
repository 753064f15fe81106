//! The one line: words as a shell splits them, each `key=value`. Also splits a command, which no shell runs.

use std::iter::Peekable;
use std::str::Chars;

use crate::value::printable::is_invisible;
use crate::value::text::TYPOGRAPHIC;
use crate::value::{Reason, Value};

/// One word of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word without its quotes.
    pub(crate) text: String,
    /// The column of its first character, counted from 1.
    pub(crate) column: usize,
}

/// A word that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadWord {
    /// The column, counted from 1.
    pub(crate) column: usize,
    /// What is wrong there.
    pub(crate) reason: Reason,
}

/// Splits at spaces; `'…'`, `"…"` and `\` quote as in a shell. What a shell would expand (`$`, `` ` ``, `*`, `~`) is text.
pub(crate) fn words(line: &str) -> Result<Vec<Word>, BadWord> {
    let mut chars = Columns { chars: line.chars().peekable(), column: 0 };
    let mut words: Vec<Word> = Vec::new();
    let mut within = false;
    while let Some(char) = chars.next()? {
        if matches!(char, ' ' | '\t') {
            within = false;
            continue;
        }
        if char.is_whitespace() {
            return Err(chars
                .bad("a space character other than U+0020: replace it with a plain space, or put quotes around it"));
        }
        if is_invisible(char) {
            return Err(chars.bad("an invisible character: remove it, or put quotes around it"));
        }
        if !within {
            words.push(Word { text: String::new(), column: chars.column });
            within = true;
        }
        let Some(word) = words.last_mut() else { continue };
        match char {
            '\'' => chars.single_quoted(&mut word.text)?,
            '"' => chars.double_quoted(&mut word.text)?,
            '\\' => match chars.next()? {
                // A shell reads it as a plain `n`, which is never meant.
                Some('n' | 'r') => return Err(chars.bad("`\\n` as two characters: write a real line end, or `\\\\n`")),
                Some(escaped) => word.text.push(escaped),
                None => return Err(chars.bad("the line ends with `\\`: everything must be on one line")),
            },
            open if TYPOGRAPHIC.contains(&open) && (word.text.is_empty() || word.text.ends_with('=')) => {
                return Err(chars.bad("a typographic quote: write a plain one, `'` or `\"`"));
            }
            plain => word.text.push(plain),
        }
    }
    Ok(words)
}

/// A command as `docker run` takes it. An array of TOML or JSON stays as it is; a text is split as a shell does or at its commas,
/// by which of space and comma comes first. No shell runs it.
pub(crate) fn command(value: &Value) -> Result<Option<Vec<String>>, Reason> {
    let text = match value {
        Value::List(words) if words.is_empty() => return Ok(None),
        Value::List(_) => return checked(value.list().iter().map(ToString::to_string).collect()),
        Value::Text(_) => value.text()?,
    };
    match text.find([' ', '\t', ',', '\'', '"']).and_then(|at| text.get(at..)) {
        _ if text.is_empty() => Ok(None),
        Some(rest) if rest.starts_with(',') => checked(value.list().iter().map(ToString::to_string).collect()),
        _ => checked(shell_words(text)?),
    }
}

/// The words of a command in one text.
pub(crate) fn shell_words(text: &str) -> Result<Vec<String>, Reason> {
    let words = words(text).map_err(|bad| bad.reason)?;
    Ok(words.into_iter().map(|word| word.text).collect())
}

fn checked(words: Vec<String>) -> Result<Option<Vec<String>>, Reason> {
    match words.first() {
        None => Err("has no word".into()),
        Some(first) if first.is_empty() => Err("begins with an empty word".into()),
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err("contains a NUL byte".into()),
        Some(_) => Ok(Some(words)),
    }
}

/// Characters, with the column of the last one read.
struct Columns<'a> {
    chars: Peekable<Chars<'a>>,
    column: usize,
}

impl Columns<'_> {
    fn next(&mut self) -> Result<Option<char>, BadWord> {
        let Some(char) = self.chars.next() else { return Ok(None) };
        self.column += 1;
        if char.is_control() && char != '\t' {
            return Err(self.bad("a control character"));
        }
        Ok(Some(char))
    }

    fn bad(&self, reason: &'static str) -> BadWord {
        BadWord { column: self.column, reason: reason.into() }
    }

    fn single_quoted(&mut self, into: &mut String) -> Result<(), BadWord> {
        let opened = self.column;
        loop {
            match self.next()? {
                Some('\'') => return Ok(()),
                Some(char) => into.push(char),
                None => return Err(BadWord { column: opened, reason: "this ' is never closed".into() }),
            }
        }
    }

    fn double_quoted(&mut self, into: &mut String) -> Result<(), BadWord> {
        let opened = self.column;
        loop {
            match self.next()? {
                Some('"') => return Ok(()),
                Some('\\') => match self.chars.peek() {
                    Some('"' | '\\' | '$' | '`') => into.extend(self.next()?),
                    _ => into.push('\\'),
                },
                Some(char) => into.push(char),
                None => return Err(BadWord { column: opened, reason: "this \" is never closed".into() }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let reported = match words(line) {
            Ok(words) => words.iter().map(|w| format!("{}:{}", w.column, w.text)).collect::<Vec<_>>().join("|"),
            Err(bad) => format!("column {}: {}", bad.column, bad.reason),
        };
        assert_eq!(reported, expected, "{line:?}");
    }

    #[test]
    fn words_are_split_and_unquoted_as_a_shell_does() {
        check("", "");
        check("  \t ", "");
        check("a=1 b=2", "1:a=1|5:b=2");
        check("\ta=1   b=2 ", "2:a=1|8:b=2");
        check("a='x y' b", "1:a=x y|9:b");
        check(r#"a="x 'y' \" \n \\ \$""#, r#"1:a=x 'y' " \n \ $"#);
        check(r"a=x\ y\'z", "1:a=x y'z");
        check("a='$HOME' b=$HOME c=*", "1:a=$HOME|11:b=$HOME|19:c=*");
        check("'' \"\"", "1:|4:");
        check("ä=ö b", "1:ä=ö|5:b");
        check(r"'\'", r"1:\");
    }

    #[test]
    fn an_incomplete_word_is_an_error_with_its_column() {
        check("a b='x y", "column 5: this ' is never closed");
        check("a=\"x\\\"", "column 3: this \" is never closed");
        check("a=1 \\", "column 5: the line ends with `\\`: everything must be on one line");
        check("a=1\0", "column 4: a control character");
        check(
            "a=1\u{a0}b=2",
            "column 4: a space character other than U+0020: replace it with a plain space, or put quotes around it",
        );
        check("a='1\u{a0}b'", "1:a=1\u{a0}b");
        check("a=1\\n", "column 5: `\\n` as two characters: write a real line end, or `\\\\n`");
        check(r"a=1\\n b='\n'", r"1:a=1\n|8:b=\n");
        check("a=1\u{200b}b", "column 4: an invisible character: remove it, or put quotes around it");
        check("a='1\u{200b}b'", "1:a=1\u{200b}b");
        check("a=“x”", "column 3: a typographic quote: write a plain one, `'` or `\"`");
        check("a='“x”' b=it’s", "1:a=“x”|9:b=it’s");
    }

    #[test]
    fn a_command_is_split_at_spaces_or_at_commas_by_which_comes_first() {
        let reported = |text: &str| command(&Value::Text(text.into())).map(|words| words.unwrap_or_default().join("|"));
        assert_eq!(reported("serve"), Ok("serve".into()));
        assert_eq!(reported("serve --hosts=a,b"), Ok("serve|--hosts=a,b".into()));
        assert_eq!(reported("nginx,-g,daemon off;"), Ok("nginx|-g|daemon off;".into()));
        assert_eq!(reported("sh -c 'a, b'"), Ok("sh|-c|a, b".into()));
        assert_eq!(reported(r"--hosts=a\,b,-v"), Ok("--hosts=a,b|-v".into()));
        assert_eq!(reported("'a,b' c"), Ok("a,b|c".into()));
        assert_eq!(reported("sh -c 'x"), Err("this ' is never closed".into()));
        assert_eq!(reported(",x"), Err("begins with an empty word".into()));
        assert_eq!(command(&Value::Text(String::new())), Ok(None), "the image's own");
        assert_eq!(command(&Value::List(vec!["a b".into(), "c,d".into()])), Ok(Some(vec!["a b".into(), "c,d".into()])));
    }
}
