"""Adapters trained until a quantized model says what the float model says.

The loss is the divergence (Kullback and Leibler, 1951) from the float model's distribution of the
next token to the quantized one's, at every token of passages that need no labels (Hinton et al.,
"Distilling the Knowledge in a Neural Network", 2015).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.recovering.adapters import attach
from quantbench.diagnosis.recovering.checkpoint import Look, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quantbench.backends.transformers.recovering.adapters import Tensors
    from quantbench.backends.transformers.recovering.plan import Plan
    from quantbench.data.prompts import Prompt


class Training:
    """A frozen quantized model with adapters, beside the float model that it learns from."""

    def __init__(self, teacher: Any, student: Any, start: Tensors, held: Sequence[Prompt]) -> None:
        """Put the adapters that it starts from beside the student's layers, in float32.

        Args:
            teacher: the float model.
            student: the same with quantized weights, unpacked, in the same float type.
            start: of each quantized layer.
            held: passages that are never trained on.
        """
        import torch

        self._teacher, self._student = teacher, student.requires_grad_(requires_grad=False)
        self._start = start
        layers = attach(student, start, torch.float32)
        self._parameters: dict[str, Any] = {
            f"{name}.{half}": getattr(layer, half).requires_grad_()
            for name, layer in zip(start, layers, strict=True)
            for half in ("down", "up")
        }
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.0
        )
        self._held = [list(held[i : i + 8]) for i in range(0, len(held), 8)]
        with torch.no_grad():  # hidden states: the vocabulary's logits would fill the memory
            self._meant = [_states(teacher, batch) for batch in self._held]

    def run(
        self,
        plan: Plan,
        prompts: Sequence[Prompt],
        kept: Path | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> tuple[Tensors, list[Look]]:
        """Train; returns the adapters of the best look, and all looks.

        Args:
            plan: what it is made of.
            prompts: to train on.
            kept: the checkpoint file, which is gone on from where there is one.
            advance: called with the number of steps done, of `len(plan.batches(prompts))`.
        """
        batches = plan.batches(prompts)
        began = time.perf_counter()
        losses: list[float] = []
        state, best, before = self._begun(kept)
        advance(state.step)
        spent = [sum(len(prompts[i].tokens) for i in batch) for batch in batches]
        while not plan.is_over(state, len(batches)):
            for number in range(state.step, plan.next_look(state, len(batches))):
                losses.append(
                    self._step([prompts[i] for i in batches[number]], plan, number, len(batches))
                )
                state.step += 1
                advance(1)
            look = Look(
                step=state.step,
                seen=sum(spent[: state.step]),
                training=sum(losses) / len(losses) if losses else None,
                seconds=round(before + time.perf_counter() - began, 3),
                **self.held_out(),
            )
            losses.clear()
            if state.add(look):
                best = {name: p.detach().clone() for name, p in self._parameters.items()}
            if kept is not None:
                state.save(kept, self._tensors(best))
        return {
            name: (best[f"{name}.down"], best[f"{name}.up"]) for name in self._start
        }, state.curve

    def held_out(self, tensors: Tensors | None = None) -> dict[str, float]:
        """Divergence and top-1 agreement on the passages that are held out.

        Of the adapters as they are, or of others, which then take their place.
        """
        import torch

        self._put(tensors or {})
        total, same, count = 0.0, 0, 0
        with torch.no_grad():
            for batch, states in zip(self._held, self._meant, strict=True):
                meant = _logits(self._teacher, states)
                said = _logits(self._student, _states(self._student, batch))
                total += float(_divergence(meant, said))
                same += int((meant.argmax(-1) == said.argmax(-1)).sum())
                count += len(states)
        return {"held_out": total / count, "agreement": same / count}

    def _put(self, tensors: Tensors) -> None:
        for name, pair in tensors.items():
            for half, tensor in zip(("down", "up"), pair, strict=True):
                self._parameters[f"{name}.{half}"].data.copy_(tensor)

    def _begun(self, kept: Path | None) -> tuple[State, dict[str, Any], float]:
        """What a checkpoint says, else the start: state, best adapters, seconds spent before."""
        import torch

        found = State.load(kept) if kept is not None else None
        if found is None:
            self._put(self._start)
            return State(), {}, 0.0
        state, tensors = found[0], {n: torch.from_numpy(each) for n, each in found[1].items()}
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[f"now.{name}"])
                if state.step:
                    self._optimizer.state[parameter] = {
                        "step": torch.tensor(float(state.step)),
                        "exp_avg": tensors[f"first.{name}"].to(parameter),
                        "exp_avg_sq": tensors[f"second.{name}"].to(parameter),
                    }
        best = {name: tensors[f"best.{name}"].to(p) for name, p in self._parameters.items()}
        return state, best, state.curve[-1].seconds

    def _tensors(self, best: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, parameter in self._parameters.items():
            found[f"now.{name}"] = parameter.detach()
            found[f"best.{name}"] = best[name]
            if moments := self._optimizer.state.get(parameter):
                found[f"first.{name}"] = moments["exp_avg"]
                found[f"second.{name}"] = moments["exp_avg_sq"]
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    def _step(self, batch: Sequence[Prompt], plan: Plan, step: int, steps: int) -> float:
        """One optimizer step; returns the divergence before it, in nats a token."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = plan.rate_at(step, steps)
        with torch.no_grad():
            meant = _logits(self._teacher, _states(self._teacher, batch))
        said = _logits(self._student, _states(self._student, batch))
        loss = _divergence(meant, said) / len(meant)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), plan.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(loss.detach())


def _states(model: Any, prompts: Sequence[Prompt]) -> Any:
    """Last hidden states at every token but each passage's last, [tokens, hidden]."""
    import torch

    longest = max(len(prompt.tokens) for prompt in prompts) - 1
    tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
    asked = torch.zeros(len(prompts), longest, dtype=torch.bool)
    for row, prompt in enumerate(prompts):  # padding stands where causal attention hides it
        tokens[row, : len(prompt.tokens) - 1] = torch.tensor(prompt.tokens[:-1])
        asked[row, : len(prompt.tokens) - 1] = True
    tokens, asked = tokens.to(model.device), asked.to(model.device)
    return model.base_model(input_ids=tokens, use_cache=False).last_hidden_state[asked]


def _logits(model: Any, states: Any) -> Any:
    return model.get_output_embeddings()(states).float()


def _divergence(meant: Any, said: Any) -> Any:
    """Sum over positions, in nats; [tokens, vocabulary] logits."""
    from torch.nn import functional

    return functional.kl_div(
        said.log_softmax(-1), meant.log_softmax(-1), reduction="sum", log_target=True
    )
