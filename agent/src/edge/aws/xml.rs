//! The little XML that the Query protocol answers with, as a tree: elements and text. Attributes are passed over;
//! document types are refused, so that nothing can be made to grow; depth is bounded. Never panics.

/// An element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::edge) struct Element {
    /// Its name without prefix.
    name: String,
    /// The text directly in it, unescaped.
    text: String,
    children: Vec<Element>,
}

/// Deeper than any answer of the API.
const MAX_DEPTH: usize = 32;

impl Element {
    /// Whether this is its name.
    pub(in crate::edge) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The first child of that name.
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element of that name at any depth below.
    pub(in crate::edge) fn find(&self, name: &str) -> Option<&Self> {
        self.child(name).or_else(|| self.children.iter().find_map(|child| child.find(name)))
    }

    /// The `member`s of the list of that name at any depth below; none of them if there is no such list.
    pub(in crate::edge) fn members(&self, list: &str) -> impl Iterator<Item = &Self> {
        self.find(list).into_iter().flat_map(|list| &list.children).filter(|child| child.name == "member")
    }

    /// The text of the first child of that name.
    pub(in crate::edge) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

/// The root element; none if this is no such XML.
pub(in crate::edge) fn parse(bytes: &[u8]) -> Option<Element> {
    let mut rest = std::str::from_utf8(bytes).ok()?;
    let mut open: Vec<Element> = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        match open.last_mut() {
            Some(element) => element.text.push_str(&unescaped(text)?),
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return None,
        }
        if let Some(after) = after.strip_prefix("!--") {
            rest = after.split_once("-->")?.1;
        } else if let Some(after) = after.strip_prefix("![CDATA[") {
            let (text, after) = after.split_once("]]>")?;
            open.last_mut()?.text.push_str(text);
            rest = after;
        } else if let Some(after) = after.strip_prefix('?') {
            rest = after.split_once("?>")?.1;
        } else if after.starts_with('!') {
            return None;
        } else if let Some(after) = after.strip_prefix('/') {
            let (name, after) = after.split_once('>')?;
            let element = open.pop()?;
            if element.name != local(name) {
                return None;
            }
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None if after.trim().is_empty() => return Some(element),
                None => return None,
            }
            rest = after;
        } else {
            let (tag, after) = tag(after)?;
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let name = local(tag.split_ascii_whitespace().next()?).to_owned();
            let element = Element { name, ..Element::default() };
            if !is_empty {
                if open.len() == MAX_DEPTH {
                    return None;
                }
                open.push(element);
            } else if let Some(parent) = open.last_mut() {
                parent.children.push(element);
            } else {
                return after.trim().is_empty().then_some(element);
            }
            rest = after;
        }
    }
    None
}

/// Splits at the `>` that ends a tag; one in a quoted attribute does not.
fn tag(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some((text.get(..at)?, text.get(at + 1..)?)),
            (None, '<') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn local(name: &str) -> &str {
    let name = name.trim_end();
    name.rsplit(':').next().unwrap_or(name)
}

/// Text with the five entities and character references put in; none if there is any other.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (entity, after) = part.split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        out.push_str(after);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(xml: &str) -> Option<String> {
        parse(xml.as_bytes()).map(|root| root.text)
    }

    #[test]
    fn a_list_is_read_by_its_names() {
        let xml = r#"<?xml version="1.0"?>
            <ns:Answer xmlns:ns="http://x/" note="a > b"><!-- <Group>no</Group> -->
              <Result><Empty/><List><member><Name>a &amp; b</Name></member><member><Name> <![CDATA[<c>]]> </Name></member></List></Result>
            </ns:Answer>"#;
        let root = parse(xml.as_bytes()).unwrap();
        let names: Vec<_> = root.members("List").filter_map(|member| member.text_of("Name")).collect();
        assert_eq!(names, ["a & b", "<c>"]);
        assert!(root.find("Empty").is_some() && root.find("Group").is_none());
        assert_eq!(root.members("Absent").count(), 0);
    }

    #[test]
    fn entities_are_put_in_once() {
        assert_eq!(text("<a>&lt;&#65;&#x42;&amp;lt;&quot;&apos;</a>").unwrap(), "<AB&lt;\"'");
    }

    #[test]
    fn what_is_no_such_xml_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
        for xml in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/>x",
            "x<a/>",
            "</a>",
            "<a></a><b></b>",
            "<a>&x;</a>",
            "<a>&#xd800;</a>",
            "<a>&lt</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<!doctype html><html></html>",
            "<a b=\"></a>",
            "<>",
            "< />",
            "<a><![CDATA[x</a>",
            &deep,
        ] {
            assert_eq!(parse(xml.as_bytes()), None, "{xml:.60}");
        }
        assert_eq!(parse(b"<a>\xff</a>"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(xml in "([<>/&;!\\-?\\[\\]\"'= a:é#x1]|CDATA|<a>|</a>){0,80}") {
            let _ = parse(xml.as_bytes());
        }
    }
}
