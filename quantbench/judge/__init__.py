"""Verdicts on results that are there already: no model is run.

    from quantbench import judge

    (verdict,) = judge.coco("instances.json", "float.json", "int8.json", metric="AP", margin=0.01)
    assert verdict

The first results are the reference, every other file is judged against them. `results` gives what
`non_inferior` takes, for a test. On the command line: `quantbench judge`.
"""

from __future__ import annotations

from quantbench.judge.verdicts import coco, lm_eval, results, rows

__all__ = ["coco", "lm_eval", "results", "rows"]
