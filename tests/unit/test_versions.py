from capsules.common import versions
from capsules.common.contract import STAGES


def test_an_upgraded_library_changes_the_fingerprint_of_the_stages_that_use_it(monkeypatch):
    before = {name: versions.code_fingerprint(stage) for name, stage in STAGES.items()}
    assert len(set(before.values())) == len(before)
    installed = versions.version
    monkeypatch.setattr(versions, "version", lambda name: "99" if name == "kilosort" else installed(name))
    after = {name: versions.code_fingerprint(stage) for name, stage in STAGES.items()}
    assert [name for name in STAGES if after[name] != before[name]] == ["spikesorting"]
