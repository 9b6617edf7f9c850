"""What the catalog says of the digits' classifier without importing what it is made with."""

from __future__ import annotations

CLASSES = tuple(str(digit) for digit in range(10))
WEIGHTS = "classifier.safetensors"
