"""What an evaluation costs beside inference: its wall time over the sum of the runtime's calls.

    python benchmarks/peers/onnx_loop.py [images]

As `litert_loop.py`, with the same model and photographs, for ONNX Runtime (`run()`) and OpenVINO
(`infer()`), one thread each. Both loops of a runtime are timed in turn; a ratio is that of the best
rounds, and the last line says the worse of the two. It needs a second core that is idle: pictures
are prepared and answers decoded there. The processor time of the thread that infers is printed
beside the wall time, and holds on a busy machine too.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litert_loop import ROUNDS, photographs  # type: ignore[import-not-found]  # beside

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


Times = tuple[float, float]  # wall, processor time of the calling thread
SCHEMES = {"ort_float32": onnxruntime_call, "ov_float32": openvino_call}


def bare_s(bench: Session, case: Any) -> Times:
    """Seconds of all calls, on inputs that are in memory."""
    task = bench.task(case)
    prepared = [task.prepare(sample) for sample in bench.samples(case, "evaluation")]
    call = SCHEMES[case.scheme.name](bench.artifact(case).path)
    wall = own = 0.0
    for values in prepared[:3]:
        call(values)
    for values in prepared:
        started, own_started = time.perf_counter(), time.thread_time()
        call(values)
        own += time.thread_time() - own_started
        wall += time.perf_counter() - started
    return wall, own


def whole_s(bench: Session, case: Any) -> Times:
    """Seconds of the evaluation; the model is built and the runner opened before."""
    for sample in bench.samples(case, "evaluation")[:1]:
        with bench.warmed(case, bench.task(case).prepare(sample)):
            pass
    started = time.thread_time()
    evidence = bench.evidence(case)
    return evidence.measured["predict_s"], time.thread_time() - started


def ratio(case: Any, cache: Path, n: int) -> float:
    """Of the best rounds of one runtime."""
    whole, bare = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(cache / "evidence", ignore_errors=True)
        bench = Session(Settings(cache=cache, threads=1))
        whole.append(whole_s(bench, case))
        bare.append(bare_s(bench, case))
        bench.close()
        (wall, own), (bare_wall, bare_own) = whole[-1], bare[-1]
        print(  # noqa: T201
            f"{case.scheme.name}: evaluation {wall:.3f} s, calls {bare_wall:.3f} s; "
            f"processor time of the thread {own:.3f} s, {bare_own:.3f} s; {n} images"
        )
    wall, own = (min(w[i] for w in whole) / min(b[i] for b in bare) for i in (0, 1))
    print(f"{case.scheme.name}: {wall:.2f}; by processor time {own:.2f}")  # noqa: T201
    return wall


def main() -> None:
    """Print both times of each runtime, and the worse ratio."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs(folder / "photos", n)
        data = CocoImages("photos", f"file:{folder / 'photos'}")
        chosen = cases("centernet_mobilenetv3", schemes=list(SCHEMES), datasets=[data])
        print(f"ratio: {max(ratio(case, folder / 'cache', n) for case in chosen):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
