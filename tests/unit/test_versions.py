import re
import tomllib
from importlib import metadata
from pathlib import Path

from capsules.common.contract import STAGES
from capsules.common.tasks import versions

ROOT = Path(__file__).parents[2]


def test_an_upgraded_library_changes_the_fingerprint_of_the_stages_that_use_it(monkeypatch):
    before = {name: versions.compute_code_fingerprint(stage) for name, stage in STAGES.items()}
    assert len(set(before.values())) == len(before)
    installed = versions.version
    monkeypatch.setattr(versions, "version", lambda name: "99" if name == "kilosort" else installed(name))
    after = {name: versions.compute_code_fingerprint(stage) for name, stage in STAGES.items()}
    assert [name for name in STAGES if after[name] != before[name]] == ["spikesorting"]


def test_the_pins_are_what_is_installed():
    lines = (ROOT / "capsule_versions.env").read_text().splitlines()
    pins = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z0-9_]+=[0-9]", line))
    del pins["NEXTFLOW"], pins["CONTAINER_TAG"]
    installed = {canonical(found.name): found.version for found in metadata.distributions()}
    pinned = {canonical(name): version for name, version in pins.items()}
    differing = {
        name: (version, installed[name]) for name, version in pinned.items() if installed.get(name, version) != version
    }
    assert not differing, "package: (pin, installed)"
    # What pip and venv bring themselves, and what a user's EXTRA_INSTALLS asks for, is not ours to pin.
    # torch names the exact versions of its CUDA packages.
    unpinned = {name for name in set(installed) - set(pinned) if not name.startswith(("nvidia-", "cuda-", "triton"))}
    unpinned -= {"pip", "setuptools", "wheel", "spikerelay"}
    assert not unpinned or 'EXTRA_INSTALLS=""' not in lines, unpinned
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = ours["optional-dependencies"]
    # It is built from source, with Debian's libraries: `make setup-aind`.
    apart = {canonical(name) for name in extras.pop("aind")}
    wanted = [*ours["dependencies"], *(name for group in extras.values() for name in group)]
    assert {canonical(name) for name in wanted} <= set(pinned) & set(installed)
    assert apart <= set(pinned)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
