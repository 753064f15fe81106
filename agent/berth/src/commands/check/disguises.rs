//! Configs in disguise: each is read with its own image, or refused with its location and what to do. None boots the older image of
//! the file below it, and none is ignored.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use berth_config::Layers;

use super::{self as check, Checked, Print};
use texts::TEXTS;

mod generated;
mod texts;

/// The image of every disguise.
const NEW: &str = "registry.example/app:v2";
/// The file with AMI-wide defaults.
const OLD: &[u8] = b"image = 'registry.example/app:old'\nport = 80\n";

/// The expected result.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It is read as it is meant.
    Taken,
    /// It is refused with an error that contains this.
    Refused(&'static str),
}

use Expected::{Refused, Taken};

/// Disguises that are bytes.
fn encoded() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let line = format!("#cloud-config\n#berth image={NEW}\n");
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(line.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let sixteen = |bytes: fn(u16) -> [u8; 2], mark: bool| {
        let mark = mark.then_some('\u{feff}').into_iter();
        mark.chain(line.chars()).collect::<String>().encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    let wrapped =
        STANDARD.encode(&line).as_bytes().chunks(20).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    let once = STANDARD.encode(&line);
    vec![
        ("UTF-16 with a mark", sixteen(u16::to_le_bytes, true), Taken),
        ("UTF-16, the other order", sixteen(u16::to_be_bytes, true), Taken),
        ("UTF-16 without a mark", sixteen(u16::to_le_bytes, false), Taken),
        ("UTF-16 without a mark, the other order", sixteen(u16::to_be_bytes, false), Taken),
        ("UTF-32", line.chars().flat_map(|char| u32::from(char).to_le_bytes()).collect(), Refused("UTF-8")),
        ("base64", once.clone().into_bytes(), Refused("base64")),
        ("base64 in lines", wrapped.into_bytes(), Refused("base64")),
        ("base64 twice", STANDARD.encode(&once).into_bytes(), Refused("base64")),
        ("base64 of an URL", URL_SAFE_NO_PAD.encode(format!("{line}#???>>>")).into_bytes(), Refused("base64")),
        ("base64 that is cut", once.as_bytes()[..once.len() - 3].to_vec(), Refused("base64")),
        ("base64 of gzip", STANDARD.encode(gzip(line.as_bytes())).into_bytes(), Refused("base64")),
        ("gzip of base64", gzip(once.as_bytes()), Refused("base64")),
        ("gzip of an indented line", gzip(format!("  #berth image={NEW}").as_bytes()), Taken),
        ("gzip twice", gzip(&gzip(line.as_bytes())), Refused("gzip")),
        ("gzip that is cut", gzip(line.as_bytes())[..30].to_vec(), Refused("gzip")),
        ("zlib", zlib, Refused("gzip")),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x00berth".to_vec(), Refused("gzip")),
        ("xz", b"\xfd7zXZ\x00\x00berth".to_vec(), Refused("gzip")),
        ("bzip2", b"BZh91AY&SYberth".to_vec(), Refused("gzip")),
        ("zip", b"PK\x03\x04berth".to_vec(), Refused("gzip")),
        (
            "a line that is not UTF-8",
            [b"#berth image=registry.example/app:v2 env.A=caf\xe9".to_vec()].concat(),
            Refused("UTF-8"),
        ),
        (
            "base64 in a part without its encoding",
            format!("Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-berth\n\n{once}\n--B--\n")
                .into_bytes(),
            Refused("base64"),
        ),
    ]
}

fn all() -> Vec<(String, Vec<u8>, Expected)> {
    let texts =
        TEXTS.iter().map(|(text, expected)| ((*text).to_owned(), text.replace("{}", NEW).into_bytes(), *expected));
    texts.chain(encoded().into_iter().map(|(name, bytes, expected)| (name.to_owned(), bytes, expected))).collect()
}

/// The layers of `berth run`: AMI-wide defaults below, the user-data on top.
fn layered(bytes: &[u8]) -> Layers {
    let mut layers = Layers::new();
    layers.add_file("/etc/berth/berth.toml", OLD);
    layers.add_user_data(bytes);
    layers
}

/// Why the result is not the expected one.
fn wrong(bytes: &[u8], expected: Expected) -> Option<String> {
    let validated = layered(bytes).resolve();
    match (expected, &validated) {
        (Taken, Ok(config)) if config.image.to_string() == NEW => {}
        (Refused(mend), Err(errors)) => {
            let message = errors.to_string();
            let placed =
                errors.iter().all(|error| error.location.as_ref().is_some_and(|p| p.source.starts_with("user-data")));
            if !placed || !message.contains(mend) {
                return Some(format!("reported: {message}"));
            }
            if message.contains(NEW) {
                return Some(format!("shows a value: {message}"));
            }
        }
        (_, Ok(config)) => return Some(format!("boots {}", config.image)),
        (Taken, Err(errors)) => return Some(format!("refused: {errors}")),
    }
    // `berth check` of the same bytes reports the same.
    let mut layers = Layers::new();
    check::add(&mut layers, "-", bytes);
    let Checked { text, verdict, .. } = check::check(&layers, Print::Text);
    match (expected, verdict) {
        (Taken, Ok(())) if text.contains(NEW) => None,
        (Refused(mend), Err(errors)) if errors.to_string().contains(mend) => None,
        (_, verdict) => Some(format!("check: {text} {verdict:?}")),
    }
}

#[test]
fn every_disguise_is_taken_or_refused_with_its_location_and_never_ignored() {
    let all = all();
    assert!(all.len() >= 60, "only {} disguises", all.len());
    let wrong: Vec<_> = all
        .iter()
        .filter_map(|(name, bytes, expected)| Some(format!("{name:?}\n   {}", wrong(bytes, *expected)?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn what_is_not_berth_s_is_left_alone() {
    for text in [
        "",
        "\n",
        "#!/bin/bash\nset -e\nberth wait ready --timeout 5m\nberth drain --wait && echo image=gone\n",
        "#!/bin/bash\n# berth reads its config from /etc/berth/berth.toml, image=… is in there\nyum update -y\n",
        "#!/bin/bash\necho birth image of the day\nearth image\n",
        "#!/bin/bash\nsudo berth bake --image=registry.example/app:v2\n",
        "#!/bin/bash\nif ! berth check /etc/berth/berth.toml; then exit 1; fi\n",
        "#!/bin/bash\nimage=nginx:1.27\ndocker run -d $image\n",
        "#!/bin/bash\nBERTH_IMAGE=x\nsystemctl restart berth\n",
        "#cloud-config\npackages: [berth]\nwrite_files:\n  - path: /etc/berth/berth.toml\n    content: |\n      image = 'x:1'\n",
        "#cloud-config\nruncmd:\n  - [berth, wait, ready]\n",
        "#include\nhttps://example.com/berth/image=1\n",
        "{\"ignition\":{\"version\":\"3.3.0\"},\"storage\":{\"files\":[{\"path\":\"/etc/berth\"}]}}",
        "{\"cluster\":\"web\",\"role\":\"api\"}",
        "[settings.kubernetes]\ncluster-name = 'web'\n",
        "role=web\nstage=prod\n",
        "services:\n  web:\n    image: nginx:1.27\n",
        "hello world",
        "<powershell>\nWrite-Host hi\n</powershell>\n",
        "dGhpcyBpcyBub3RoaW5nIG9mIG91cnMgYXQgYWxs",
    ] {
        let config = layered(text.as_bytes()).resolve().unwrap_or_else(|errors| panic!("{text:?}: {errors}"));
        assert_eq!(config.image.to_string(), "registry.example/app:old", "{text:?}");
    }
}
