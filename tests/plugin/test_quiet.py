"""A failure report holds what the test said, and not what frameworks say while they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

NOISY = """
def test_noisy(evaluation, reference):
    import logging, sys
    for name in ("torch.__trace", "gptqmodel.quantization", "numba.core"):
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).debug("chatter of %s", name)
        logging.getLogger(name).warning("something is wrong with %s", name)
    logging.getLogger("torchlight").error("a library of the user's own")
    logging.getLogger("study").setLevel(logging.DEBUG)
    logging.getLogger("study").debug("a line of the user's own")
    for line in (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1796007236.660649   13090 port.cc:153] oneDNN custom operations are on.",
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "E0000 00:00:1796007261.542308   13090 cuda_platform.cc:52] failed call to cuInit",
        "Info that the user wrote",
    ):
        print(line, file=sys.stderr)
    assert non_inferior(evaluation, reference, metric="accuracy", margin=0.05)
"""


def test_what_frameworks_say_stays_out_and_what_the_user_says_stays_in(study: Study) -> None:
    study.write("worse")
    study.add(NOISY)
    result = study.run("-k", "noisy and worse")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    captured = text[text.index("Captured stderr call") : text.index("---- quantbench ----")]
    for kept in (
        *("cuInit", "Info that the user wrote", "a line of the user's own", "user's own"),
        *(f"something is wrong with {name}" for name in ("torch", "gptqmodel", "numba")),
    ):
        assert kept in captured
    for dropped in ("chatter", "absl", "oneDNN", "XNNPACK"):
        assert dropped not in captured


def test_other_tests_of_the_run_see_every_log(study: Study) -> None:
    study.write("worse")
    (study.path / "test_other.py").write_text(
        "import logging\n"
        "def test_other(caplog):\n"
        "    logging.getLogger('torch.x').setLevel(logging.DEBUG)\n"
        "    logging.getLogger('torch.x').debug('chatter')\n"
        "    assert 'chatter' in caplog.text\n"
    )
    study.run("-k", "other or (accuracy and float)").assert_outcomes(passed=2)


def test_an_evaluation_is_a_short_word_in_a_failed_assertion(study: Study) -> None:
    study.write("worse")
    result = study.run("-k", "accuracy and worse")
    result.stdout.fnmatch_lines(["*non_inferior(<results of fake-worse-numbers, 400 samples>,*"])
    assert len(result.outlines) < 50
