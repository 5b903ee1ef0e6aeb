"""Stands in for Kilosort2.5's compiled executable, and for MATLAB: reads what those read and writes what they write.

It is copied onto PATH as `ks2_5_compiled` or `matlab`. It finds no spikes in the traces, but writes those of `SPIKES`,
in the files, shapes, types and memory order of Kilosort 2.5's `rezToPhy.m` and `writeNPY.m`. `STAND_IN_KEEPS` names a
folder for copies of what it was given; with `STAND_IN_FAILS` it ends as SpikeInterface's `kilosort2_5_master.m` does
on an error, with `STAND_IN_DIES` as a program that cannot even start.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import scipy.io

END = 10**9
"""Stands for samples beyond the end of the recording: END + 1 is the second one."""
SPIKES = {0: [100, 900, 30000, 90000], 1: [500, 700], 2: [], 3: [END + 5], 4: [250, 400, 400, 60000, END]}
"""Cluster -> samples: 2 is empty, 3 has only a spike beyond the end, 4 has one as well, and a spike twice."""
GOOD = (0, 3, 4)


def main() -> int:
    if message := os.environ.get("STAND_IN_DIES"):
        print(message, file=sys.stderr)
        return 127
    folder = called_with(sys.argv)
    ops = scipy.io.loadmat(folder / "ops.mat", simplify_cells=True)["ops"]
    for name in ("ops.mat", "chanMap.mat"):
        shutil.copy(folder / name, os.environ["STAND_IN_KEEPS"])
    if message := os.environ.get("STAND_IN_FAILS"):
        print("Time   0s. Determining good channels..", "-" * 40 + message, sep="\n", end="")
        return 1
    (folder / "temp_wh.dat").write_bytes(b"\0" * 64)
    write_results(folder, ops, scipy.io.loadmat(ops["chanMap"], simplify_cells=True))
    if ops["save_rez_to_mat"]:
        scipy.io.savemat(folder / "rez.mat", {"rez": {"ops": {"fs": ops["fs"]}}})
    print(f"found {len(GOOD)} good units")
    return 0


def called_with(words: list[str]) -> Path:
    """The folder in the command line."""
    if Path(words[0]).name == "matlab":
        return Path(re.fullmatch(r"kilosort2_5_master\('(.*)', '.*'\)", words[-1])[1])
    return Path(words[1])


def write_results(folder: Path, ops: dict, channels: dict) -> None:
    size = Path(ops["fbinary"]).stat().st_size // (2 * int(ops["NchanTOT"]))
    pairs = sorted(
        (sample - END + size if sample >= END else sample, unit) for unit in SPIKES for sample in SPIKES[unit]
    )
    times, clusters = np.array(pairs).T[:, :, np.newaxis]
    write = {
        "spike_times": times.astype("uint64"),
        "spike_clusters": clusters.astype("uint32"),
        "spike_templates": clusters.astype("uint32"),
        "amplitudes": np.full(times.shape, 12.5),
        "templates": templates(int(ops["nt0"]), int(ops["Nchan"])),
        "templates_ind": np.tile(np.arange(ops["Nchan"]), (len(SPIKES), 1)),
        "channel_map": np.arange(ops["Nchan"], dtype="int32")[np.newaxis],
        "channel_positions": np.stack([channels["xcoords"], channels["ycoords"]], axis=-1),
        "whitening_mat": np.eye(int(ops["Nchan"])) / ops["scaleproc"],
        "whitening_mat_inv": np.eye(int(ops["Nchan"])) * ops["scaleproc"],
        "similar_templates": np.eye(len(SPIKES), dtype="float32"),
    }
    for name, array in write.items():
        np.save(folder / f"{name}.npy", np.asfortranarray(array))
    labels = {unit: "good" if unit in GOOD else "mua" for unit in SPIKES}
    write_table(folder / "cluster_KSLabel.tsv", "KSLabel", labels)
    shutil.copy(folder / "cluster_KSLabel.tsv", folder / "cluster_group.tsv")
    write_table(folder / "cluster_ContamPct.tsv", "ContamPct", dict.fromkeys(SPIKES, "0.0"))
    write_table(folder / "cluster_Amplitude.tsv", "Amplitude", dict.fromkeys(SPIKES, "12.5"))
    (folder / "params.py").write_text(
        f"dat_path = '{ops['fproc']}'\nn_channels_dat = {ops['Nchan']:.0f}\ndtype = 'int16'\noffset = 0\n"
        f"sample_rate = {ops['fs']:.0f}.\nhp_filtered = True"
    )


def templates(samples: int, channels: int) -> np.ndarray:
    """One template per cluster, each on its own channel."""
    waves = np.zeros((len(SPIKES), samples, channels), dtype="float32")
    for unit in SPIKES:
        waves[unit, samples // 3, unit % channels] = -1
    return waves


def write_table(file: Path, column: str, values: dict) -> None:
    rows = [f"cluster_id\t{column}", *(f"{unit}\t{value}" for unit, value in values.items())]
    file.write_bytes("".join(f"{row}\r\n" for row in rows).encode())


if __name__ == "__main__":
    sys.exit(main())
