"""Hostile strings into the parameter editor: as a link, as a file, as the value and the name of a parameter."""

from __future__ import annotations

import pytest

from capsules.generate import ROOT
from tests.security.hostile import hostile_strings

PAGE = ROOT / "params_app" / "index.html"
BRING_IN = """texts => {
    const tags = ["script", "img", "iframe", "svg", "base", "meta", "b"];
    const shape = () => tags.map((tag) => document.querySelectorAll(tag).length).join();
    const before = shape();
    const refused = (action) => { try { action(); } catch (error) { return `${error}`; } };
    const found = [];
    for (const text of texts) {
        const link = refused(() => history.replaceState(null, "", "#params=" + encodeURIComponent(text)));
        const ways = [
            () => { if (!link) openLink(); },
            () => open(text, text),
            () => open(JSON.stringify({ curation: { query: text }, [text]: text }), text),
            () => { part("search").value = text; arrange(); part("file-name").value = text; showCommand(); },
            () => { part("text").value = text; validate(); compareWith(text, text); },
        ];
        for (const way of ways) {
            const error = refused(way);
            const isWhole = shape() === before && document.title === "SpikeRelay parameters";
            if (error || !isWhole) found.push([text, `${way}`, error, shape()]);
        }
    }
    return found;
}"""


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_strings_are_text_in_the_editor(visit, every):
    page, seen = visit(PAGE)
    page.wait_for_selector("#problem-count:not(:empty)")
    asked = len(seen.requests)
    # A browser gets no half of a surrogate pair from Playwright.
    texts = [text for text in hostile_strings("/tmp/canary")[::every] if text.isascii() or _is_utf8(text)]
    assert page.evaluate(BRING_IN, texts) == []
    assert seen.console == []
    assert len(seen.requests) == asked


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
