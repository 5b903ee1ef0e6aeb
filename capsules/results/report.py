"""report.html: one file that shows how a run went; it asks for nothing from elsewhere."""

from __future__ import annotations

from typing import Any

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SpikeRelay report</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.failed { font-weight: bold; }
.failed::before { content: "\\2716  "; }
.ok::before { content: "\\2714  "; }
.skipped::before { content: "\\2013  "; }
img { max-width: 100%; height: auto; background: #fff; }
figure { margin: 1rem 0; }
</style>
</head>
<body>
<main>
<h1>SpikeRelay: {{ status.status }}</h1>
<p>Figures are linked from this folder; keep this file beside them.</p>
<h2>Recordings</h2>
<table>
<thead><tr><th scope="col">Recording</th><th scope="col">Status</th><th scope="col">Units</th><th scope="col">Good</th>
{% for stage in recording_stages %}<th scope="col">{{ stage }}</th>{% endfor %}</tr></thead>
<tbody>
{% for id, entry in status.recordings.items() %}
<tr><th scope="row"><a href="#{{ id }}">{{ id }}</a></th><td class="{{ entry.status }}">{{ entry.status }}</td>
<td class="number">{{ shown(entry.get("units")) }}</td>
<td class="number">{{ shown(entry.get("good_units")) }}</td>
{% for stage in recording_stages %}{% set state = entry.stages[stage] %}
<td class="number">{{ "%.0f s"|format(state.seconds) if state.seconds is not none else state.status }}</td>{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
<h2>NWB files</h2>
<table>
<thead><tr><th scope="col">Block</th><th scope="col">Status</th><th scope="col">Reason</th></tr></thead>
<tbody>
{% for id, entry in status.blocks.items() %}
<tr><th scope="row">{{ id }}</th><td class="{{ entry.status }}">{{ entry.status }}</td>
<td>{{ entry.reason or "" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% for id, entry in status.recordings.items() %}
<h2 id="{{ id }}">{{ id }}</h2>
{% if entry.reason %}<p class="{{ entry.status }}">{{ entry.stage }}: {{ entry.reason }}</p>{% endif %}
{% if entry.next_step %}<p>Next: {{ entry.next_step }}</p>{% endif %}
<ul>
{% for stage, state in entry.stages.items() %}{% for text in state.warnings + state.changes %}
<li>{{ stage }}: {{ text }}</li>{% endfor %}{% endfor %}
</ul>
{% for figure in figures.get(id, []) %}
<figure><img loading="lazy" src="{{ figure|urlencode }}" alt="{{ figure }}">
<figcaption>{{ figure }}</figcaption></figure>
{% endfor %}
{% endfor %}
<h2>Parameters that are not defaults</h2>
<table>
<thead><tr><th scope="col">Parameter</th><th scope="col">Set by</th></tr></thead>
<tbody>
{% for name, origin in params.origins.items() %}<tr><th scope="row">{{ name }}</th><td>{{ origin }}</td></tr>
{% endfor %}
</tbody>
</table>
</main>
</body>
</html>
"""


def render(status: dict[str, Any], records: dict, params: dict[str, Any]) -> str:
    """The report as HTML; everything that comes from the data is escaped."""
    import jinja2

    from capsules.common.contract import RECORDING_STAGES
    from capsules.results.stage import figure_links, shown

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE).render(
        status=status, figures=figure_links(records), params=params, recording_stages=RECORDING_STAGES, shown=shown
    )
