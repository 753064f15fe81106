"""Checks that every link of a built site leads to an existing file and an element in it: links.py DIRECTORY."""

import pathlib
import sys
import urllib.parse
from html.parser import HTMLParser


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(value for name in ("id", "name") if (value := attributes.get(name)))
        link = attributes.get("href") or attributes.get("src")
        if link and tag in ("a", "img", "link", "script"):
            self.links.add(link)


root = pathlib.Path(sys.argv[1]).resolve()
pages = {path: Page(path.read_text()) for path in root.rglob("*.html")}
broken, seen = [], 0
for path, page in pages.items():
    # The links of 404.html begin at the root of the server; print.html has the anchors of all pages.
    if path.name in ("404.html", "print.html", "toc.html"):
        continue
    for link in sorted(page.links):
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        seen += 1
        target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        anchor = urllib.parse.unquote(parts.fragment)
        if not target.exists():
            broken.append(f"{path.relative_to(root)}: {link} leads nowhere")
        elif anchor and target in pages and anchor not in pages[target].anchors:
            broken.append(f"{path.relative_to(root)}: {link}: there is no such heading")
if broken or not seen:
    print("\n".join(broken) or "no links were found", file=sys.stderr)
    sys.exit(1)
print(f"{seen} links of {len(pages)} pages lead to something")
