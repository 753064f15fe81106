//! Every form of user-data, and near misses.

use std::io::Write;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn reported(bytes: &[u8]) -> String {
    match in_user_data(bytes) {
        Detected::Foreign(_) => "none".into(),
        Detected::Config(FoundConfig { part, form }) => {
            let form = match form {
                ConfigForm::Line { words, line, indent } => format!("line {line} from {indent}: {words}"),
                ConfigForm::Toml(text) => format!("TOML {text:?}"),
                ConfigForm::Json(text) => format!("JSON {text:?}"),
            };
            part.map_or(form.clone(), |part| format!("part {part}, {form}"))
        }
        Detected::Refused(refusals) => {
            let reported = |Refusal { part, at, reason }: &Refusal| format!("{part:?} {at:?} {reason}");
            refusals.iter().map(reported).collect::<Vec<_>>().join("; ")
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(reported(text.as_bytes()), expected);
    assert_eq!(reported(&gzip(text.as_bytes())), expected, "packed");
}

#[test]
fn the_line_is_found_wherever_it_may_be() {
    check("berth image=x:1", "line 1 from 6: image=x:1");
    check("#berth image=x:1\n", "line 1 from 7: image=x:1");
    check("#berth: image=x:1\n", "line 1 from 8: image=x:1");
    check("#cloud-config\n#berth image=x:1\npackages: []\n", "line 2 from 7: image=x:1");
    check("#!/bin/bash\r\nset -e\r\n#berth image=x:1\r\necho\r\n", "line 3 from 7: image=x:1");
    check("\u{feff}berth a=1", "line 1 from 6: a=1");
    check("  #cloud-config\r  # berth a=1\r", "line 2 from 10: a=1");
    check("berth \n", "line 1 from 6: ");
}

#[test]
fn the_command_in_a_script_is_not_the_line() {
    check("#!/bin/sh\nberth wait ready --timeout=5m\n#berth a=1\n", "line 3 from 7: a=1");
    check("#!/bin/sh\nberth wait ready\n", "none");
    check("#!/bin/sh\n  berth a=1\n", "line 2 from 8: a=1");
    check("berth wait\n", "line 1 from 6: wait");
}

#[test]
fn documents_are_recognised_by_their_first_line_or_character() {
    check("#berth\nimage = 'x:1'\n", "TOML \"#berth\\nimage = 'x:1'\\n\"");
    check("#berth \r\nimage = 'x:1'", "TOML \"#berth \\r\\nimage = 'x:1'\"");
    check(" \n{\"image\":\"x:1\"}", "JSON \" \\n{\\\"image\\\":\\\"x:1\\\"}\"");
    check("\n#berth\nimage = 'x:1'\n", "TOML \"\\n#berth\\nimage = 'x:1'\\n\"");
    check("#berthed image=x", "none");
    check("", "none");
    check("#!/bin/sh\necho\n", "none");
}

#[test]
fn a_part_of_a_multi_part_is_found_packed_or_not() {
    let message = |kind: &str, encoding: &str, body: &str| {
        format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/cloud-config\n\n\
             #cloud-config\n--B\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}\n--B--\n"
        )
    };
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    check(&message("text/x-berth", "7bit", "berth a=1"), "part 2, line 1 from 6: a=1");
    check(&message("text/x-berth", "7bit", "{}"), "part 2, JSON \"{}\"");
    check(&message("text/x-berth", "base64", &base64(b"berth a=1")), "part 2, line 1 from 6: a=1");
    check(&message("text/x-berth", "base64", &base64(&gzip(b"#berth\na=1"))), "part 2, TOML \"#berth\\na=1\"");
    check(
        &message("text/x-berth", "base64", "%"),
        "Some(2) Within has a Content-Transfer-Encoding that cannot be decoded",
    );
    check(&message("text/x-berth", "7bit", "hello"), &format!("Some(2) Within {NOTHING}"));
    check(&message("text/x-shellscript", "7bit", "#!/bin/sh\n#berth a=1"), "part 2, line 2 from 7: a=1");
    check(&message("text/x-shellscript", "base64", &base64(b"#!/bin/sh\n#berth a=1")), "part 2, line 2 from 7: a=1");
    check(&message("text/plain", "7bit", "{}"), "none");
    let twice = message("text/x-berth", "7bit", "berth a=1\n--B\nContent-Type: text/x-berth\n\nberth b=1");
    check(&twice, "None Within has more than one text/x-berth part");
}

#[test]
fn a_file_with_the_one_line_is_not_an_empty_file() {
    for text in ["#berth image=x:1\n", "# defaults\nberth image=x:1\n"] {
        let refused = in_file(text.as_bytes()).unwrap_err();
        assert!(refused.reason.starts_with("is the one-line form, which is for user-data"), "{text}");
    }
    for text in ["#berth\nimage = 'x:1'\n", "# berth image=x:1 as an example\n", "image = 'x:1' # berth\n"] {
        assert_eq!(in_file(text.as_bytes()), Ok(ConfigForm::Toml(text.to_owned())), "{text}");
    }
}

#[test]
fn what_cannot_be_parsed_is_reported_with_its_position() {
    assert_eq!(reported(b"\x1f\x8bnothing"), "None Within begins like gzip and cannot be decompressed");
    assert_eq!(reported(&gzip(&vec![b' '; (1 << 20) + 1])), "None Within decompresses to more than 1 MiB");
    assert_eq!(reported(b"x\nberth a=\xff"), "None Line(2, 9) not UTF-8");
    assert_eq!(reported(b"#berth\na='\xff'"), "None Line(2, 4) not UTF-8");
    check(&format!("berth {}", "x".repeat(70_000)), "None Line(1, 1) longer than 64 KiB");
    check(&format!("{{{}", "x".repeat(70_000)), "None Within longer than 64 KiB");
    assert_eq!(reported(b"\xff\xfe#!/bin/sh"), "none");
}
