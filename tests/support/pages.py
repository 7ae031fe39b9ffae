"""A page as a browser reads it, and whether it asks anybody for anything."""

from __future__ import annotations

from html.parser import HTMLParser

ACTIVE = {"script", "iframe", "object", "embed", "link", "base"}
ADDRESSES = ("src", "href", "xlink:href", "action", "srcset", "data", "poster")


class Reader(HTMLParser):
    """Tags, texts and style sheets of a page, as a browser reads them."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.styles = ""
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.lasttag == "style":
            self.styles += data


def demand_alone(page: Reader) -> None:
    """Nothing on the page runs or comes from elsewhere, and the page itself forbids it."""
    assert ACTIVE.isdisjoint(tag for tag, _ in page.tags)
    styles = [page.styles]
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all(
            (attributes.get(name) or "#").startswith(("#", "data:image/")) for name in ADDRESSES
        )
        styles.append(attributes.get("style") or "")
    assert not any("url(" in style or "@import" in style for style in styles)
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
