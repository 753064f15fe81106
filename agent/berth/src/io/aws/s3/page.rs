//! What S3 answers in XML: a page of a list, and an error.

use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use percent_encoding::percent_decode_str;

/// A page of `ListObjectsV2`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    /// Where the next page begins; none on the last one.
    pub(super) next: Option<String>,
}

/// None if it is no page, or not the whole of one: a verdict that is left out could let a bad release go on.
pub(super) fn read(body: &[u8]) -> Option<Page> {
    let mut document = Document::try_from(body).ok()?;
    let mut root = document.root_element().ok().filter(|root| root.start_el().matches("ListBucketResult"))?;
    let (mut keys, mut next, mut is_truncated, mut count) = (Vec::new(), None, None, None);
    while let Some(mut tag) = root.next_tag() {
        match tag.start_el().local() {
            "Contents" => keys.push(key(&mut tag)?),
            "NextContinuationToken" => next = Some(text(&mut tag)?),
            "IsTruncated" => is_truncated = Some(text(&mut tag)? == "true"),
            "KeyCount" => count = text(&mut tag)?.parse::<usize>().ok(),
            _ => {}
        }
    }
    // The parser passes over what it cannot read, so the keys are counted.
    if count? != keys.len() || is_truncated? != next.is_some() {
        return None;
    }
    Some(Page { keys, next })
}

fn key(contents: &mut ScopedDecoder<'_, '_>) -> Option<String> {
    while let Some(mut tag) = contents.next_tag() {
        if tag.start_el().local() == "Key" {
            // As in a form, a plus is a space.
            let encoded = text(&mut tag)?.replace('+', " ");
            return percent_decode_str(&encoded).decode_utf8().ok().map(|key| key.into_owned());
        }
    }
    None
}

/// The code and the message of an error.
pub(super) fn read_error(body: &[u8]) -> Option<(String, String)> {
    let mut document = Document::try_from(body).ok()?;
    let mut root = document.root_element().ok().filter(|root| root.start_el().matches("Error"))?;
    let (mut code, mut message) = (None, String::new());
    while let Some(mut tag) = root.next_tag() {
        match tag.start_el().local() {
            "Code" => code = text(&mut tag),
            "Message" => message = text(&mut tag).unwrap_or_default(),
            _ => {}
        }
    }
    Some((code?, message))
}

fn text(tag: &mut ScopedDecoder<'_, '_>) -> Option<String> {
    try_data(tag).ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inside: &str) -> Option<Page> {
        let root = "ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        read(format!("<?xml version=\"1.0\"?>\n<{root}>{inside}</ListBucketResult>").as_bytes())
    }

    #[test]
    fn keys_are_decoded_and_the_next_page_is_known() {
        let inside = "<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>\
                      <Contents><Key>r/ok/AROA%3Ai-1</Key><Size>1</Size></Contents><Contents><Key>a+b%2B%C3%A9</Key></Contents>";
        let page = page(inside).unwrap();
        assert_eq!(page.keys, ["r/ok/AROA:i-1", "a b+é"]);
        assert_eq!(page.next.as_deref(), Some("a&b="));
    }

    #[test]
    fn what_is_not_a_whole_page_is_none() {
        let one = "<Contents><Key>a</Key></Contents>";
        assert!(page(&format!("<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>{one}")).is_some());
        for inside in [
            "",
            &format!("<KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>{one}"),
            &format!("<KeyCount>1</KeyCount><IsTruncated>true</IsTruncated>{one}"),
            &format!("<KeyCount>1</KeyCount>{one}"),
            &format!("<IsTruncated>false</IsTruncated>{one}"),
            "<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>",
            "<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>%ff</Key></Contents>",
        ] {
            assert_eq!(page(inside), None, "{inside}");
        }
        for body in ["", "{}", "<html>", "<ListBucketResult>", "<Other><KeyCount>0</KeyCount></Other>", "\u{0}"] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read(b"\xff"), None);
    }

    #[test]
    fn an_error_has_a_code() {
        let error = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message><Key>x</Key></Error>";
        assert_eq!(read_error(error.as_bytes()), Some(("NoSuchKey".into(), "a < b".into())));
        for body in ["", "<html><body>no</body></html>", "<Error><Message>x</Message></Error>", "<Error>"] {
            assert_eq!(read_error(body.as_bytes()), None, "{body}");
        }
    }
}
