"""Write the fixtures beside this file: what the digits detector really says of 60 scenes.

    python tests/judge/make.py

In float32 and int8, as COCO result files, with their annotations.
"""

from __future__ import annotations

import json
from pathlib import Path

from quantbench import cases
from quantbench.core.settings import Settings
from quantbench.run.session import Session

HERE = Path(__file__).parent / "digits"
LEAST = 0.2  # score of what is kept: AP of digits needs no more


def main() -> None:
    """Evaluate and write."""
    bench = Session(Settings(samples=60))
    HERE.mkdir(exist_ok=True)
    for case in cases("digits_centernet", schemes=["float32", "int8_static"]):
        rows = bench.evaluate(case).rows
        said = [
            {
                "image_id": int(row["id"].rpartition("-")[2]),
                **box,
                "score": round(box["score"], 4),
            }
            for row in rows
            for box in row["detections"]
            if box["score"] >= LEAST
        ]
        (HERE / f"{case.scheme.name}.json").write_text(json.dumps(said))
    images = [
        {"id": int(row["id"].rpartition("-")[2]), "width": row["width"], "height": row["height"]}
        for row in rows
    ]
    # Four scenes in a row stand for a video in the tests of groups.
    images = [{**image, "video": f"v{image['id'] // 4}"} for image in images]
    truths = [  # pycocotools takes an annotation of id 0 for one that nothing matched
        {**truth, "id": 100 * place + i + 1, "image_id": int(row["id"].rpartition("-")[2])}
        for place, row in enumerate(rows)
        for i, truth in enumerate(row["truths"])
    ]
    categories = [{"id": i + 1, "name": str(i)} for i in range(10)]
    described = {"images": images, "annotations": truths, "categories": categories}
    (HERE / "instances.json").write_text(json.dumps(described))


if __name__ == "__main__":
    main()
