"""What an evaluation costs beside inference: its wall time over the bare sum of the runtime's calls.

    python benchmarks/peers/onnx_loop.py [images]

As `litert_loop.py`, with the same model and photographs, for ONNX Runtime (`run()`) and OpenVINO
(`infer()`), one thread each. Both loops of a runtime are timed in turn; a ratio is that of the best
rounds, and the last line says the worse of the two.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litert_loop import ROUNDS, photographs

from quantbench import CocoImages, cases
from quantbench.core.settings import Settings
from quantbench.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable


def onnxruntime_call(folder: Path) -> Callable[[Any], object]:
    """One inference by ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(folder / "model.onnx")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda values: session.run(None, {given.name: values})


def openvino_call(folder: Path) -> Callable[[Any], object]:
    """One inference by OpenVINO, in float32."""
    import openvino as ov

    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = ov.Core().compile_model(folder / "model.xml", "CPU", hints).create_infer_request()
    return lambda values: request.infer([values], share_inputs=True, share_outputs=True)


SCHEMES = {"ort_float32": onnxruntime_call, "ov_float32": openvino_call}


def bare_s(bench: Session, case: Any) -> float:
    """Seconds of all calls, on inputs that are in memory."""
    task = bench.task(case)
    prepared = [task.prepare(sample) for sample in bench.samples(case, "evaluation")]
    call = SCHEMES[case.scheme.name](bench.artifact(case).path)
    total = 0.0
    for values in prepared[:3]:
        call(values)
    for values in prepared:
        started = time.perf_counter()
        call(values)
        total += time.perf_counter() - started
    return total


def ratio(case: Any, settings: Settings, n: int) -> float:
    """Of the best rounds of one runtime."""
    whole, bare = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(settings.cache / "evidence", ignore_errors=True)
        bench = Session(settings)
        whole.append(bench.evidence(case).measured["predict_s"])
        bare.append(bare_s(bench, case))
        bench.close()
        print(f"{case.scheme.name}: evaluation {whole[-1]:.3f} s, calls {bare[-1]:.3f} s, {n} images")  # noqa: T201
    found = min(whole) / min(bare)
    print(f"{case.scheme.name}: {found:.2f}")  # noqa: T201
    return found


def main() -> None:
    """Print both times of each runtime, and the worse ratio."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs(folder / "photos", n)
        data = CocoImages("photos", f"file:{folder / 'photos'}")
        chosen = cases("centernet_mobilenetv3", schemes=list(SCHEMES), datasets=[data])
        settings = Settings(cache=folder / "cache", threads=1)
        print(f"ratio: {max(ratio(case, settings, n) for case in chosen):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
