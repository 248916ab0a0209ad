"""The HTML of a conversation: everything escaped, no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from typing import Final

from chatlake.exports.readable import Block, ReadableMessage, kind_of, readable
from chatlake.exports.stored import Stored, as_object
from chatlake.model.counts import count
from chatlake.model.image_references import EmbeddedImage

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5b6472; --page: #f6f7f9;
  --card: #fff; --line: #d9dde3; --user: #2459a8; --assistant: #1b6e4b; --other: #7a4b12; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #a0a9b8; --page: #14171c;
  --card: #1d2128; --line: #363c46; --user: #8ab4f8; --assistant: #7fd1ae; --other: #e0b070; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 54rem; padding: 1.5rem 1rem 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
article { margin: 2rem 0 3rem; }
.facts { color: var(--dim); font-size: .85rem; margin: .2rem 0 1rem; }
.facts span + span::before { content: " · "; }
section { background: var(--card); border: 1px solid var(--line); border-left: 4px solid
  var(--other); border-radius: 6px; margin: .6rem 0; padding: .6rem .9rem; }
section.user { border-left-color: var(--user); }
section.assistant { border-left-color: var(--assistant); }
h3 { font-size: .8rem; letter-spacing: .03em; margin: 0 0 .3rem; color: var(--other); }
.user h3 { color: var(--user); } .assistant h3 { color: var(--assistant); }
h3 small { color: var(--dim); font-weight: normal; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; unicode-bidi: isolate; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--page); border: 1px solid
  var(--line); border-radius: 4px; padding: .5rem .7rem; margin: .3rem 0; font-size: .85rem; }
img { display: block; max-width: 100%; max-height: 30rem; margin: .5rem 0; border-radius: 4px; }
.dim { color: var(--dim); } .list { padding-left: 1.5rem; } .list li { margin: .4rem 0; }
.list a { color: var(--user); overflow-wrap: anywhere; }
footer { color: var(--dim); font-size: .85rem; border-top: 1px solid var(--line); }
@media print { body { max-width: none; background: none; } article { break-before: page; }
  article:first-of-type { break-before: auto; } section { break-inside: avoid-page; } }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; img-src data:; style-src 'sha256-{_HASH}'"
_HEAD: Final = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="referrer" content="no-referrer">\n'
)
FOOT: Final = "<footer><p>Conversations: {count}</p></footer>\n</body>\n</html>\n"
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# These change the direction of text, even beyond the end of their element.
_BIDI: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NOTES: Final = {"link": "image at", "missing": "image not stored:"}
_COLOURED: Final = frozenset({"user", "assistant"})


def head(title: str) -> str:
    """Return the beginning of a page."""
    return f"{_HEAD}<title>{_safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"


def article(stored: Stored) -> str:
    """Return one conversation."""
    facts = "".join(f"<span>{_safe(fact)}</span>" for fact in _facts(stored))
    sections = "".join(map(_section, readable(stored)))
    metadata = ""
    if stored.metadata:
        pairs = "".join(
            f"<span>{_safe(key)}: {_safe(str(value))}</span>"
            for key, value in stored.metadata.items()
        )
        metadata = f'<p class="facts">{pairs}</p>\n'
    return (
        f"<article>\n<h2>{_safe(stored.completion_id)}</h2>\n"
        f'<p class="facts">{facts}</p>\n{metadata}{sections}</article>\n'
    )


def index_entry(stored: Stored, path: str) -> str:
    """Return a conversation's line in the list of all."""
    return (
        f'<li><a href="{escape(path)}">{_safe(stored.completion_id)}</a><br>'
        f'<span class="dim">{_safe(" · ".join(_facts(stored)))}</span></li>\n'
    )


def _facts(stored: Stored) -> list[str]:
    total = as_object(stored.completion.get("usage")).get("total_tokens")
    found = [stored.created_at.strftime("%Y-%m-%d %H:%M:%S UTC"), stored.source]
    found += [str(model)] if (model := stored.completion.get("model")) else []
    return found + ([count(total, "token")] if isinstance(total, int) else [])


def _section(message: ReadableMessage) -> str:
    role = message.role if message.role in _COLOURED else "other"
    name = f" {_safe(message.name)}" if message.name else ""
    notes = [f"choice {message.choice + 1}"] if message.choice is not None else []
    notes += message.notes
    shown = f" <small>{_safe(', '.join(notes))}</small>" if notes else ""
    body = "".join(map(_block, message.blocks))
    for function, arguments in message.calls:
        body += f'<p class="dim">calls {_safe(function)}</p>\n<pre>{_safe(arguments)}</pre>\n'
    if not body:
        body = '<p class="dim">nothing stored</p>\n'
    return (
        f'<section class="{role}">\n<h3>{_safe(message.role)}{name}{shown}</h3>\n{body}</section>\n'
    )


def _block(block: Block) -> str:
    if block.image is not None:
        return _image(block.image)
    text = _safe(block.text)
    if block.kind == "json":
        return f"<pre>{text}</pre>\n"
    if block.kind in _NOTES:
        return f'<p class="dim">{_NOTES[block.kind]} {text}</p>\n'
    mark = '<p class="dim">refused</p>\n' if block.kind == "refusal" else ""
    return f'{mark}<div class="text" dir="auto">{text}</div>\n'


def _image(image: EmbeddedImage) -> str:
    kind = kind_of(image.data)
    if kind is None:
        return f'<p class="dim">image of an unknown kind, {image.sha256}</p>\n'
    text = base64.b64encode(image.data).decode()
    return f'<img alt="image {image.sha256[:12]}" src="data:{kind[0]};base64,{text}">\n'


def _safe(text: str) -> str:
    """Return text for display: escaped, and without characters that HTML does not allow."""
    text = _BIDI.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
    return escape(_CONTROL.sub("\ufffd", text))
