from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quantbench.cli import main
from quantbench.record.schema import blank_record, document
from quantbench.stats.planning import Flips, samples_for
from tests.docs.pages import blocks

if TYPE_CHECKING:
    from pathlib import Path


def said(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["margin", *words])
    return done.exit_code, done.stdout, done.stderr


def verdict(**more: Any) -> dict[str, Any]:
    return {
        "metric": "accuracy",
        "margin": 0.05,
        "relative": False,
        "lower_is_better": False,
        "confidence": 0.95,
        "outcome": "pass",
        "difference": -0.01,
        "low": -0.02,
        "high": 0.0,
        "method": "paired proportions, Tango score",
        "n": 400,
        "groups": None,
        "exact": False,
        "flips": None,
    } | more


def records(path: Path, *verdicts: dict[str, Any]) -> str:
    made = [
        blank_record(f"m-s{i}-d", "m", f"s{i}", "last_word") | {"verdicts": [each]}
        for i, each in enumerate(verdicts)
    ]
    path.write_text(json.dumps({"quantbench": document(made, {}, {})}))
    return str(path)


def test_the_page_shows_what_is_printed() -> None:
    """Of the blocks that ask by numbers alone and show an answer."""
    shown = 0
    for block in blocks("docs/how-to/margin.md"):
        command, *answer = block.text.splitlines()
        if block.kind == "console" and command.startswith("$ quantbench margin -") and answer:
            assert said(*command.split()[3:])[1].splitlines() == answer
            shown += 1
    assert shown == 2


def test_a_margin_below_the_loss_is_refused() -> None:
    status, _, why = said("--lost", "5%", "--gained", "1%", "--margin", "2%")
    assert status == 2
    assert "no number of samples shows a loss under this margin" in why


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--lost 1% --gained 1%",
        "--lost 1% --margin 1%",
        "--margin 1% --samples 100 --lost 1% --gained 1%",
        "--spread 0.1 --lost 1% --gained 1% --margin 1%",
        "--spread much --margin 1%",
        "--spread 0.1 --margin 1% --power 1.2",
    ],
)
def test_what_is_no_question_is_refused(words: str) -> None:
    status, out, why = said(*words.split())
    assert (status, out) == (2, "")
    assert "Usage" in why


def test_verdicts_of_a_small_run_are_planned_anew(tmp_path: Path) -> None:
    path = records(
        tmp_path / "out.json",
        verdict(flips=[12, 8]),
        verdict(groups=40, n=400, flips=[12, 8]),
        verdict(difference=-0.08, low=-0.09, high=-0.07, outcome="fail"),
        verdict(exact=True),
        verdict(low=None, high=None),
    )
    status, out, _ = said(path)
    assert status == 0
    title, flips, grouped, worse = out.splitlines()
    assert title.split()[-3:] == ["needs", "would", "decide"]
    assert flips.split()[:5] == ["m-s0-d", "accuracy", "0.05", "-0.0100", "400"]
    assert int(flips.split()[5]) == samples_for(Flips(0.03, 0.02), 0.05, 0.05)
    assert grouped.split()[5] == "groups"
    assert "no number" in worse


def test_another_margin_or_number_can_be_asked_of_a_run(tmp_path: Path) -> None:
    path = records(tmp_path / "out.json", verdict(method="paired means, t"))
    at, close = (
        int(said(path, "--margin", margin)[1].splitlines()[1].split()[5])
        for margin in ("0.05", "0.02")
    )
    assert close > 10 * at
    few, many = (
        float(said(path, "--samples", n)[1].splitlines()[1].split()[6]) for n in ("100", "10000")
    )
    assert few > many > 0.01
