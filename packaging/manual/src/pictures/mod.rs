//! Pictures of docs/ as SVG: one file without scripts or fonts from elsewhere, readable in light and in dark surroundings.

mod sequence;
mod states;

use std::fmt::Write;

/// Colours of both surroundings. There is a ground behind everything: the page around it may be of the other kind.
const STYLE: &str = "\
:root { --ground: #ffffff; --ink: #1f2328; --line: #57606a; --box: #f3f5f8; --edge: #8c959f; --good: #1a7f37; --bad: #cf222e; --stripe: #eaeef2 }
@media (prefers-color-scheme: dark) {
:root { --ground: #0d1117; --ink: #e6edf3; --line: #9198a1; --box: #161b22; --edge: #6e7681; --good: #3fb950; --bad: #f85149; --stripe: #21262d }
}
text { font: 13px system-ui, sans-serif; fill: var(--ink) }
.ground { fill: var(--ground) } .stripe { fill: var(--stripe) }
.box { fill: var(--box); stroke: var(--edge) } .good { stroke: var(--good); stroke-width: 2 } .bad { stroke: var(--bad) }
.name { font-weight: 600 } .small { font-size: 12px; fill: var(--line) } .middle { text-anchor: middle } .end { text-anchor: end }
.arrow { fill: none; stroke: var(--line); stroke-width: 1.3 } .life { stroke: var(--edge); stroke-dasharray: 3 4 }
.back { stroke-dasharray: 5 4 } marker path { fill: var(--line) }
";

/// A picture that is being drawn.
struct Picture {
    body: String,
    width: u32,
    title: &'static str,
    about: &'static str,
}

impl Picture {
    fn new(width: u32, title: &'static str, about: &'static str) -> Self {
        Self { body: String::new(), width, title, about }
    }

    fn add(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    fn text(&mut self, x: u32, y: u32, class: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        self.add(&format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{words}</text>"));
    }

    fn arrow(&mut self, path: &str, class: &str) {
        self.add(&format!("<path d=\"{path}\" class=\"arrow {class}\" marker-end=\"url(#tip)\"/>"));
    }

    fn to_svg(&self, height: u32) -> String {
        let Self { body, width, title, about } = self;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"title about\">\n<!-- made by packaging/manual: UPDATE_EXPECT=1 cargo test -p berth-manual -->\n"
        );
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<title id=\"title\">{title}</title>\n<desc id=\"about\">{about}</desc>\n<style>\n{STYLE}</style>"
        );
        text.push_str(
            "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto-start-reverse\"><path d=\"M0,0 L8,4 L0,8 Z\"/></marker></defs>\n",
        );
        let _ = writeln!(text, "<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>");
        text
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_documentation_has_these_pictures() {
        expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.svg")].assert_eq(&states::svg());
        expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sequence.svg")].assert_eq(&sequence::svg());
    }
}
