"""The drawing of capsules/ and of how a run passes through its folders."""

from __future__ import annotations

from dataclasses import dataclass

from capsules.common.contract import STAGES
from capsules.generate import ROOT
from tests.pictures.studio import Studio

WIDTH, HEIGHT = 1040, 470
LABEL = "The folders of capsules/ and how a run passes through them"
STYLE = ".s{font-size:12px;fill:#333} .a{stroke:#444;stroke-width:1.4;fill:none}"
BLUE, SAND = 'fill="#eef4fb" stroke="#2b5d8c"', 'fill="#fffdf6" stroke="#8a7a4a"'


@dataclass(frozen=True)
class Box:
    """A folder or file: its name, its place and what is in it."""

    name: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()

    def draw(self, colours: str = BLUE) -> str:
        middle = self.x + self.width / 2
        place = f'x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}"'
        texts = [f'<text x="{middle}" y="{self.y + 20}" text-anchor="middle" font-weight="bold">{self.name}</text>']
        texts += [
            f'<text x="{middle}" y="{self.y + 38 + 15 * index}" text-anchor="middle" class="s">{line}</text>'
            for index, line in enumerate(self.lines)
        ]
        return "\n".join([f'<rect {place} rx="6" {colours}/>', *texts])


FLOW = [
    Box("parameters/", 10, 120, 130, 75, ("models, flags,", "schema, rules")),
    Box("resolve_params/", 165, 120, 140, 75, ("options, names,", "machine, sheet")),
    Box("job_dispatch/", 335, 120, 115, 75, ("recordings,", "clocks")),
    Box("preprocessing/", 465, 45, 110, 55),
    Box("spikesorting/", 590, 45, 110, 55),
    Box("postprocessing/", 715, 45, 105, 55),
    Box("events/", 465, 125, 110, 55),
    Box("curation/", 590, 125, 110, 55),
    Box("visualization/", 715, 125, 105, 55),
    Box("nwb_ecephys/", 465, 205, 110, 55),
    Box("nwb_units/", 590, 205, 110, 55),
    Box("results/", 840, 120, 80, 75, ("status,", "report")),
    Box("commands/", 935, 120, 95, 75, ("load, curate,", "export, rerun")),
]
COMMON = {
    "contract.py": ("the list", "of stages"),
    "facts.py": ("what stages", "leave for others"),
    "tasks/": ("command line,", "record, publishing"),
    "recordings/": ("job, clock,", "electrodes, traces"),
    "sync/": ("lines, pulses,", "clocks of streams"),
    "units/": ("metrics,", "contamination"),
    "untrusted/": ("files of others,", "read safely"),
    "patches/": ("of libraries,", "each tested"),
}
ARROWS = """
M140 157 L163 157, M305 157 L333 157, M450 140 L475 102, M450 157 L463 153, M450 180 L475 206, M575 72 L588 72,
M700 72 L713 72, M745 100 L690 124, M700 152 L713 152, M770 100 L770 123, M575 232 L588 232, M520 180 L520 203,
M645 180 L645 203, M820 152 L838 155, M700 232 L842 197, M920 157 L933 157"""
COMMON_LABEL = "what several stages use; it imports no stage, and no stage imports another"


def make(studio: Studio) -> None:
    """Draw the folders; one that the drawing has and the code lacks, or the other way round, is an error."""
    drawn = {box.name.rstrip("/") for box in FLOW} | {f"common/{name.rstrip('/')}" for name in COMMON}
    if missing := {*STAGES} - drawn:
        raise ValueError(f"tests/pictures/house.py has no box for {', '.join(sorted(missing))}")
    if lost := [name for name in drawn if not (ROOT / "capsules" / name).exists()]:
        raise ValueError(f"capsules/ has no {', '.join(sorted(lost))}: correct tests/pictures/house.py")
    studio.write("house.svg", draw().encode())


def draw() -> str:
    """The drawing as SVG."""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    step = 994 / len(COMMON)
    below = [
        Box(name, round(22 + step * index), 345, round(step - 10), 92, lines)
        for index, (name, lines) in enumerate(COMMON.items())
    ]
    marker = '<marker id="m" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" role="img"'
        f' aria-label="{LABEL}">',
        f'<defs>{marker}<path d="M0 0 L7 3 L0 6 z" fill="#444"/></marker></defs>',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        '<rect x="325" y="20" width="500" height="255" rx="8" fill="none" stroke="#888" stroke-dasharray="5 4"/>',
        '<text x="333" y="36" class="s">the workflow: main_multi_backend.nf, pipeline/workflows/</text>',
        *(box.draw() for box in FLOW),
        *(f'<path d="{path.strip()}" class="a" marker-end="url(#m)"/>' for path in ARROWS.split(",")),
        '<rect x="10" y="305" width="1020" height="150" rx="8" fill="#f7f5ef" stroke="#8a7a4a"/>',
        f'<text x="22" y="326" font-weight="bold">common/</text><text x="95" y="326" class="s">{COMMON_LABEL}</text>',
        *(box.draw(SAND) for box in below),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
