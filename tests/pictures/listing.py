"""The pictures in docs/images, by the module of this folder that makes them."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "house": ("house.svg",),
    "editor": ("params_app.webp", "params_app_narrow.webp", "params_app_validate.webp"),
    "report": (
        "report.webp",
        "report_comparison.webp",
        "report_query.webp",
        "report_recording.webp",
        "report_table.webp",
    ),
    "events": ("report_sync.webp", "report_events.webp", "unit_events.webp"),
    "sessions": ("sessions.webp",),
    "tutorial": (
        "tutorial_report.webp",
        "tutorial_responses.webp",
        "tutorial_unit.webp",
        "tutorial_raster.webp",
        "tutorial_psth.webp",
    ),
    "terminal": ("terminal_doctor.webp", "terminal_inspect.webp", "terminal_plan.webp", "terminal_status.webp"),
    "units": (
        "channels.webp",
        "pair_one_neuron.webp",
        "pair_two_neurons.webp",
        "traces.webp",
        "unit.webp",
        "unit_after.webp",
        "unit_before.webp",
        "unit_contaminated.webp",
        "unit_cut_off.webp",
        "unit_good.webp",
        "unit_merged.webp",
        "unit_noise.webp",
        "unit_single.webp",
        "units.webp",
    ),
    "drift": ("drift_before.webp", "drift_after.webp", "unit_drifting.webp", "unit_corrected.webp"),
    "sync": ("sync_residuals.webp",),
    "timeline": ("timeline.webp",),
}
"""Group -> its files. `tests/pictures/<group>.py` has `make(studio)`, which saves each of them."""
PICTURES = {name: group for group, names in GROUPS.items() for name in names}
"""File -> its group."""
