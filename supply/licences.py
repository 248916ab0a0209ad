"""The licence of an installed package, and whether chatlake may need the package.

Metadata names a licence in three ways: as an SPDX expression (the newest), as free text, and as a
classifier. The first one that says something counts. A list translates the free texts that the
locked packages use. A new wording fails the check until somebody has read it.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageMetadata

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ALLOWED = frozenset(
    {
        "Apache-2.0",
        "Artistic-1.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",
        "ISC",
        "LicenseRef-BSD",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
    }
)
"""Licences whose code an Apache-2.0 program may depend on without taking on their terms."""

READ_BY_HAND = {
    # Its metadata holds the text of the licence instead of the name.
    "httpx-aiohttp": "BSD-3-Clause",
    # Either of two licences. The classifiers list both without saying so.
    "text-unidecode": "Artistic-1.0",
    "python-dateutil": "Apache-2.0",
}

_TEXTS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD": "LicenseRef-BSD",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "MIT Licence": "MIT",
    "MIT license": "MIT",
    "The MIT License (MIT)": "MIT",
}

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "LicenseRef-BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def licence_of(name: str, metadata: PackageMetadata) -> str:
    """Return the licence of a package as an SPDX expression; "" if nothing known is named.

    `name` is canonical, `metadata` what the package's METADATA file says. "BSD" without a number of
    clauses has no name in SPDX and becomes `LicenseRef-BSD`.
    """
    if name in READ_BY_HAND:
        return READ_BY_HAND[name]
    for field in ("License-Expression", "License"):
        for text in metadata.get_all(field) or ():
            if known := _as_expression(text.strip()):
                return known
    named = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or ()
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    if named and all(each in _CLASSIFIERS for each in named):
        return " AND ".join(sorted({_CLASSIFIERS[each] for each in named}))
    return ""


def not_allowed(expression: str) -> list[str]:
    """Return the licences of an expression that are not allowed, or the expression if it is empty.

    Every licence counts, also one of two between which a user may choose: such a package is to be
    read by hand.
    """
    if not expression:
        return ["unknown"]
    named = re.findall(r"[\w.+-]+", expression)
    return [each for each in named if each not in {"AND", "OR"} and each not in ALLOWED]


def _as_expression(text: str) -> str:
    text = _TEXTS.get(text, text)
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return ""
