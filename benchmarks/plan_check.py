"""Is what `quantbench plan` says right within a factor of 1.5?

    python benchmarks/plan_check.py DATA FOLDER [STUDY ...]

Each study is planned on an empty store, run by pytest, and planned again. Printed are disk, the
highest resident set and seconds as planned, as they were, and their ratio; then what the second
plan says, which must be nothing. Bytes that came are not counted: the registries' clients do not
tell them. DATA is the folder of `--quant-data`, FOLDER an empty one for the stores. The last three
studies had no part in the shipped rates.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

STUDIES = {
    "digits_centernet": ("digits_centernet", None, "digit_scenes"),
    "digits_classifier": ("digits_classifier", None, "digits"),
    "yolox_litert": ("yolox_nano", ["float32", "int8_dynamic", "int8_static"], "coco"),
    "yolox_ort": ("yolox_nano", ["ort_float32", "ort_int8_dynamic", "ort_int8_static"], "coco"),
    "yolox_ov": ("yolox_nano", ["ov_float32", "ov_int8_static", "ov_int8_weight"], "coco"),
    "smollm2_kjv": ("smollm2_135m_instruct", ["reference", "gptq_int4_g64", "bnb_nf4"], "kjv"),
    "smollm2_gguf": ("smollm2_135m_instruct", ["gguf_bf16", "gguf_q8_0", "gguf_q4_k_m"], "kjv"),
    "nanodet_litert": ("nanodet_416", ["float32", "int8_static"], "coco"),
    "centernet_ort": (
        "centernet_mobilenetv3",
        ["float32", "ort_float32", "ort_int8_static"],
        "coco",
    ),
    "smollm2_lambada": ("smollm2_135m_instruct", ["reference", "torchao_int8"], "lambada"),
}
_STUDY = """
import pytest

from quantbench import cases, non_inferior

CASES = cases({model!r}, schemes={schemes!r}, datasets=[{dataset!r}])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_evaluated(evaluation, reference):
    pass
"""
_LOOK_S = 0.05


class Taken(NamedTuple):
    """What a run took: bytes, bytes, seconds."""

    disk: int
    memory: int
    seconds: float


def run(study: Path, data: str, cache: Path) -> Taken:
    """Run a study in a process of its own, and look at it twenty times a second."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(study)]
    command += [f"--rootdir={study.parent}", "-p", "no:cacheprovider", "--disable-warnings"]
    command += ["--quant-data", data, "--quant-cache", str(cache)]
    started, peak, disk = time.perf_counter(), 0, 0
    with subprocess.Popen(command) as running:
        looks = 0
        while running.poll() is None:
            peak = max(peak, _resident(running.pid))
            if looks % 20 == 0:
                disk = max(disk, used(cache))
            looks += 1
            time.sleep(_LOOK_S)
    if running.returncode:
        raise SystemExit(f"{study} did not run")
    return Taken(max(disk, used(cache)), peak, time.perf_counter() - started)


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmRSS:")), default=0)


def used(folder: Path) -> int:
    """Bytes of all files of a folder."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return found


def planned(study: Path, data: str, cache: Path) -> dict[str, Any]:
    """What `quantbench plan` says in JSON."""
    command = [sys.executable, "-m", "quantbench", "plan", str(study), "--json"]
    command += ["--quant-data", data, "--quant-cache", str(cache)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def main(data: str, folder: str, *names: str) -> None:
    """Print a table."""
    print("study  quantity  planned  taken  ratio")  # noqa: T201 - a script
    for name in names or STUDIES:
        model, schemes, dataset = STUDIES[name]
        place = Path(folder).absolute() / name
        place.mkdir(parents=True, exist_ok=True)
        study = place / "test_study.py"
        study.write_text(_STUDY.format(model=model, schemes=schemes, dataset=dataset))
        before = planned(study, data, place / "cache")["total"]
        taken = run(study, data, place / "cache")
        for what, unit, by in (("disk", "MB", 1e6), ("memory", "GB", 1e9), ("seconds", "s", 1)):
            said, was = before[what]["known"] / by, getattr(taken, what) / by
            some = " of what is known" if before[what]["unknown"] else ""
            print(  # noqa: T201 - a script
                f"{name:18} {what:8} {said:8.2f} {was:8.2f} {unit:3} {said / was:5.2f}{some}",
                flush=True,
            )
        again = planned(study, data, place / "cache")
        left = sum(len(case["needs"]) for case in again["cases"])
        print(f"{name:18} left to do after the run: {left} steps", flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main(*sys.argv[1:])
