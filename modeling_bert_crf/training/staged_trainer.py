"""A Trainer that gives encoder, head and CRF a learning rate each, and trains a new head before the encoder."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import PreTrainedModel, Trainer, get_scheduler

from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..weights import HEAD
from .training_arguments import CRFTrainingArguments

__all__ = ["StagedTrainer"]


class StagedTrainer(Trainer):
    """`Trainer`, with the learning rates and the frozen steps of `CRFTrainingArguments`."""

    args: CRFTrainingArguments
    model: nn.Module
    _frozen_steps: int = 0

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Split the trainable parameters by learning rate, and by whether they decay.

        Returns:
            Optimiser groups `{"name", "params", "lr", "weight_decay"}`, without empty ones. Each parameter is in one
            group.
        """
        decaying = set(self.get_decay_parameter_names(model))
        rates = {
            "encoder": self.args.learning_rate,
            "head": self.args.head_learning_rate,
            "crf": self.args.crf_learning_rate,
        }
        groups: dict[tuple[str, bool], list[nn.Parameter]] = {
            (part, decay): [] for part in rates for decay in (True, False)
        }
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                part = _part_of(name)
                groups[part, name in decaying and part != "crf"].append(parameter)
        return [
            {
                "name": part if decay else f"{part}, no decay",
                "params": parameters,
                "lr": rates[part],
                "weight_decay": self.args.weight_decay if decay else 0.0,
            }
            for (part, decay), parameters in groups.items()
            if parameters
        ]

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Make the optimiser that `args.optim` names, over `parameter_groups`.

        Raises:
            ValueError: if that optimiser makes its own groups.
        """
        if self.optimizer is None:
            model = self.model if model is None else model
            optimizer_class, arguments = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(
                self.args, cast(PreTrainedModel, model)
            )
            if own := {"params", "model", "optimizer_dict"} & arguments.keys():
                raise ValueError(
                    f"optim must take groups of parameters, got {self.args.optim}, which takes {sorted(own)[0]}"
                )
            self.optimizer = optimizer_class(self.parameter_groups(model), **arguments)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Make the schedule that `args.lr_scheduler_type` names; for the encoder it begins after the frozen steps.

        Raises:
            ValueError: if there are frozen steps, and an optimiser whose groups do not say which are the encoder's.
        """
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        self._frozen_steps = self.args.get_frozen_steps(num_training_steps)
        if not self._frozen_steps:
            return scheduler
        groups = cast(Optimizer, optimizer or self.optimizer).param_groups  # made before the schedule
        if not all("name" in group for group in groups):
            raise ValueError(
                f"frozen_steps must be 0 with an optimizer of your own, got {self.args.frozen_steps}: it needs groups "
                "with a name, of which the encoder's begin with 'encoder'. `optimizer_cls_and_kwargs` gets them"
            )
        if isinstance(scheduler, LambdaLR):
            thawed = self._schedule(num_training_steps - self._frozen_steps)
            for index, group in enumerate(groups):
                if group["name"].startswith("encoder"):
                    scheduler.lr_lambdas[index] = _delayed(thawed, self._frozen_steps)
        return scheduler

    def _schedule(self, steps: int) -> Callable[[int], float]:
        """Return the share of the peak rate at each of so many steps."""
        dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        options = cast(dict[str, Any] | None, self.args.lr_scheduler_kwargs)  # the host has read them from the string
        schedule = get_scheduler(
            self.args.lr_scheduler_type,
            dummy,
            num_warmup_steps=self.args.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=options,
        )
        return cast(LambdaLR, schedule).lr_lambdas[0]  # of the kind that `create_scheduler` asks for

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss. In the frozen steps the encoder gets no gradient, and runs without dropout."""
        if self._frozen_steps and model.training and self.optimizer is not None:
            frozen = self.state.global_step < self._frozen_steps
            for group in self.optimizer.param_groups:
                if group["name"].startswith("encoder"):
                    for parameter in group["params"]:
                        parameter.requires_grad_(not frozen)
            if frozen:
                for module in model.modules():
                    if isinstance(module, BiLSTMCRFForTokenClassification):
                        module.base_model.eval()
        return super().compute_loss(model, inputs, *args, **kwargs)


def _part_of(name: str) -> str:
    """Say to which part of the tagger a parameter belongs.

    Adapters and wrappers put names of their own before and between the names of the modules.
    """
    own = next((part for part in name.split(".") if part in HEAD), None)
    return "encoder" if own is None else "crf" if own == "crf" else "head"


def _delayed(schedule: Callable[[int], float], steps: int) -> Callable[[int], float]:
    return lambda step: schedule(step - steps) if step >= steps else 0.0
