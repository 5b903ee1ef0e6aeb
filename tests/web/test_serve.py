"""The parameter editor's server: what it gives, what it does not, and its ports."""

from __future__ import annotations

import re
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from capsules.generate import ROOT

SERVE = ROOT / "params_app" / "serve.py"
ELSEWHERE = ["/.git/HEAD", "/../.git/HEAD", "/%2e%2e/.git/HEAD", "/..%2f.git/HEAD", "//etc/passwd", "/js/", "/js"]
ELSEWHERE += ["/serve.py", "/js/../serve.py", "/vendor/../../README.md", "/presets.json", "/index.html/"]
ELSEWHERE += ["/js%2fpage.js", "/\\..\\README.md", "/vendor/README.md", "/data.js%00"]
ELSEWHERE += ["/pipeline/default_params.json", "/essentials.json"]


def answer(server, path, **headers):
    connection = HTTPConnection(server.removeprefix("http://").rstrip("/"))
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def test_it_gives_the_app_the_schema_and_the_defaults(editor_server):
    page, reference = (ROOT / "params_app" / name for name in ("index.html", "parameters.html"))
    schema, defaults = (ROOT / "pipeline" / f"default_params{end}.json" for end in ("_schema", ""))
    files = {"/": page} | {f"/{file.name}": file for file in (reference, schema, defaults)}
    for path, file in files.items():
        found = answer(editor_server, path)
        assert found.status == 200
        assert found.read() == file.read_bytes()


@pytest.mark.parametrize("path", ELSEWHERE)
def test_it_gives_nothing_else(editor_server, path):
    assert answer(editor_server, path).status == 404


def test_it_answers_to_its_own_name_alone(editor_server):
    assert answer(editor_server, "/", Host="evil.example:80").status == 404


def test_a_busy_port_is_passed_over(editor_server):
    port = int(editor_server.rstrip("/").rsplit(":", 1)[1])
    command = [sys.executable, str(SERVE), str(port), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        other = int(re.search(r"127\.0\.0\.1:(\d+)/", process.stdout.readline())[1])
    finally:
        process.terminate()
        process.wait(10)
    assert port < other <= port + 20


@pytest.mark.parametrize("arguments", [["x"], ["-1"], ["70000"], ["1.5"], ["1", "2"], ["--nonsense"], [""]])
def test_a_bad_port_is_refused_with_the_usage(arguments):
    command = [sys.executable, str(SERVE), *arguments, "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python params_app/serve.py [PORT]" in done.stderr
