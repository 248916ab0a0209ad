"""Writes the bill of materials (SBOM) of an installation, in CycloneDX's JSON, without a network.

The lock names the packages of an installation, their versions and hashes. The metadata of the
packages installed here names their licences, and what each of them needs. A package that only other
machines install has no metadata here, so its licence is missing.

    python -m supply.sbom --lock LOCK --installed SITE_PACKAGES --output FILE

The same lock and packages give the same bytes if SOURCE_DATE_EPOCH sets the time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
import uuid
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.licences import licence_of
from supply.lock import Locked, read_lock

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("s3", "dask", "redact")
"""The optional parts of chatlake that the runtime lock has."""


def main() -> None:
    """Write the SBOM; ends with 1 if CycloneDX's schema refuses it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--installed", type=Path, required=True, help="a folder site-packages")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    bom = bill(read_lock(options.lock), distributions(path=[str(options.installed)]))
    text = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the SBOM does not follow CycloneDX's schema: {problem}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(f"{options.output}: {len(bom.components)} packages, with licences, hashes and needs")


def bill(lock: dict[str, Locked], installed: Iterable[Distribution]) -> Bom:
    """Return the SBOM of chatlake and the packages of `lock`, described by what is installed."""
    here = {str(canonicalize_name(each.name)): each for each in installed}
    components = {name: _component(each, here.get(name)) for name, each in lock.items()}
    project = _project()
    chatlake = Component(
        name="chatlake",
        version=project["version"],
        type=ComponentType.APPLICATION,
        description=project["description"],
        purl=PackageURL("pypi", name="chatlake", version=project["version"]),
        bom_ref=f"chatlake=={project['version']}",
        licenses=[DisjunctiveLicense(id=project["license"])],
    )
    content = "\n".join(
        f"{name} {each.version} {sorted(each.hashes)}" for name, each in sorted(lock.items())
    )
    bom = Bom(
        components=components.values(),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{chatlake.purl}\n{content}"),
        metadata=BomMetaData(component=chatlake, timestamp=_now()),
    )
    asked = [*project["dependencies"]]
    asked += [each for extra in EXTRAS for each in project["optional-dependencies"][extra]]
    bom.register_dependency(chatlake, [components[name] for name in _needed(asked, (), lock)])
    for name, component in components.items():
        requires = here[name].requires if name in here else None
        needs = _needed(requires or [], lock[name].extras, lock)
        bom.register_dependency(component, [components[each] for each in needs])
    return bom


def _component(locked: Locked, installed: Distribution | None) -> Component:
    licence = licence_of(locked.name, installed.metadata) if installed is not None else ""
    properties = [Property(name="chatlake:marker", value=locked.marker)] if locked.marker else []
    return Component(
        name=locked.name,
        version=locked.version,
        purl=PackageURL("pypi", name=locked.name, version=locked.version),
        bom_ref=f"{locked.name}=={locked.version}",
        licenses=[LicenseExpression(licence)] if licence else [],
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:"))
            for each in locked.hashes
        ],
        properties=properties,
    )


def _needed(requirements: list[str], extras: Collection[str], lock: dict[str, Locked]) -> list[str]:
    """Return the names in `lock` that these requirements of one package ask for."""
    found = set()
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if name not in lock:
            continue
        marker = requirement.marker
        applies = marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras))
        elsewhere = not lock[name].is_for_this_machine and "extra" not in str(marker)
        if applies or elsewhere:
            found.add(name)
    return sorted(found)


def _project() -> dict[str, Any]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def _now() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


if __name__ == "__main__":
    main()
