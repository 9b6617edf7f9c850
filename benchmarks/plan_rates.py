"""What building takes a weight: networks of millions of random weights, each scheme by itself.

    python benchmarks/plan_rates.py FOLDER [SCHEME ...]

ResNet50V2 and ResNet152V2 as Keras makes them (25.6 and 60.4 million weights, 224 pixels), a
process for each scheme, on 64 random pictures. Prints each step's seconds and highest resident
set; a line through both networks is what `rates.json` of a backend has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCHEMES = (
    *("float32", "float16", "int8_dynamic", "int8_static", "int8_static_aeq"),
    *("ort_float32", "ort_float16", "ort_int8_dynamic", "ort_int8_static"),
    *("ov_float32", "ov_float16", "ov_int8_static", "ov_int8_weight"),
)
NETWORKS = ("ResNet50V2", "ResNet152V2")
_MAKE = (
    "import keras, sys; getattr(keras.applications, sys.argv[1])(weights=None).export(sys.argv[2])"
)
_STUDY = """
from dataclasses import dataclass

import numpy as np
import pytest

from quantbench import Model, cases
from quantbench.data.labelled import Labelled
from quantbench.data.samples import Picture
from quantbench.tasks.classification.classifier import Classifier

CLASSES = tuple(str(i) for i in range(1000))


@dataclass(frozen=True)
class Noise:
    name: str = "noise"
    task: str = "classification"
    source: None = None
    calibration_source: None = None
    default_n: int = 64
    calibration_n: int = 32

    def samples(self, files, split, n):
        rng = np.random.default_rng([ord(split[0]), 0])
        count = self.default_n if split == "evaluation" else self.calibration_n
        images = rng.integers(0, 256, (count, 224, 224, 3), np.uint8)
        names = {{i: c for i, c in enumerate(CLASSES)}}
        return [
            Labelled(f"{{split}}-{{i}}", Picture(f"{{split}}-{{i}}", image, ()), str(i), CLASSES)
            for i, image in enumerate(images)
        ][:n]


MODEL = Model(
    name="{name}",
    source="file:{saved}",
    importer="saved_model",
    reference="float32",
    schemes={schemes!r},
    datasets=(Noise(),),
    interface=Classifier(size=(224, 224), class_ids=CLASSES, says="probabilities"),
)


@pytest.mark.parametrize("case", cases(MODEL), ids=str)
def test_evaluated(evaluation):
    pass
"""


def main(folder: str, *schemes: str) -> None:
    """Print a line a step."""
    for network in NETWORKS:
        place = Path(folder).absolute() / network
        saved = place / "saved_model"
        if not saved.exists():
            place.mkdir(parents=True)
            subprocess.run([sys.executable, "-c", _MAKE, network, str(saved)], check=True)
        study = place / "test_study.py"
        names = tuple(dict.fromkeys(("float32", *SCHEMES)))
        study.write_text(_STUDY.format(name=network.lower(), saved=saved, schemes=names))
        for scheme in schemes or SCHEMES:
            command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(study)]
            command += [f"--rootdir={place}", "-p", "no:cacheprovider", "--disable-warnings"]
            command += ["--quant-cache", str(place / "cache"), "--quant-schemes", scheme]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        for path in sorted((place / "cache").glob("*/*/manifest.json"), key=written):
            print(network, told(path), flush=True)  # noqa: T201 - a script


def written(path: Path) -> float:
    return (path.parent / "files").stat().st_ctime


def told(path: Path) -> str:
    """What a manifest says of its step."""
    told = json.loads(path.read_text())
    made, details = told["ingredients"], told["details"]
    name = (made.get("scheme") or {}).get("name") or (made.get("importer") or [""])[0]
    peak = details.get("peak_rss_bytes")
    return (
        f"{path.parents[1].name:12} {name:22} {told['size_bytes'] / 1e6:8.1f} MB"
        f" {details.get('predict_s', told['build_s']):8.2f} s {(peak or 0) / 1e9:6.2f} GB"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
