"""Generated content of a report: units as a good probe gives them, in the shape that visualization leaves."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from capsules.visualization.unit_data import pack

DURATION_S = 1800.0
SAMPLES, CHANNELS_SHOWN, ACG_BINS, RATE_BINS, DEPTH_BINS, POINTS = 75, 8, 200, 120, 60, 120
CCG_BINS = 100
AMPLITUDE_BINS, TIME_BINS = 24, 60
QUERY = "isi_violations_ratio < 0.5 and presence_ratio > 0.9 and amplitude_cutoff < 0.1 and snr > 5"
INFO = {
    "num_spikes": ("Number of spikes", ""),
    "firing_rate": ("Mean firing rate over the recording", "Hz"),
    "snr": ("Template amplitude over the noise of its main channel", ""),
    "isi_violations_ratio": ("Rate of spikes within the refractory period, relative to the unit's rate", ""),
    "presence_ratio": ("Share of time bins in which the unit fires", ""),
    "amplitude_cutoff": ("Estimated share of spikes below the detection threshold", ""),
    "amplitude_median": ("Median amplitude of the spikes", "uV"),
    "drift_ptp": ("Range of the unit's position over time", "um"),
    "peak_to_trough_duration": ("Time from trough to peak of the template", "s"),
}


def report_content(units: int = 400, seed: int = 0, channels: int = 384, pictures: int = 4) -> dict[str, Any]:
    """The content of one recording: probe, checks, pictures, recording and units."""
    draw = np.random.default_rng(seed)
    depth_um = np.repeat(np.arange(channels // 2) * 20.0, 2)
    x_um = np.tile([11.0, 43.0], channels // 2)
    labels = np.where(np.arange(channels) > 0.93 * channels, "out", "good").astype(object)
    labels[draw.choice(channels, max(1, channels // 96), replace=False)] = "noise"
    shown = _units(draw, units, x_um, depth_um) if units else None
    good = shown["labels"]["default_qc"].count("good") if shown else 0
    return {
        "probe": {
            "ids": [f"AP{index}" for index in range(channels)],
            "x": x_um.tolist(),
            "y": depth_um.tolist(),
            "labels": labels.tolist(),
        },
        "checks": _checks(draw, units, good),
        "pictures": [_picture(draw, index) for index in range(pictures)],
        "recording": _recording(draw, depth_um, shown),
        "units": shown,
    }


def _checks(draw: np.random.Generator, units: int, good: int) -> list[dict[str, Any]]:
    values = [
        ("bad channels", "%", None, 10, "dead, noisy or outside the brain", 7.3),
        ("noise, median channel", "uV", 1, 20, "after preprocessing", round(float(draw.uniform(6, 9)), 2)),
        ("drift, upper end", "um", None, 40, "upper end of the 95 % interval of the range of the motion", 46.1),
        ("units", "", 1, None, "units that the sorter detected, without duplicates", units),
        ("good units", "", 1, None, "units that meet curation.query", good),
        ("suspicious good units", "", None, 0, "good by the query, and marked as mixed or drifting", 4),
    ]
    names = ("name", "unit", "low", "high", "meaning", "value")
    return [
        dict(zip(names, row, strict=True))
        | {"within": not ((row[2] is not None and row[5] < row[2]) or (row[3] is not None and row[5] > row[3]))}
        for row in values
    ]


def _picture(draw: np.random.Generator, index: int) -> dict[str, Any]:
    from PIL import Image

    pixels = (draw.integers(0, 40, (90, 200, 3)) + np.array([120, 150, 200])).astype(np.uint8)
    image, written = Image.fromarray(pixels).resize((1600, 720)), io.BytesIO()
    image.save(written, "WEBP", quality=60)
    data = f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"
    caption = f"Traces {index + 1}: channels by depth over time. Look for channels that differ from their neighbours"
    return {
        "file": f"visualization/traces_{index + 1}.png",
        "caption": caption,
        "data": data,
        "width": 1600,
        "height": 720,
    }


def _recording(draw: np.random.Generator, depth_um: np.ndarray, units: dict[str, Any] | None) -> dict[str, Any]:
    bins, times = 192, 600
    moving = 12 * np.sin(np.linspace(0, 3, times)) + np.linspace(0, 18, times)
    counts = draw.poisson(1.5, (bins, times)).astype(float)
    places = units["places"]["y"] if units else []
    for place in places:
        row = np.clip(((place + moving) / 20).astype(int), 0, bins - 1)
        counts[row, np.arange(times)] += draw.gamma(2, 4) * (0.7 + 0.3 * draw.random(times))
    root = np.sqrt(counts)
    of_depth = np.unique(depth_um)
    surface = 0.93 * of_depth[-1]
    bands = {"delta (1-4 Hz)": 34, "theta (4-10 Hz)": 28, "beta (10-30 Hz)": 18, "gamma (30-100 Hz)": 8}
    at = np.linspace(0, DURATION_S, 90)
    depths = [float(of_depth[-1] * share) for share in (0.15, 0.5, 0.85)]
    motion = np.stack([np.interp(at, np.linspace(0, DURATION_S, times), moving) * scale for scale in (0.8, 1, 1.2)], 1)
    return {
        "duration_s": DURATION_S,
        "rate_hz": 30000.0,
        "channels": len(depth_um),
        "start_s": 0.0,
        "periods": [
            {"kind": "saturation", "start_s": 310.0, "end_s": 312.5},
            {"kind": "artifact", "start_s": 900.0, "end_s": 901.0},
            {"kind": "artifact", "start_s": 1210.0, "end_s": 1216.0},
            {"kind": "gap", "start_s": 1500.0, "end_s": 1500.0, "missing_s": 2.5},
        ],
        "channels_noise": {
            "depth_um": depth_um.tolist(),
            "raw_uv": (draw.normal(12, 1.2, len(depth_um)) + 3 * np.sin(depth_um / 500)).round(2).tolist(),
            # A removed channel has no preprocessed noise.
            "preprocessed_uv": [
                None if index % 50 == 7 else float(value)
                for index, value in enumerate((draw.normal(7, 0.5, len(depth_um)) + np.sin(depth_um / 500)).round(2))
            ],
            "physical_unit": "uV",
        },
        "drift": {
            "counts": pack(np.round(255 * root / root.max()), "u1"),
            "shape": [bins, times],
            "start_s": 0.0,
            "width_s": DURATION_S / times,
            "lowest_um": 0.0,
            "height_um": 20.0,
        },
        "motion": {
            "times_s": at.round(1).tolist(),
            "depths_um": depths,
            "displacement_um": pack(motion, "f4"),
            "error_um": [1.5, 1.1, 2.4],
        },
        "lfp": {
            "depths_um": of_depth.tolist(),
            "physical_unit": "uV",
            "bands": {
                name: (level - 12 / (1 + np.exp(-(of_depth - surface) / 60)) + draw.normal(0, 0.4, len(of_depth)))
                .round(2)
                .tolist()
                for name, level in bands.items()
            },
            "surface_um": float(surface),
            "surface_reason": "LFP power is 12 dB lower above the surface",
            "source": "LF stream, 12 snippets of 2 s",
        },
    }


def _units(draw: np.random.Generator, count: int, x_um: np.ndarray, depth_um: np.ndarray) -> dict[str, Any]:
    places = np.sort(draw.uniform(40, depth_um.max() * 0.92, count)).round(1)
    rates_hz = np.exp(draw.normal(1.0, 1.1, count)).clip(0.05, 80)
    amplitudes = np.exp(draw.normal(4.4, 0.5, count)).clip(25, 600)
    contaminated = draw.random(count) < 0.3
    metrics = {
        "num_spikes": (rates_hz * DURATION_S).astype(int),
        "firing_rate": rates_hz,
        "snr": amplitudes / draw.uniform(6, 12, count),
        "isi_violations_ratio": np.where(contaminated, draw.uniform(0.5, 3, count), draw.exponential(0.08, count)),
        "presence_ratio": np.where(draw.random(count) < 0.1, draw.uniform(0.3, 0.9, count), 1.0),
        "amplitude_cutoff": np.where(draw.random(count) < 0.15, np.nan, draw.exponential(0.03, count)),
        "amplitude_median": -amplitudes,
        "drift_ptp": draw.gamma(2, 6, count),
        "peak_to_trough_duration": draw.choice([0.3e-3, 0.7e-3], count) * draw.normal(1, 0.1, count),
    }
    metrics |= {f"template_metric_{index}": draw.normal(size=count) for index in range(30)}
    labels, reasons = _labels(metrics)
    marked = [
        "contamination at least 14% (limit 10%; 12 violations)" if label == "good" and draw.random() < 0.04 else ""
        for label in labels
    ]
    return {
        "ids": [str(3 * index + 2) for index in range(count)],
        "integer_ids": True,
        "labels": {
            "default_qc": labels,
            "default_qc_reason": reasons,
            "suspicious": [str(bool(reason)) for reason in marked],
            "suspicious_reason": marked,
        },
        "metrics": {name: [_plain(value) for value in values] for name, values in metrics.items()},
        "metric_info": {name: {"meaning": text, "unit": unit} for name, (text, unit) in INFO.items()},
        "query": QUERY,
        "places": {"x": draw.uniform(0, 54, count).round(1).tolist(), "y": places.tolist()},
        "waveforms": _waveforms(draw, places, amplitudes, x_um, depth_um),
        "correlograms": {
            "rates_hz": pack(_autocorrelograms(draw, rates_hz, contaminated), "f4"),
            "start_ms": -50.0,
            "width_ms": 0.5,
            "bins": ACG_BINS,
            "refractory_ms": 1.5,
        },
        "amplitudes": _amplitudes(draw, amplitudes, rates_hz),
        "rates": _rates(draw, rates_hz),
        "depths": {
            "um": pack(
                places[:, None] + 10 * np.sin(np.linspace(0, 3, DEPTH_BINS)) + draw.normal(0, 1.5, (count, DEPTH_BINS)),
                "f4",
            ),
            "start_s": 0.0,
            "width_s": DURATION_S / DEPTH_BINS,
            "bins": DEPTH_BINS,
        },
        **_neighbours(draw, count, rates_hz),
    }


def _labels(metrics: dict[str, np.ndarray]) -> tuple[list[str], list[str]]:
    """Labels and reasons as curation gives them, by QUERY, `leave_out` and 50 spikes."""
    import pandas as pd

    from capsules.curation.labels import label_units

    plain = {name: [np.nan if _plain(value) is None else _plain(value) for value in metrics[name]] for name in metrics}
    labels = label_units(QUERY, pd.DataFrame(plain), metrics["num_spikes"], "leave_out", 50)
    return [label.label for label in labels], [label.reason for label in labels]


def _plain(value: Any) -> Any:
    if isinstance(value, np.integer):
        return int(value)
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _waveforms(
    draw: np.random.Generator, places: np.ndarray, amplitudes: np.ndarray, x_um: np.ndarray, depth_um: np.ndarray
) -> dict[str, Any]:
    time_ms = np.linspace(-1, 1.5, SAMPLES)
    count = len(places)
    width = draw.uniform(0.1, 0.2, (count, 1))
    repolarizes = draw.uniform(0.25, 0.6, (count, 1))
    shapes = -np.exp(-((time_ms / width) ** 2)) + 0.4 * np.exp(-(((time_ms - repolarizes) / (2 * width)) ** 2))
    channels = np.argsort(np.abs(depth_um - places[:, None]), axis=1)[:, :CHANNELS_SHOWN]
    distance = np.hypot(depth_um[channels] - places[:, None], 10)
    means = amplitudes[:, None, None] * shapes[:, :, None] * np.exp(-distance / 35)[:, None, :]
    both = np.stack([means, np.abs(means) * 0.12 + 6], axis=1)
    scale = np.abs(both).max(axis=(1, 2, 3)) / 1000
    return {
        "channels": channels.tolist(),
        "scale": [float(f"{value:.6g}") for value in scale],
        "values": pack(np.round(both / scale[:, None, None, None]), "i2"),
        "shape": [2, SAMPLES, CHANNELS_SHOWN],
        "start_ms": -1.0,
        "end_ms": 1.5,
        "unit": "uV",
    }


def _autocorrelograms(draw: np.random.Generator, rates_hz: np.ndarray, contaminated: np.ndarray) -> np.ndarray:
    lag_ms = np.abs(-50 + 0.5 * (np.arange(ACG_BINS) + 0.5))
    expected = rates_hz[:, None] * (1 - np.exp(-((lag_ms / 3) ** 4))) * (1 + 0.8 * np.exp(-lag_ms / 8))
    expected += contaminated[:, None] * rates_hz[:, None] * 0.4
    scale = rates_hz[:, None] * DURATION_S * 0.0005
    half = draw.poisson(expected * scale)[:, : ACG_BINS // 2] / scale
    return np.concatenate([half, half[:, ::-1]], axis=1)


def _amplitudes(draw: np.random.Generator, amplitudes: np.ndarray, rates_hz: np.ndarray) -> dict[str, Any]:
    counts = np.minimum(POINTS, (rates_hz * DURATION_S).astype(int))
    times = [np.sort(draw.uniform(0, DURATION_S, points)) for points in counts]
    values = [
        -size * (1 + 0.1 * np.sin(at / 400)) * draw.normal(1, 0.12, len(at))
        for size, at in zip(amplitudes, times, strict=True)
    ]
    lowest, highest = -1.5 * amplitudes, -0.4 * amplitudes
    edges = np.linspace(0, 1, AMPLITUDE_BINS + 1)
    at = (edges[:-1] + edges[1:]) / 2
    middle = 0.55 - 0.08 * np.sin(np.linspace(0, DURATION_S / 400, TIME_BINS))
    shape = np.exp(-(((at[:, None] - middle) / 0.13) ** 2))
    density = np.sqrt(draw.poisson(shape * np.clip(rates_hz, 0.5, 20)[:, None, None]))
    density = 255 * density / np.maximum(density.max(axis=(1, 2), keepdims=True), 1)
    return {
        "counts": counts.tolist(),
        "times_s": pack(np.concatenate(times), "f4"),
        "values": pack(np.concatenate(values), "f4"),
        "unit": "uV",
        "density": {
            "values": pack(np.round(density), "u1"),
            "shape": [AMPLITUDE_BINS, TIME_BINS],
            "start_s": 0.0,
            "width_s": DURATION_S / TIME_BINS,
            "lowest": lowest.round(1).tolist(),
            "highest": highest.round(1).tolist(),
        },
    }


def _rates(draw: np.random.Generator, rates_hz: np.ndarray) -> dict[str, Any]:
    width = DURATION_S / RATE_BINS
    slow = 1 + 0.6 * np.sin(np.linspace(0, 9, RATE_BINS) + draw.uniform(0, 6, len(rates_hz))[:, None])
    hz = draw.poisson(rates_hz[:, None] * slow.clip(0) * width) / width
    return {"hz": pack(hz, "f4"), "start_s": 0.0, "width_s": width, "bins": RATE_BINS}


def _neighbours(draw: np.random.Generator, count: int, rates_hz: np.ndarray) -> dict[str, Any]:
    """Units next to each other by depth are similar; the first of every ten has a merge candidate."""
    offsets = [offset for offset in (1, -1, 2, -2) if count > 1]
    similar = [
        [
            [unit + offset, round(0.97 - 0.08 * index, 3)]
            for index, offset in enumerate(offsets)
            if 0 <= unit + offset < count
        ]
        for unit in range(count)
    ]
    index = [[unit, unit + step] for unit in range(count) for step in (1, 2) if unit + step < count]
    width_ms = 1.0
    lag = np.abs(-50 + width_ms * (np.arange(CCG_BINS) + 0.5))
    expected = np.array([rates_hz[a] * rates_hz[b] for a, b in index])[:, None] * DURATION_S * width_ms / 1000
    dips = np.array([a % 10 == 0 and b == a + 1 for a, b in index])[:, None]
    counts = draw.poisson(np.minimum(expected * np.where(dips, 1 - np.exp(-((lag / 3) ** 4)), 1), 60000))
    return {
        "similar": similar,
        "pairs": {
            "index": index,
            "counts": pack(counts, "u2"),
            "start_ms": -50.0,
            "width_ms": width_ms,
            "bins": CCG_BINS,
        },
        "merges": [
            {
                "units": [unit, unit + 1],
                "similarity": 0.97,
                "distance_um": 14.2,
                "dip": 0.92,
                "refractory_violations": 0.004,
            }
            for unit in range(0, count - 1, 10)
        ],
    }
