//! A form body (`application/x-www-form-urlencoded`), what AWS's Query protocol sends.

use std::collections::BTreeMap;

use crate::text::percent_decode;

/// The fields of a form.
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let decode = |part: &str| String::from_utf8_lossy(&percent_decode(part, true)).into_owned();
        let fields = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(fields.map(|(key, value)| (decode(key), decode(value))).collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// `Key.member.1`, `Key.member.2`, …
    pub(crate) fn list(&self, key: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{key}.member.{n}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_fields_and_lists() {
        let form = Form::parse(b"Action=Describe&Name=a%2Fb+c%26&Ids.member.1=x&Ids.member.2=y&Ids.member.4=z");
        assert_eq!(form.get("Name"), Some("a/b c&"));
        assert_eq!(form.list("Ids"), ["x", "y"]);
        assert_eq!(form.get("Other"), None);
    }
}
