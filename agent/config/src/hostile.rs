//! No input makes the config panic, takes long, or is printed in an error.

use proptest::prelude::*;

use crate::{Layers, Pointer};

/// Valid configs in every form, for mutation.
const VALID: [&str; 6] = [
    "berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 health=/health secrets=prod/api",
    "#!/bin/bash\n#berth image=nginx:1.27 ports=127.0.0.1:80:8080,53:53/udp env.A='x y' \"env.B=z\" command='a b' \\\n",
    "#berth\nimage = \"nginx:1.27\"\n[env]\nA = 1\n[probe]\ninterval = '5s'\nvolumes = ['/a:/b:ro', 'c:/d']\n",
    r#"{"image":"nginx:1.27","env":{"A":1.5,"B":true},"probe":{"interval":"5s"},"labels":["a=b"],"secret":{"X":"y#z"}}"#,
    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/x-berth\n\
     Content-Transfer-Encoding: base64\n\nYmVydGggaW1hZ2U9eDox\n--B--\n",
    "#cloud-config\n#berth secret.A=arn:aws:secretsmanager:us-east-2:123456789012:secret:x-AbCdEf:k:: image=x:1 config=ssm:/x\n",
];

/// Parses the bytes as every layer and formats every result. The test is that it returns.
fn read(bytes: &[u8]) -> String {
    let mut layers = Layers::new();
    layers.add_file("berth.toml", bytes);
    layers.add_user_data(bytes);
    layers.add_pointed(&Pointer::Ssm("/x".into()), bytes);
    layers.add_words(&[String::from_utf8_lossy(bytes).into_owned()]);
    let _ = (layers.pointer(), layers.listen(), layers.rows());
    layers.resolve().map_or_else(|errors| errors.to_string(), |config| config.fingerprint())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..16_384)) {
        read(&bytes);
    }

    #[test]
    fn random_words_get_an_answer(words in "(berth|#berth) [a-z.=,:/'\"\\\\ 0-9\\PC]{0,200}") {
        read(words.as_bytes());
    }

    #[test]
    fn a_broken_config_gets_an_answer(
        which in 0..VALID.len(),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
    ) {
        let mut bytes = VALID[which].as_bytes().to_vec();
        for (at, byte, how) in breaks {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.drain(at..(at + usize::from(byte % 16)).min(bytes.len()))),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        read(&bytes);
    }

    #[test]
    fn no_error_shows_a_value(secret in "[A-Z]{3}[a-z0-9]{12}", key in prop::sample::select(
        crate::keys::all().map(|key| key.name).collect::<Vec<_>>())) {
        for user_data in [
            format!("berth {key}=%{secret}%\n"),
            format!("berth {key}={secret} {secret} image=x:1\n"),
            format!("berth {key}='{secret}\n"),
            format!("berth {key}=a,%{secret},{secret}:{secret}#{secret}\n"),
            format!("#berth\n{key} = {secret}\n"),
            format!("#berth\n{key} = '%{secret}'\n{key} = '{secret}'\n"),
            format!("{{\"{key}\":\"%{secret}\""),
            format!("{{\"{key}\":[[\"%{secret}\"]]}}"),
        ] {
            let mut layers = Layers::new();
            layers.add_user_data(user_data.as_bytes());
            if let Err(errors) = layers.resolve() {
                let reported = errors.to_string();
                prop_assert!(!reported.contains(&secret), "{reported}");
            }
        }
    }
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("{\"probe\":", "}"), ("[", "]")] {
        let deep = format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
        read(deep.as_bytes());
        read(format!("{{\"probe\":{deep}}}").as_bytes());
        read(format!("#berth\nprobe = {}", deep.replace("\"probe\":", "probe=")).as_bytes());
    }
    read(format!("#berth\n{} = 1", vec!["a"; 5_000].join(".")).as_bytes());
    read(format!("#berth\n[{}]\na = 1", vec!["a"; 5_000].join(".")).as_bytes());
    read(format!("{{\"{}\":1}}", vec!["env"; 5_000].join(".")).as_bytes());
}

#[test]
fn a_long_text_of_near_misses_gets_an_answer_in_time() {
    // Quadratic time would take hours.
    const LONG: usize = 128 << 10;
    for piece in [
        "berth ",
        "image ",
        "1 image= ",
        "berth image",
        "\u{200b}berth",
        "//berth\n",
        "%62erth+",
        "\\nberth ",
        "&#98;",
        "=3Dberth ",
    ] {
        for head in ["", "berth ", "#!/bin/sh ", "{\"a\":\"", "\"", "[\""] {
            let mut layers = Layers::new();
            layers.add_user_data(format!("{head}{}", piece.repeat(LONG / piece.len())).as_bytes());
            drop(layers.resolve());
        }
    }
}

#[test]
fn thousands_of_errors_are_reported_as_a_hundred_and_a_number() {
    let reported = {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth {}", "x=1 ".repeat(4_000)).as_bytes());
        layers.resolve().unwrap_err().to_string()
    };
    assert_eq!(reported.lines().count(), 101);
    assert_eq!(reported.lines().last(), Some("and 3901 more"));
}
