"""Fetch one Nextflow release from Maven Central into a folder; the `nextflow` launcher runs its jars.

`jgo` resolves the jars without Maven. A release that exists is not fetched again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

# Releases that are incomplete on Maven Central: modules to exclude, and their replacements.
INCOMPLETE: dict[str, dict[str, list[str]]] = {
    "25.04.4": {
        "exclusions": ["io.nextflow:nf-lang", "io.seqera:lib-trace"],
        "additions": ["io.nextflow:nf-lang:25.04.0"],
    }
}


def fetch(version: str, folder: Path) -> Path:
    """Put the jars of Nextflow `version` into `folder/version`, which appears whole or not at all."""
    release = folder / version
    if release.exists():
        return release

    from jgo.env import EnvironmentBuilder, EnvironmentSpec, LinkStrategy
    from jgo.maven import MavenContext

    build = folder / f"{version}.partial"
    shutil.rmtree(build, ignore_errors=True)
    (build / "jars").mkdir(parents=True)
    repairs = INCOMPLETE.get(version, {"exclusions": [], "additions": []})
    specs = [EnvironmentSpec(coordinates=[f"io.nextflow:nextflow:{version}"], exclusions=repairs["exclusions"])]
    specs += [EnvironmentSpec(coordinates=[addition]) for addition in repairs["additions"]]
    for spec in specs:
        builder = EnvironmentBuilder(MavenContext(), cache_dir=build / "cache", link_strategy=LinkStrategy.AUTO)
        for jar in builder.from_spec(spec).all_jars:
            Path(jar).replace(build / "jars" / Path(jar).name)
    (build / "jars").rename(release)
    shutil.rmtree(build)
    return release
