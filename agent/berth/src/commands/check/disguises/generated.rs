//! Disguises that proptest generates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::{NEW, layered};

/// A line `berth image=…` with what an operator, an editor or a tool puts around it.
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
