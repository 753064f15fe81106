use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn redact(secrets: &[(&str, &str)], text: &str) -> String {
    redact_cut(secrets, text, false)
}

fn redact_cut(secrets: &[(&str, &str)], text: &str, is_cut: bool) -> String {
    let secrets: Vec<_> = secrets.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
    let redactor = Redactor::new(secrets.iter().map(|(name, secret)| (*name, secret)));
    String::from_utf8_lossy(&redactor.redact(text.as_bytes(), is_cut)).into_owned()
}

#[test]
fn a_value_is_replaced_by_its_name() {
    let secrets = [("DB_PASSWORD", "hunter2"), ("DB_HOST", "db.internal")];
    assert_eq!(
        redact(&secrets, "cannot log in at db.internal:5432 with hunter2\nagain: hunter2hunter2"),
        "cannot log in at [secret DB_HOST]:5432 with [secret DB_PASSWORD]\n\
         again: [secret DB_PASSWORD][secret DB_PASSWORD]"
    );
    assert_eq!(redact(&[], "hunter2"), "hunter2");
}

#[test]
fn what_is_too_short_or_an_ordinary_word_is_left() {
    let secrets = [("A", "1"), ("B", "abc"), ("C", "true"), ("D", "FALSE"), ("E", "null"), ("F", ""), ("G", " \n")];
    assert_eq!(redact(&secrets, "1 abc true FALSE null"), "1 abc true FALSE null");
    assert_eq!(redact(&[("A", "5432")], "on 5432"), "on [secret A]");
}

#[test]
fn the_space_at_the_ends_of_a_value_need_not_be_there() {
    assert_eq!(redact(&[("A", "hunter2\n")], "<hunter2>"), "<[secret A]>");
}

/// A service account of Google's holds its key like this.
#[test]
fn a_text_of_several_lines_inside_of_json_is_found_line_by_line() {
    let value = Secret::new(
        r#"{"type":"service_account","private_key":"-----BEGIN KEY-----\nMIIEvgIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"}"#,
    );
    let redactor = Redactor::new([("GCP", &value)]);
    for line in ["MIIEvgIBADAN", "    BgkqhkiG9w0B", "key: MIIEvgIBADAN!"] {
        let shown = redactor.redact(line.as_bytes(), false);
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains("[secret GCP]") && !shown.contains("MIIE") && !shown.contains("Bgkq"), "{shown}");
    }
}

#[test]
fn a_value_of_several_lines_is_found_whole_and_line_by_line() {
    let key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\nkqhkiG9w0B\r\n-----END KEY-----\r\n";
    let secrets = [("KEY", key)];
    assert_eq!(redact(&secrets, &format!("key: {}.", key.trim_end())), "key: [secret KEY].");
    assert_eq!(redact(&secrets, &format!("key: {}.", key.trim_end().replace("\r\n", "\n"))), "key: [secret KEY].");
    assert_eq!(redact(&secrets, "12:00 MIIEvQIBADANBg\n12:00 kqhkiG9w0B"), "12:00 [secret KEY]\n12:00 [secret KEY]");
    assert_eq!(redact(&secrets, &serde_json::to_string(key.trim_end()).unwrap()), "\"[secret KEY]\"");
}

#[test]
fn what_a_json_value_holds_is_found_alone() {
    let value = r#"{"user": "admin", "nested": [{"password": "hun\"ter2"}], "pin": 123456, "port": 80, "tls": true}"#;
    let secrets = [("DB", value)];
    assert_eq!(
        redact(&secrets, "admin hun\"ter2 123456 80 true user"),
        "[secret DB] [secret DB] [secret DB] 80 true user"
    );
    assert_eq!(redact(&secrets, value), "[secret DB]");
}

#[test]
fn the_password_in_a_url_is_found_alone() {
    let secrets = [("DATABASE_URL", "postgres://app:p%40ss:w0rd@db/app?x=a@b")];
    assert_eq!(redact(&secrets, "p%40ss:w0rd p@ss:w0rd app db"), "[secret DATABASE_URL] [secret DATABASE_URL] app db");
    assert_eq!(redact(&[("A", "https://example.com/a:b@c")], "a:b@c b example.com"), "a:b@c b example.com");
}

#[test]
fn a_token_of_base64_with_the_value_in_it_goes_as_a_whole() {
    let secrets = [("PASSWORD", "hunter2")];
    for user in ["a", "ab", "abc", "abcd"] {
        let token = STANDARD.encode(format!("{user}:hunter2"));
        assert_eq!(redact(&secrets, &format!("Basic {token}, ok")), "Basic [secret PASSWORD], ok");
    }
    // `?~` and `>>` are what the two alphabets write differently.
    let token = URL_SAFE.encode("x:?~?>>>~hunter2>?");
    assert_eq!(redact(&[("P", "~?>>>~")], &format!("t={token}")), "[secret P]", "an equals sign may belong to a token");
}

