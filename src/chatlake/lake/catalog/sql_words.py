"""The words and ends of a query, as DuckDB's own lexer finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import duckdb

_WORD: Final = re.compile(r'"(?:[^"]|"")*"|\w+')


@dataclass(frozen=True, slots=True)
class Word:
    """A name or keyword in lower case; `end`: the place behind it, in characters."""

    text: str
    end: int
    is_quoted: bool


def words_of(query: str) -> list[Word]:
    """Return the names and keywords of a query, in lower case, as DuckDB's own lexer finds them."""
    data = query.encode()  # its places are counted in bytes
    found = []
    for start, kind in duckdb.tokenize(query):
        if kind not in (duckdb.token_type.keyword, duckdb.token_type.identifier):
            continue
        if match := _WORD.match(data[start:].decode(errors="replace")):
            word = match[0]
            is_quoted = word.startswith('"')
            name = word[1:-1].replace('""', '"') if is_quoted else word
            end = len(data[:start].decode(errors="replace")) + len(word)
            found.append(Word(name.lower(), end, is_quoted))
    return found


def semicolons(query: str) -> Iterator[int]:
    """Yield the places, in bytes, of every `;` that ends a statement."""
    data = query.encode()
    for start, kind in duckdb.tokenize(query):
        if kind == duckdb.token_type.operator and data[start : start + 1] == b";":
            yield start


def is_one_statement(query: str) -> bool:
    """Say whether nothing but comments follows the first `;`."""
    places = list(semicolons(query))
    if not places:
        return True
    kinds = (kind for start, kind in duckdb.tokenize(query) if start > places[0])
    return len(places) == 1 and all(kind == duckdb.token_type.comment for kind in kinds)


def without_end(query: str) -> str:
    """Return one statement without its `;` and what follows it."""
    places = list(semicolons(query))
    return query.encode()[: places[0]].decode() if places else query
