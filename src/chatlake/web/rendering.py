"""Markdown and code from strangers, as HTML that is safe to show.

HTML in the text is escaped (`html: False`). Links lead only to http, https and mailto addresses,
and show where they lead. Images are not loaded; each is named, with its address. The time for one
page is bounded, and later texts are shown plain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from chatlake.web.shown import visible

MOST_CHARACTERS: Final = 50_000
"""Characters of a message that are rendered as Markdown; a longer message is shown as plain text.
"""
MOST_CODE: Final = 10_000
"""Characters of one block of code that are coloured."""
_MOST_BRACKETS: Final = 2_000  # the parser's time grows with their square
_SCHEMES: Final = ("http", "https", "mailto")


class Rendering:
    """Renders the texts of one page, richly as long as that took less than `patience_s` seconds."""

    def __init__(
        self, patience_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._left_s = patience_s
        self._clock = clock

    def markdown(self, text: str) -> Markup:
        """Return a text as HTML; as plain text if rendering would take too long."""
        text = visible(text)
        is_long = len(text) > MOST_CHARACTERS or text.count("[") > _MOST_BRACKETS
        if is_long or self._left_s <= 0:
            return plain(text)
        with self._counted():
            return Markup(_parser().render(text, {"rendering": self}))  # noqa: S704 - passes no HTML

    def code(self, text: str, language: str) -> Markup:
        """Return code as a block, coloured if the language is known and there is time for it."""
        with self._counted():
            coloured = self.coloured(visible(text), language)
        return Markup('<pre class="code"><code>{}</code></pre>').format(coloured)

    def coloured(self, code: str, language: str) -> Markup:
        """Return code in colours, or unchanged."""
        words = language.split()
        if words and len(code) <= MOST_CODE and self._left_s > 0:
            try:
                lexer = get_lexer_by_name(words[0].lower(), stripnl=False)
            except ClassNotFound:
                return escape(code)
            with self._counted():
                return Markup(highlight(code, lexer, _FORMATTER))  # noqa: S704 - it escapes
        return escape(code)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began, left_s = self._clock(), self._left_s
        try:
            yield
        finally:
            # Counted from the start, because a nested step has already counted its own part.
            self._left_s = left_s - (self._clock() - began)


def plain(text: str) -> Markup:
    """Return text unchanged, in lines."""
    return Markup('<pre class="plain">{}</pre>').format(text)


_FORMATTER: Final = HtmlFormatter(nowrap=True)


def _validate_link(url: str) -> bool:
    try:
        return urlsplit(url.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


class _Renderer(RendererHTML):
    """Renders as markdown-it does, except for links, images and code."""

    def link_open(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Open a link in a new tab, without telling its target where it came from."""
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        tokens[index].attrSet("target", "_blank")
        return self.renderToken(tokens, index, options, env)

    def link_close(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Close a link, and show where it leads unless its text already does."""
        opened = next(token for token in reversed(tokens[:index]) if token.type == "link_open")
        address = str(opened.attrGet("href") or "")
        between = tokens[list(tokens).index(opened) + 1 : index]
        said = "".join(token.content for token in between)
        shown = "" if said == address else f' <span class="address">{escape(address)}</span>'
        return f"{self.renderToken(tokens, index, options, env)}{shown}"

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Name an image and its address; loading it would reveal the reader to a stranger."""
        token = tokens[index]
        name = self.renderInlineAsText(token.children or [], options, env)
        address = str(token.attrGet("src") or "")
        return (
            f'<span class="linked-image">image{": " if name else ""}{escape(name)} '
            f'<span class="address">{escape(address)}</span></span>'
        )

    def fence(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, env: EnvType
    ) -> str:
        """Show a block of code in colours."""
        token = tokens[index]
        language = token.info.strip()
        label = f'<span class="language">{escape(language)}</span>' if language else ""
        code = env["rendering"].coloured(token.content, language)
        return f'<div class="fence">{label}<pre class="code"><code>{code}</code></pre></div>\n'


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("js-default", {"html": False, "linkify": False}, renderer_cls=_Renderer)
    links: Any = made
    links.validateLink = _validate_link
    return made
