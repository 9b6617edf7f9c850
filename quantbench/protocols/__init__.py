"""The seams: what a quantizer, a runner, a task and a data set must be able to do."""

from __future__ import annotations

from quantbench.protocols.backend import Backend, Import, Mending, SchemeFamily
from quantbench.protocols.dataset import Dataset, Sample
from quantbench.protocols.executor import Executor, Step, StepKind
from quantbench.protocols.facts import Facts
from quantbench.protocols.importer import Importer
from quantbench.protocols.influence import Influence
from quantbench.protocols.interface import PictureInterface
from quantbench.protocols.meter import Meter
from quantbench.protocols.needs import LOADED, PREDICT, Needs, Rate
from quantbench.protocols.profile import OpTime, Profile, Work
from quantbench.protocols.quantizer import Quantizer, RecoveringQuantizer, Start
from quantbench.protocols.runner import Decoder, Runner
from quantbench.protocols.task import MendableTask, Numbers, Row, Task

__all__ = [
    "LOADED",
    "PREDICT",
    "Backend",
    "Dataset",
    "Decoder",
    "Executor",
    "Facts",
    "Import",
    "Importer",
    "Influence",
    "MendableTask",
    "Mending",
    "Meter",
    "Needs",
    "Numbers",
    "OpTime",
    "PictureInterface",
    "Profile",
    "Quantizer",
    "Rate",
    "RecoveringQuantizer",
    "Row",
    "Runner",
    "Sample",
    "SchemeFamily",
    "Start",
    "Step",
    "StepKind",
    "Task",
    "Work",
]
