"""Where lm-evaluation-harness leaves its logs, what they hold, and the results beside each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOGGED = "samples_TASK_DATE.jsonl, which lm-eval writes with --log_samples --output_path FOLDER"
_NAME = re.compile(r"samples_(.+?)(?:_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?))?\.jsonl")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
# What a line has besides its metrics; lm-eval's first releases did not list these.
_FIELDS = frozenset(
    {*_HASHES, "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter"}
)


@dataclass(frozen=True)
class Summary:
    """What a run reported of its tasks (`results_DATE.json`); empty where that is not there.

    Attributes:
        model: its kind and arguments, as text.
        results: by task, then `METRIC,FILTER`.
        higher: by task, then metric, whether higher is better.
    """

    model: str = ""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    higher: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def reported(self, task: str, metric: str, filtered: str) -> Any:
        """What the metric comes to over all samples; None where it is not told."""
        return self.results.get(task, {}).get(f"{metric},{filtered}")

    def higher_is_better(self, task: str, metric: str) -> bool | None:
        """None where it is not told."""
        found = self.higher.get(task, {}).get(metric)
        return found if isinstance(found, bool) else None


@dataclass(frozen=True)
class Line:
    """A document under one filter.

    Attributes:
        number: of the line, from 1.
        id: `doc_id`, the document's number in its data set.
        filtered: the filter's name.
        digest: of the document, its prompt and its target; empty where the line has no hashes.
        values: of each metric, as they are written.
    """

    number: int
    id: str
    filtered: str
    digest: str
    values: Mapping[str, Any]


def read_log(log: Path) -> list[Line]:
    """All lines of a log, without the texts.

    Raises:
        DataError: no line, one that is no sample of lm-eval's, or a document twice.
    """
    seen: dict[tuple[str, str], Line] = {}
    for number, said in _lines(log):
        try:
            line = _line(number, said)
        except MALFORMED as error:
            raise _no_sample(log, number, f"{type(error).__name__}: {error}") from error
        first = seen.setdefault((line.filtered, line.id), line)
        if first is not line:
            raise DataError(
                "a document is logged twice under one filter",
                where=f"{log}, line {number}",
                got=f"doc_id {line.id}, filter {line.filtered!r}, also in line {first.number}",
                remedy="keep one run's lines in a file",
            )
    if not seen:
        raise DataError("a log without a sample", where=log, expected=LOGGED)
    return list(seen.values())


def _line(number: int, said: Mapping[str, Any]) -> Line:
    if isinstance(said["doc_id"], bool) or not isinstance(said["doc_id"], int):
        raise TypeError("doc_id is no whole number")
    metrics = said.get("metrics", [name for name in said if name not in _FIELDS])
    return Line(
        number,
        str(said["doc_id"]),
        _word(said.get("filter", "none")),
        "".join(_word(said[each]) for each in _HASHES if each in said),
        {_word(metric): said[metric] for metric in metrics},
    )


def _word(value: Any) -> str:
    """A text that can be written again.

    Raises:
        TypeError: it is no text.
        ValueError: it holds half a character.
    """
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text should be")
    value.encode()
    return value


def _lines(log: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with log.open("rb") as lines:  # only \n ends a line: texts have other marks unescaped
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    said = loads(line)
                except MALFORMED as error:
                    raise _no_sample(log, number, f"no JSON: {error}") from error
                if not isinstance(said, dict):
                    raise _no_sample(log, number, f"a {type(said).__name__}")
                yield number, said
    except (OSError, ValueError) as error:  # a path may hold what no path may
        raise DataError("cannot read the log", where=log, got=error) from error


def _no_sample(log: Path, line: int, got: str) -> DataError:
    return DataError(
        "a line that is no sample of lm-eval's",
        where=f"{log}, line {line}",
        expected="a JSON object with doc_id, filter, metrics and a field for each of these",
        got=got,
        remedy="give the samples_*.jsonl of --log_samples",
    )


def find_logs(path: Path) -> dict[str, Path]:
    """Each task's log, in a folder or the one file.

    Raises:
        DataError: there is none, or a task has several and none is meant.
    """
    if not path.is_dir():
        return {_named(path)[0]: path}
    tasks: dict[str, list[Path]] = {}
    for log in sorted(path.rglob("samples_*.jsonl")):
        tasks.setdefault(_named(log)[0], []).append(log)
    if not tasks:
        raise DataError("a folder without a log of samples", where=path, expected=LOGGED)
    return {task: _newest(task, logs) for task, logs in tasks.items()}


def summary_of(log: Path) -> Summary:
    """What the run that wrote this log reported: the results beside it, of the same date.

    Raises:
        DataError: that is no summary of lm-eval's.
    """
    date = _named(log)[1]
    beside = sorted(log.parent.glob(f"*_{date}.json")) if date else []
    if not beside:
        return Summary()
    try:
        said = loads(beside[0].read_bytes())
        config = said.get("config", {})
        model = json.dumps([config.get("model"), config.get("model_args")])
        results, higher = (_by_task(said, part) for part in ("results", "higher_is_better"))
    except (OSError, *MALFORMED) as error:
        raise DataError(
            "not the results of an lm-eval run",
            where=beside[0],
            expected="a JSON object with config, results and higher_is_better",
            got=f"{type(error).__name__}: {error}",
            remedy="restore it, or move it away: the log alone can be judged too",
        ) from error
    return Summary(model, results, higher)


def _by_task(said: Mapping[str, Any], part: str) -> Mapping[str, Mapping[str, Any]]:
    """A part of the results with a table for each task.

    Raises:
        TypeError: it is something else.
    """
    found = said.get(part, {})
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise TypeError(f"{part!r} is no table of tasks")
    return found


def _named(log: Path) -> tuple[str, str]:
    """The task and the date that a log's name tells; the date may be missing.

    Raises:
        DataError: it tells no task.
    """
    match = _NAME.fullmatch(log.name)
    if match is None:
        raise DataError(
            "the file's name does not tell its task",
            where=log,
            expected=LOGGED,
            remedy="name it samples_TASK.jsonl if it is such a log",
        )
    return match[1], match[2] or ""


def _newest(task: str, logs: list[Path]) -> Path:
    """The newest of one model's runs.

    Runs of one checkpoint share a folder, also those that quantize it while loading
    (`load_in_4bit=True`): only the results beside them tell these apart.

    Raises:
        DataError: they are of several models, or one has no date.
    """
    if len(logs) == 1:
        return logs[0]
    models = sorted({model for log in logs if (model := summary_of(log).model)})
    dates = [_named(log)[1] for log in logs]
    if len({log.parent for log in logs}) > 1 or len(models) > 1 or not all(dates):
        raise DataError(
            f"several logs of {task}, which are not all dated runs of one model",
            where=", ".join(map(str, logs)),
            got=" and ".join(models) or None,
            remedy="name the file, or the folder of one model's runs",
        )
    return max(logs, key=lambda log: _named(log)[1])
