"""Frozen descriptions of what is studied."""

from __future__ import annotations

from quantbench.core.settings import Device
from quantbench.study.case import Case
from quantbench.study.gate import Gate
from quantbench.study.model import Anchor, Model
from quantbench.study.scheme import Scheme
from quantbench.study.weights import Weights
from quantbench.study.words import Expected, Outcome

__all__ = ["Anchor", "Case", "Device", "Expected", "Gate", "Model", "Outcome", "Scheme", "Weights"]
