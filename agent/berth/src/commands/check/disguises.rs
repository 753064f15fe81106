//! Configs in disguise: each is taken with its own image, or refused with its place and what to do. None of them boots the older
//! image of the file below it, and none is passed over.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use berth_config::Layers;

use super::{self as check, Checked, Print};

/// What every disguise asks for.
const NEW: &str = "registry.example/app:v2";
/// What the file of the AMI asks for.
const OLD: &[u8] = b"image = 'registry.example/app:old'\nport = 80\n";

/// What becomes of a disguise.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It is read as what it plainly means.
    Taken,
    /// It is refused, and a part of the sentence that says what to do.
    Refused(&'static str),
}

use Expected::{Refused, Taken};

/// Disguises that are text. `{}` is the image.
const TEXTS: &[(&str, Expected)] = &[
    // Indented, as heredocs leave it, and other marks of a comment.
    ("    #cloud-config\n    #berth image={} port=80\n", Taken),
    ("\t#!/bin/bash\n\t#berth image={}\n", Taken),
    ("  berth image={}\n", Taken),
    ("\n\n  #berth: image={}\n", Taken),
    ("#!/bin/bash\n    berth image={}\n", Taken),
    ("# berth image={}\n", Taken),
    ("#cloud-config\n# berth image={}\n", Taken),
    ("#cloud-config\n  #  berth: image={}\n", Taken),
    ("## berth image={}\n", Taken),
    ("#\tberth\timage={}\n", Taken),
    ("berth: image={}\n", Taken),
    ("\n#berth\nimage = '{}'\n", Taken),
    ("    #berth\n    image = '{}'\n    port = 80\n", Taken),
    ("# berth\nimage = '{}'\n", Taken),
    ("\u{feff}    #berth image={}\n", Taken),
    ("#cloud-config\r#berth image={}\rpackages: []\r", Taken),
    ("#cloud-config\r\n  #berth image={}\r\n", Taken),
    ("```\nberth image={}\n```\n", Taken),
    ("user_data = <<-EOF\n  #cloud-config\n  #berth image={}\nEOF\n", Taken),
    // More than one.
    ("#berth image={}\n#berth port=80\n", Refused("one of 2")),
    ("#cloud-config\n#berth image=registry.example/app:old\n  # berth image={}\n", Refused("one of 2")),
    ("#berth image=registry.example/app:old\n;berth image={}\n", Refused("`#berth `")),
    ("#berth\n#berth image={}\n", Refused("one-line form")),
    ("#berth\nberth image={}\n", Refused("one-line form")),
    // The line goes on.
    ("berth image={} port=80\n  health=/health\n", Refused("one line")),
    ("#cloud-config\n#berth image={}\n#  port=80 health=/\npackages: []\n", Refused("one line")),
    ("#!/bin/bash\n#berth image={}\n# port=80\nname=web\n", Refused("one line")),
    ("berth image={}\n  command='serve --all' port=80\n", Refused("one line")),
    ("#!/bin/bash\n#berth image={}\n# port=80 is what the app listens on\nport=80\n", Taken),
    // Capitals.
    ("BERTH IMAGE={}\n", Refused("lowercase")),
    ("#cloud-config\n#Berth Image={} port=80\n", Refused("lowercase")),
    ("#cloud-config\nBerth:\n  image: {}\n", Refused("YAML")),
    // TOML in comments.
    ("#berth\n#image = \"{}\"\n#port = 90\n", Refused("without `#`")),
    // Multi-parts whose boundary does not fit.
    (
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=X\n\n--B\nContent-Type: text/x-berth\n\nberth image={}\n--B--\n",
        Refused("boundary"),
    ),
    (
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary='B'\n\n--B\nContent-Type: text/x-berth\n\nberth image={}\n--B--\n",
        Refused("boundary"),
    ),
    // A typo.
    ("#bert image={} port=80\n", Refused("with a typo")),
    ("#cloud-config\n#berh image={}\n", Refused("with a typo")),
    ("#!/bin/bash\nbreth image={} port=80\n", Refused("with a typo")),
    ("# Berht: image={}\n", Refused("with a typo")),
    // Other languages.
    ("berth: {image: '{}'}\n", Refused("YAML")),
    ("#cloud-config\nberth: {image: {}}\n", Refused("YAML")),
    ("#cloud-config\nberth:\n  image: {}\n  port: 80\n", Refused("YAML")),
    ("berth:\n  image: {}\n", Refused("YAML")),
    ("#cloud-config\n#berth:\n#  image: {}\n", Refused("YAML")),
    ("image: {}\nport: 80\n", Refused("YAML")),
    ("image = '{}'\nport = 80\n", Refused("`#berth` as its first line")),
    ("  image = \"{}\"\n  [env]\n  A = 1\n", Refused("`#berth` as its first line")),
    ("[berth]\nimage = '{}'\n", Refused("`#berth` as its first line")),
    ("#berth\n[berth]\nimage = '{}'\n", Refused("`image`")),
    ("#cloud-config\n#berth\nimage = '{}'\n", Refused("first line")),
    ("#berth\nimage = {}\n", Refused("quotes")),
    ("#berth\nimage: '{}'\n", Refused("`=`")),
    ("#berth\nimage = “{}”\n", Refused("typographic")),
    ("image={} port=80\n", Refused("`berth `")),
    ("{\"image\": \"{}\", \"port\": 80,}\n", Refused("comma")),
    ("{\"image\": \"{}\"\n \"port\": 80}\n", Refused("comma")),
    ("{'image': '{}'}\n", Refused("double quotes")),
    ("{image: \"{}\"}\n", Refused("double quotes")),
    ("{“image”: “{}”}\n", Refused("typographic")),
    ("{\"image\" = \"{}\"}\n", Refused("`:`")),
    ("// for the web tier\n{\"image\": \"{}\"}\n", Refused("JSON")),
    ("{\"image\": \"{}\"} // v2\n", Refused("JSON")),
    ("{\"berth\": {\"image\": \"{}\"}}\n", Refused("`image`")),
    ("{\"user_data\": {\"image\": \"{}\"}}\n", Refused("`image`")),
    ("{\"UserData\": \"#berth image={}\"}\n", Refused("string inside")),
    ("{\"Fn::Base64\": {\"Fn::Sub\": \"#cloud-config\\n#berth image={}\"}}\n", Refused("string inside")),
    ("[{\"image\": \"{}\"}]\n", Refused("JSON")),
    ("\"#cloud-config\\n#berth image={}\"\n", Refused("JSON")),
    ("{\"ignition\": {\"version\": \"3.3.0\"}, \"image\": \"{}\"}\n", Refused("`ignition")),
    ("{\"ignition\": {\"version\": \"3.3.0\"}, \"berth\": {\"image\": \"{}\"}}\n", Refused("`image`")),
    // The one line, with something else where the shell would have a space, a quote or a value.
    ("berth image = {}\n", Refused("no space around `=`")),
    ("#berth image= {}\n", Refused("no space around `=`")),
    ("#berth image ={}\n", Refused("no space around `=`")),
    ("# berth image = {}\n", Refused("no space around `=`")),
    ("berth image=“{}” port=80\n", Refused("typographic")),
    ("berth image=‘{}’\n", Refused("typographic")),
    ("berth --image={} --port=80\n", Refused("without `--`")),
    ("--image={} --port=80\n", Refused("`berth `")),
    ("berth image:{}\n", Refused("`image=")),
    ("berth image={}, port=80\n", Refused("comma")),
    ("berth image={}; port=80\n", Refused("`;`")),
    ("berth image={} healthcheck=/h\n", Refused("`health`")),
    ("berth image={} secret=prod/api\n", Refused("`secret.NAME=…`")),
    ("berth image={}-${TAG}\n", Refused("variable")),
    ("berth image={}-$TAG\n", Refused("variable")),
    ("berth image={}-{{ tag }}\n", Refused("variable")),
    ("berth image=&quot;{}&quot;\n", Refused("HTML")),
    ("berth image=3D{}\n", Refused("quoted-printable")),
    ("berth image={} \\\n  port=80\n", Refused("one line")),
    ("berth\u{a0}image={}\n", Refused("other than U+0020")),
    ("#berth\u{3000}image={}\n", Refused("other than U+0020")),
    ("\u{200b}#berth image={}\n", Refused("invisible")),
    ("#ber\u{200b}th image={}\n", Refused("invisible")),
    ("#\u{feff}berth image={}\n", Refused("invisible")),
    ("#berth\u{200b} image={}\n", Refused("invisible")),
    ("#berth image=\u{200b}{}\n", Refused("invisible")),
    // Something else in front of it.
    ("#Berth image={}\n", Refused("lowercase")),
    ("BERTH image={}\n", Refused("lowercase")),
    ("//berth image={}\n", Refused("`#berth `")),
    ("// berth image={}\n", Refused("`#berth `")),
    (";berth image={}\n", Refused("`#berth `")),
    ("<!-- berth image={} -->\n", Refused("`#berth `")),
    ("-- berth image={}\n", Refused("`#berth `")),
    ("/* berth image={} */\n", Refused("`#berth `")),
    ("`berth image={}`\n", Refused("`#berth `")),
    ("> berth image={}\n", Refused("`#berth `")),
    ("+#berth image={}\n", Refused("`#berth `")),
    ("- berth image={}\n", Refused("`#berth `")),
    ("$ berth image={}\n", Refused("`#berth `")),
    ("'berth image={}'\n", Refused("`#berth `")),
    ("<berth image=\"{}\"/>\n", Refused("`#berth `")),
    ("#!berth image={}\n", Refused("`#berth `")),
    ("!berth image={}\n", Refused("`#berth `")),
    ("#!/bin/bash\nexport berth image={}\n", Refused("`#berth `")),
    ("#!/bin/bash\necho \"berth image={}\"\n", Refused("`#berth `")),
    ("#!/bin/bash\nsudo berth image={}\n", Refused("`#berth `")),
    ("REM berth image={}\n", Refused("`#berth `")),
    ("BERTH=\"image={} port=80\"\n", Refused("`#berth `")),
    ("berth=image={}\n", Refused("`#berth `")),
    ("berth(image={})\n", Refused("`#berth `")),
    ("berth, image={}\n", Refused("`#berth `")),
    ("BERTH_IMAGE={}\n", Refused("variables")),
    ("user_data = \"berth image={}\"\n", Refused("`#berth `")),
    ("berth run image={}\n", Refused("`berth run`")),
    ("#!/bin/bash\nberth run image={}\n", Refused("`berth run`")),
    ("#!/bin/bash\nset -e\nsudo berth run image={} port=80 &\n", Refused("`berth run`")),
    ("#!/bin/bash\nexec /usr/bin/berth run image={}\n", Refused("`berth run`")),
    ("#cloud-config\nruncmd:\n  - [berth, run, \"image={}\"]\n", Refused("`berth run`")),
    // Folded into one line.
    ("#!/bin/bash #berth image={}\n", Refused("line of its own")),
    ("#!/bin/bash set -e berth image={} port=80\n", Refused("line of its own")),
    ("#cloud-config #berth image={}\n", Refused("line of its own")),
    ("#cloud-config\u{2028}#berth image={}\n", Refused("line of its own")),
    ("#!/bin/bash\\n#berth image={}\\n", Refused("`\\n`")),
    ("#cloud-config\\r\\n#berth image={}\\r\\n", Refused("`\\n`")),
    ("#berth image={}\\n", Refused("`\\n`")),
    ("berth image={}\\r\\n", Refused("`\\n`")),
    // Encoded.
    ("berth%20image%3D{}", Refused("URL")),
    ("berth+image%3D{}+port%3D80", Refused("URL")),
    ("%23cloud-config%0A%23berth%20image={}", Refused("URL")),
    ("&#35;cloud-config&#10;&#35;berth image={}", Refused("HTML")),
    ("&lt;!-- berth image={} --&gt;\n", Refused("HTML")),
    ("#cloud-config=0A#berth=20image=3D{}\n", Refused("quoted-printable")),
    // MIME that is none, or has the config in a part of another type.
    (
        "  Content-Type: multipart/mixed; boundary=B\n\n  --B\n  Content-Type: text/x-berth\n\n  image={}\n  --B--\n",
        Refused("MIME"),
    ),
    (
        "From nobody Sat Nov 28 00:00:00 2026\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\
         Content-Type: text/x-berth\n\nimage={}\n--B--\n",
        Refused("MIME"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/plain\n\n{\"image\":\"{}\"}\n--B--\n",
        Refused("text/x-berth"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/plain\n\n#berth\nimage='{}'\n--B--\n",
        Refused("text/x-berth"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/berth\n\nimage={}\n--B--\n",
        Refused("`berth `"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-berth\n\nimage={}\n--B--\n",
        Refused("`berth `"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/plain\n\n  # berth image={}\n--B--\n",
        Taken,
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-berth\n\nberth image=registry.example/app:old\n\
         --B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n#berth image={}\n--B--\n",
        Refused("one of 2"),
    ),
    (
        "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n#berth image={}\n\
         --B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n#berth image=registry.example/app:old\n--B--\n",
        Refused("one of 2"),
    ),
];

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

/// As `run` layers it: the file of the AMI below, the user-data on top. None where it was passed over.
fn layered(bytes: &[u8]) -> Layers {
    let mut layers = Layers::new();
    layers.add_file("/etc/berth/berth.toml", OLD);
    layers.add_user_data(bytes);
    layers
}

/// Why this is not what is expected, if it is not.
fn wrong(bytes: &[u8], expected: Expected) -> Option<String> {
    let validated = layered(bytes).resolve();
    match (expected, &validated) {
        (Taken, Ok(config)) if config.image.to_string() == NEW => {}
        (Refused(mend), Err(errors)) => {
            let told = errors.to_string();
            let placed =
                errors.iter().all(|error| error.location.as_ref().is_some_and(|p| p.source.starts_with("user-data")));
            if !placed || !told.contains(mend) {
                return Some(format!("told: {told}"));
            }
            if told.contains(NEW) {
                return Some(format!("tells a value: {told}"));
            }
        }
        (_, Ok(config)) => return Some(format!("boots {}", config.image)),
        (Taken, Err(errors)) => return Some(format!("refused: {errors}")),
    }
    // `berth check` of the same bytes says the same.
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
fn every_disguise_is_taken_or_refused_with_its_place_and_never_passed_over() {
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

/// Something that is put around a line `berth image=…` by somebody, an editor or a tool.
fn disguise() -> impl Strategy<Value = Vec<u8>> {
    let before = prop::sample::select(vec![
        "",
        " ",
        "\t",
        "    ",
        "#",
        "# ",
        "## ",
        "//",
        "// ",
        ";",
        "; ",
        "--",
        "<!-- ",
        "/* ",
        "\"",
        "'",
        "`",
        "> ",
        "- ",
        "* ",
        "+",
        "$ ",
        "export ",
        "sudo ",
        "echo ",
        "run: ",
        "\u{200b}",
        "\u{a0}",
        "#!/bin/sh ",
        "#cloud-config ",
        "user_data=",
    ]);
    let name = prop::sample::select(vec!["berth", "#berth", "Berth", "BERTH", "#BERTH", "ber\u{ad}th", "# berth"]);
    let between = prop::sample::select(vec![
        " ",
        "  ",
        "\t",
        ": ",
        ":",
        "\u{a0}",
        " \u{200b}",
        "=",
        "=\"",
        " run ",
        " {",
        ": {",
        " --",
        ", ",
        " 'x' ",
        " - ",
        " port=1 ",
    ]);
    let sign = prop::sample::select(vec!["=", " = ", "= ", "=\"", "='", "=“", "=\u{200b}"]);
    let head = prop::sample::select(vec![
        "",
        "\n",
        "#!/bin/sh\n",
        "#cloud-config\n",
        "#cloud-config\r",
        "#!/bin/sh\r\n",
        "x\n",
        "x: y\n",
    ]);
    let how = 0..6_u8;
    (head, before, name, between, sign, how).prop_map(|(head, before, name, between, sign, how)| {
        let text = format!("{head}{before}{name}{between}image{sign}{NEW}\n");
        match how {
            0 => STANDARD.encode(text).into_bytes(),
            1 => text.replace('\n', "\\n").into_bytes(),
            2 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => text.into_bytes(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_line_with_berth_and_image_boots_another_image_in_silence(bytes in disguise()) {
        let layers = layered(&bytes);
        if let Ok(config) = layers.resolve() {
            prop_assert_eq!(config.image.to_string(), NEW, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