#[test]
fn colours_do_not_hide_a_value() {
    assert_eq!(redact(&[("A", "hunter2")], "\x1b[32mhun\x1b[0mter2\x1b[0m!"), "[secret A]!");
    assert_eq!(redact(&[("A", "a\x1b[1mhunter2\tb\x01")], "a\x1b[1mhunter2\tb\x01"), "[secret A]");
}

#[test]
fn values_that_overlap_leave_nothing_between_them() {
    assert_eq!(redact(&[("A", "abcdef"), ("B", "efghij")], "abcdefghij."), "[secret A].");
    assert_eq!(redact(&[("A", "cdef"), ("B", "abcdefghij")], "abcdefghij."), "[secret B].");
}

#[test]
fn a_text_that_may_begin_in_a_value_loses_its_beginning() {
    let secrets = [("A", "hunter2-hunter2")];
    assert_eq!(redact_cut(&secrets, "ter2-hunter2\nnext", true), "next");
    let line = format!("ter2-hunter2{}", "x".repeat(200));
    assert_eq!(redact_cut(&secrets, &line, true), "x".repeat(200 + 12 - 15 * 6));
    assert_eq!(redact_cut(&[], "ter2\nnext", true), "ter2\nnext", "without secrets there is nothing to lose");
}

#[test]
fn a_name_cannot_forge_a_line() {
    let name = format!("A\n\x1b[2J]{}", "x".repeat(100));
    let shown = redact(&[(&name, "hunter2")], "hunter2");
    assert_eq!(shown, format!("[secret A??[2J?{}]", "x".repeat(33)).replace("??[", "???"));
}

#[test]
fn bytes_that_are_no_text_are_found_too() {
    let secret = Secret::new([0xff, 0xfe, 0, 1, 2, 3]);
    let redactor = Redactor::new([("BIN", &secret)]);
    let text = [&b"<"[..], &[0xff, 0xfe, 0, 1, 2, 3], b"> %FF%fe%00%01%02%03 fffe00010203"].concat();
    assert_eq!(&**redactor.redact(&text, false), b"<[secret BIN]> [secret BIN] [secret BIN]");
}

/// A text of JSON in which all but ASCII is escaped, as Python writes it.
fn ascii_json(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    json.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect()
}

fn percent(text: &str, kept: fn(u8) -> bool) -> String {
    text.bytes().map(|b| if kept(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

proptest! {
    /// Around the value there is nothing that a value may hold.
    #[test]
    fn no_value_survives_in_any_encoding(
        value in prop_oneof![r#"[a-zA-Z0-9"'\\/%+:@äé€😀\n\t=]{4,8}"#, r#"[a-zA-Z0-9"'\\/%+:@äé€😀\n\t=]{4,60}"#],
        before in "#{0,4}",
        which in 0..13,
    ) {
        // Lower case is another value where letters are not encoded.
        let value = if which == 5 { value.to_lowercase() } else { value };
        let value = value.trim();
        prop_assume!(value.len() >= SHORTEST && !is_ordinary(value.as_bytes()));
        let json = serde_json::to_string(value).unwrap();
        let encoded = match which {
            0 => value.to_owned(),
            1 => json,
            2 => serde_json::to_string(&json).unwrap(),
            3 => ascii_json(value),
            4 => percent(value, |_| false),
            5 => percent(value, |byte| byte.is_ascii_alphanumeric()).to_lowercase(),
            6 => percent(value, |byte| byte.is_ascii_alphanumeric() || byte == b' ').replace(' ', "+"),
            7 => STANDARD.encode(format!("{before}{value}{before}")),
            8 => URL_SAFE.encode(format!("{before}{value}")),
            9 => STANDARD.encode(value),
            10 => value.bytes().map(|byte| format!("{byte:02x}")).collect(),
            11 => serde_json::to_string(&percent(value, |_| false)).unwrap(),
            _ => format!("{value:?}"),
        };
        let inner = encoded.trim_matches('"').to_owned();
        let shown = redact(&[("NAME", value)], &format!("{before} <{encoded}> {before}"));
        prop_assert!(shown.contains("[secret NAME]"), "{encoded:?} is left: {shown:?}");
        prop_assert!(!shown.contains(&inner) && !shown.contains(value), "{value:?} in {shown:?}");
    }

    #[test]
    fn any_text_is_taken(
        text in proptest::collection::vec(any::<u8>(), 0..200),
        value in proptest::collection::vec(any::<u8>(), 0..12),
        cut: bool,
    ) {
        let secret = Secret::new(value.clone());
        let shown = Redactor::new([("NAME", &secret)]).redact(&text, cut);
        let needle = DecodedView::plain(value.trim_ascii()).bytes;
        let found = needle.len() >= SHORTEST && !is_ordinary(&needle) && shown.windows(needle.len()).any(|w| w == &**needle);
        prop_assert!(!found);
    }
}
