"""What an evaluation costs beside inference: its wall time over the bare sum of `invoke()`.

    python benchmarks/peers/litert_loop.py [images]

CenterNet-MobileNetV3 (fetched by npm) in float32 with one interpreter thread, on JPEG photographs
of 640 x 480 made here. The evaluation reads, decodes, letterboxes and normalizes each file,
predicts, decodes boxes and writes evidence; the bare loop only calls `invoke()` on inputs that
are in memory. Both are timed in turn; the ratio is that of the best rounds.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import CocoImages, cases
from quantbench.core.settings import Settings
from quantbench.run.session import Session

ROUNDS = 5


def photographs(folder: Path, n: int) -> None:
    """COCO's layout: smooth noise, which compresses like a photograph."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "val2017").mkdir(parents=True)
    images = []
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(int)
        grained = np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(grained).save(folder / "val2017" / f"{i}.jpg", quality=92)
        images.append({"id": i, "file_name": f"{i}.jpg"})
    (folder / "instances_val2017_subset.json").write_text(
        json.dumps({"images": images, "annotations": []})
    )


def bare_s(bench: Session, case: Any) -> float:
    """Seconds of all calls of `invoke()`, each input being set before its call."""
    from ai_edge_litert.interpreter import Interpreter

    task = bench.task(case)
    prepared = [task.prepare(sample) for sample in bench.samples(case, "evaluation")]
    interpreter = Interpreter(str(bench.artifact(case).path / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    total = 0.0
    for values in [*prepared[:3], *prepared]:
        interpreter.set_tensor(detail["index"], values)
        started = time.perf_counter()
        interpreter.invoke()
        total += time.perf_counter() - started
    return total * len(prepared) / (len(prepared) + 3)


def main() -> None:
    """Print both times and their ratio."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs(folder / "photos", n)
        data = CocoImages("photos", f"file:{folder / 'photos'}")
        (case,) = cases("centernet_mobilenetv3", schemes=["float32"], datasets=[data])
        settings = Settings(cache=folder / "cache", threads=1)
        whole, bare = [], []
        for _ in range(ROUNDS):
            shutil.rmtree(folder / "cache" / "evidence", ignore_errors=True)
            bench = Session(settings)
            whole.append(bench.evidence(case).measured["predict_s"])
            bare.append(bare_s(bench, case))
            bench.close()
            print(f"evaluation {whole[-1]:.3f} s, invoke() {bare[-1]:.3f} s, {n} images")  # noqa: T201
    print(f"ratio: {min(whole) / min(bare):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
