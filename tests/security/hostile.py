"""Hostile strings: what people and programs have put into fields to see them run, written, shown or broken."""

from __future__ import annotations

import random

COUNT = 2000

SHELL = [
    "$(touch {canary})", "`touch {canary}`", "; touch {canary} #", "| touch {canary}", "&& touch {canary}",
    "|| touch {canary}", "& touch {canary} &", "> {canary}", ">> {canary} <<< x", "'; touch {canary}; '",
    '"; touch {canary}; "', "' $(touch {canary}) '", "\\'; touch {canary}; #", "\ntouch {canary}\n",
    "\r\ntouch {canary}\r\n", "\nSPIKERELAY_JSON\ntouch {canary}\n", "SPIKERELAY_JSON",
    "\n    SPIKERELAY_JSON\n    touch {canary}\n", "<(touch {canary})", "${{IFS}}touch${{IFS}}{canary}",
    "$'\\x74ouch' {canary}", "{{touch,{canary}}}", "!!", "!touch", "$HOME", "${{HOME}}", "$PATH:$(id)", "~", "~root",
    "*", "?", "[a-z]*", "{{a,b}}", "-rf", "--", "-", "--help", "--id", "-c 'touch {canary}'", "--output={canary}",
    "\\", "\\\\", "\\n", "'", '"', "''", '""', "`", "$", "$(", "${{", "#",
]  # fmt: skip
CODE = [
    "__import__('os').system('touch {canary}')", "exec(\"open('{canary}','w')\")", "open('{canary}', 'w').write('x')",
    "lambda: open('{canary}','w')", "().__class__.__bases__[0].__subclasses__()", "@os.system('touch {canary}')",
    "cos\nsystem\n(S'touch {canary}'\ntR.", "\x80\x04\x95", "!!python/object/apply:os.system ['touch {canary}']",
    "!!python/name:os.system", "!<tag:yaml.org,2002:python/object/new:os.system> [touch {canary}]", "&a [*a, *a]",
    "<<: *a", "${{'touch {canary}'.execute()}}", "${{System.exit(1)}}", "<% 'touch {canary}'.execute() %>",
    "#{{7*7}}", "${{7*7}}", "{{{{ cycler.__init__.__globals__.os.popen('touch {canary}').read() }}}}",
    "{{{{ 7*7 }}}}", "{{% include '/etc/passwd' %}}", "{{0.__class__.__mro__}}", "{{id}}", "{{stage}}", "{{0}}",
    "{{}}", "{{", "}}", "%s%s%s%n", "%(x)s", "%d", "%", "%%", "%2e%2e%2f", "eval(1)", "import os",
    "snr > 1; import os", "@snr", "snr.__class__", "a" * 60 + "!", "(a+)+$", "^(.*)*$",
]  # fmt: skip
MARKUP = [
    "<script>document.title='taken'</script>", "</script><script>document.title='taken'</script>",
    "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "javascript:alert(1)",
    "<a href='javascript:alert(1)'>x</a>", "<!--", "-->", "]]>", "<b>", "&lt;", "&amp;",
    "<iframe src='file:///etc/passwd'>", "<meta http-equiv=refresh content=0>", "<base href='http://127.0.0.1/'>",
    "'-alert(1)-'", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "<!ENTITY % x '&#37;'>", "'; DROP TABLE units; --", "1 OR 1=1", "=cmd|'/c calc'!A1", "+1+cmd|'/c calc'!A1",
    "-2+3", "@SUM(1,2)", "=HYPERLINK(\"file:///x\")", "\t=1+1", "\r=1+1", "$x^2$", "$\\frac{{1}}{{0}}$",
    "\\input{{/etc/passwd}}", "[x](javascript:alert(1))", "\u2028alert(1)\u2029",
]  # fmt: skip
PATHS = [
    "..", ".", "../", "../../../../../../../../tmp", "../{name}", "../../{name}", "../../../{name}", "/etc/passwd",
    "{canary}", "/", "//", "/dev/stdin", "/dev/zero", "/proc/self/environ", "a/../../{name}", "a%2f..%2f{name}",
    "a%..%..%{name}", "..%{name}", "....//", "file:///etc/passwd", "http://127.0.0.1:9/x", "s3://bucket/x",
    "\\\\server\\share", "C:\\x", "CON", "nul", "a/b", "a\\b", "a:b", ".hidden", ".git", "__init__.py", "numpy.py",
    "x" * 255, "x" * 256, "x/" * 300, "x.partial", ".nextflow", "status.json", "publish",
]  # fmt: skip
TEXT = [
    "", " ", "   ", "\t", "\n", "\r", "\0", "a\0b", "\x1b]0;taken\x07", "\x1b[2J\x1b[31m", "\x07", "\x08" * 20,
    "\x7f", "\x85", "\ufeff", "\u200b", "\u202egnp.exe", "\u2066x\u2069", "\ud800", "\udfff\ud800", "a\udcffb",
    "\U0001f9e0", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "é", "e\u0301", "ﬁ", "İi", "ß", "数据", "مرحبا",
    "１２３",
    "Ⅷ", "a" + "\u0301" * 500, "\uffff", "\U0010ffff", "A" * 10_000, "A" * 300_000, "[" * 5000, '{{"a":' * 500,
    "null", "true", "NaN", "Infinity", "1e999", "-0", "0x10", "1_000", "9" * 5000, "1" + "0" * 400, '"', "[]", "{{}}",
    '{{"a": 1, "a": 2}}', "[1,]", "{{'a': 1}}", "__proto__", "constructor", "toString", "hasOwnProperty", "__class__",
    "self", "None", "schema_", "$schema", "$ref", "sorter", "default", "2026-99-99", "0000-00-00T00:00:00",
    "9999-12-31T23:59:59+99:99", "1e400s", "1s\n", "0s", "inf", "a,b,,c", ",", ";", "=", "a=b=c", "a: b: c", "- - -",
    "? :",
]  # fmt: skip


def hostile_strings(canary: str, count: int = COUNT) -> list[str]:
    """So many different strings, always the same: each of the lists' as it is, the rest joined, nested and repeated.

    Parameters
    ----------
    canary : str
        A path that appears when one of them has its way.
    """
    name = canary.rsplit("/", 1)[-1]
    seeds = [text.format(canary=canary, name=name) for text in (*SHELL, *CODE, *MARKUP, *PATHS, *TEXT)]
    chance = random.Random(10)
    found = dict.fromkeys(seeds)
    while len(found) < count:
        one, other = chance.choice(seeds), chance.choice(seeds)
        made = chance.choice(
            [
                *(one + other, f"{one} {other}", f"'{one}'", f'"{one}"', one[::-1], one * 3, one.upper(), f"--{one}"),
                *(f"{one}\n{other}", f"x{one}x", f"{other[: len(other) // 2]}{one}", f"{one}/{other}", f"[{one}]"),
                *(f"{{{one}: {other}}}", f"imec0.{one}.ap", one.replace("/", "%")),
            ]
        )
        # Long ones are among the seeds; many more would only cost time.
        if len(made) < 3000:
            found[made] = None
    return list(found)[:count]
