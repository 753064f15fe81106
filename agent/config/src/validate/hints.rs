//! Frequent mistakes in values, each with a hint that is added to the error. A hint never shows the value.

use crate::value::Value;
use crate::value::printable::is_invisible;
use crate::value::text::TYPOGRAPHIC;

/// Recognises a mistake in a value, and the hint.
type Hint = (fn(&str) -> bool, &'static str);

/// Each mistake and its hint. The first does not apply to a template of secrets.
const HINTS: [Hint; 6] = [
    (holds_variable, "it has a variable that was not replaced; berth replaces no variables"),
    (
        |text| ["&quot;", "&amp;", "&#", "&lt;", "&gt;"].iter().any(|escape| text.contains(escape)),
        "it is HTML-escaped: write the plain text",
    ),
    (
        |text| text.starts_with(TYPOGRAPHIC) || text.ends_with(TYPOGRAPHIC),
        "it has typographic quotes: write plain ones",
    ),
    (|text| text.contains(is_invisible), "it has an invisible character: remove it"),
    (|text| text.ends_with(','), "it ends with a comma: words are separated by spaces only"),
    (|text| text.ends_with(';'), "it ends with `;`: words are separated by spaces only"),
];

/// The hint for the first mistake in the value of this key.
pub(crate) fn for_value(key: &str, value: &Value) -> Option<&'static str> {
    let elements = value.list();
    let is_template = key.starts_with("secret.") && whole(value).is_some_and(|text| text.contains("${"));
    // Two `%` in a URL, or in percentages, are not a variable.
    let is_encoded = ["https_proxy", "release.waves"].contains(&key);
    HINTS
        .iter()
        .skip(usize::from(is_template || is_encoded))
        .find(|(shows, _)| elements.iter().any(|text| shows(text)) || whole(value).is_some_and(shows))
        .map(|(_, hint)| *hint)
}

fn whole(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// `${TAG}`, `$TAG`, `$(cmd)`, `{{ tag }}`, `<tag>`, `%TAG%`: of a shell, of Terraform, Jinja or a template's author.
pub(crate) fn holds_variable(text: &str) -> bool {
    let opens = |sign: &str| {
        text.split(sign).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    };
    let encloses = |open: &str, close: &str| text.split_once(open).is_some_and(|(_, rest)| rest.contains(close));
    opens("$")
        || encloses("${", "}")
        || encloses("$(", ")")
        || text.contains("{{")
        || encloses("<", ">")
        || encloses("%", "%")
}

#[cfg(test)]
mod tests {
    use crate::parse::layers::Layers;

    #[test]
    fn a_frequent_mistake_adds_a_hint_to_the_error() {
        for (words, hint) in [
            ("image=x:${TAG}", "a variable"),
            ("image=x:$TAG", "a variable"),
            ("image=x:{{tag}}", "a variable"),
            ("'image=x:<tag>'", "a variable"),
            ("image=x:1 secrets=prod/${STAGE},other", "a variable"),
            ("image=x:1 port=$(port)", "a variable"),
            ("image=&quot;x:1&quot;", "HTML-escaped"),
            ("'image=“x:1”'", "typographic quotes"),
            ("'image=x:1\u{200b}'", "an invisible character"),
            ("image=x:1, port=80", "ends with a comma"),
            ("image=x:1; port=80", "ends with `;`"),
        ] {
            let mut layers = Layers::new();
            layers.add_user_data(format!("berth {words}").as_bytes());
            let reported = layers.resolve().unwrap_err().to_string();
            assert!(reported.contains(hint), "{words}: {reported}");
        }
    }

    #[test]
    fn a_template_of_secrets_that_is_wrong_holds_no_variable() {
        for (words, hint) in [("secret.A='${a#x} ${}'", None), ("secret.A='${a,},'", Some("ends with a comma"))] {
            let mut layers = Layers::new();
            layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
            let reported = layers.resolve().unwrap_err().to_string();
            assert!(
                !reported.contains("a variable") && hint.is_none_or(|hint| reported.contains(hint)),
                "{words}: {reported}"
            );
        }
    }

    #[test]
    fn a_value_that_is_right_gets_no_hint() {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=x:1 env.A='${B},' command='sh -c \"echo $HOME;\"'");
        assert_eq!(layers.resolve().err(), None);
    }
}
