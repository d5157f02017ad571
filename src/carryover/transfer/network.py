"""A net as a function of its parameters: logits, gradients of mini-batches, batch-norm statistics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from carryover.core.block import Precision, Tensors, cross_entropy
from carryover.core.evaluate import Predict

Images = Float[Tensor, "batch channels height width"]
Batch = tuple[Float[Tensor, "_ channels height width"], Int[Tensor, " _"]]
"""Images and labels of one mini-batch; others may have another size."""
BatchesAt = Callable[[int], Iterable[Batch]]
"""The mini-batches of each point of a trajectory, the same ones at every call."""


@dataclass
class Network:
    """Runs one architecture with parameters and buffers that are given at each call.

    `net` is never asked for parameters or buffers of its own; only its mode is changed, and put back to evaluation.
    """

    net: nn.Module
    buffers: Tensors
    """Buffers where none are given; never changed."""
    precision: Precision = "fp32"
    num_gradients: int = 0
    """Gradient evaluations so far: one for each net and each set of mini-batches."""

    def __post_init__(self) -> None:
        # by name, as buffers are: `bn` owns `bn.running_mean`, and a net that is one layer `running_mean`
        self._norms = {
            f"{name}.".lstrip("."): module
            for name, module in self.net.named_modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        }
        self._convolves = any(isinstance(module, _ConvNd) for module in self.net.modules())

    def logits(
        self, parameters: Tensors, images: Images, buffers: Tensors | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Run a net in evaluation mode; batch-norm uses the statistics in `buffers`, or else the network's own."""
        return self._call(parameters, self.buffers if buffers is None else buffers, images)

    def predictor(self, parameters: Tensors, buffers: Tensors | None = None) -> Predict:
        """Make a net a block of one, as `core.evaluate.evaluate` takes it."""
        return lambda images: self.logits(parameters, images[0], buffers)[None]

    def gradient(self, parameters: Tensors, batches: Iterable[Batch]) -> Tensors:
        """Average the gradient of the loss over mini-batches, in their order; one evaluation.

        Source: learning transfer, sections 1.9 and 1.10.
        """
        return self.gradients([parameters], batches)[0]

    def gradients(self, nets: Sequence[Tensors], batches: Iterable[Batch]) -> list[Tensors]:
        """Do the same for several nets that share the mini-batches, which are then read once only.

        Batch-norm normalises by the batch at hand and leaves the running statistics alone. Anything else is as in
        evaluation: dropout would take from torch's global stream, and differently for each net.
        """
        leaves = [{name: own.detach().requires_grad_() for name, own in net.items()} for net in nets]
        totals: list[Tensors] = [{} for _ in nets]
        num_batches = 0
        with self._by_batch_statistics(), torch.enable_grad():
            scratch = {name: buffer.clone() for name, buffer in self.buffers.items()}
            for images, labels in batches:
                num_batches += 1
                for net, total in zip(leaves, totals, strict=True):
                    for name, found in self._gradient(net, scratch, images, labels).items():
                        total[name] = total[name] + found if name in total else found
        assert num_batches, "no mini-batches, no gradient"
        self.num_gradients += len(nets)
        return [{name: own / num_batches for name, own in total.items()} for total in totals]

    @torch.no_grad()
    def statistics(self, parameters: Tensors, batches: Iterable[Batch]) -> Tensors:
        """Rebuild batch-norm statistics: means and variances of the mini-batches, averaged with equal weight.

        Returns all buffers, as the network has them where they are no running statistics. Without batch-norm no
        mini-batch is read. Variances are unbiased within a mini-batch, as torch's own.

        Source: learning transfer, section 1.9.
        """
        rebuilt = dict(self.buffers)
        if not self._norms:
            return rebuilt
        for owner in self._norms:
            rebuilt[f"{owner}running_mean"] = torch.zeros_like(rebuilt[f"{owner}running_mean"])
            rebuilt[f"{owner}running_var"] = torch.ones_like(rebuilt[f"{owner}running_var"])
            rebuilt[f"{owner}num_batches_tracked"] = torch.zeros_like(rebuilt[f"{owner}num_batches_tracked"])
        num_batches = 0
        with self._by_batch_statistics(), self._cumulative():
            for images, _ in batches:
                self._call(parameters, rebuilt, images)
                num_batches += 1
        assert num_batches, "no mini-batches, no statistics"
        return rebuilt

    def _gradient(self, leaves: Tensors, buffers: Tensors, images: Images, labels: Tensor) -> Tensors:
        loss = cross_entropy(self._call(leaves, buffers, images)[None], labels[None]).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        # those of convolutions come in the memory format of the images
        return {name: own.contiguous() for name, own in zip(leaves, gradients, strict=True)}

    def _call(self, parameters: Tensors, buffers: Tensors, images: Images) -> Float[Tensor, "batch classes"]:
        """Run a net in the memory format and precision of `core.block.call`."""
        if self.net.training:
            self.net.eval()
        if self._convolves:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = functional_call(self.net, {**parameters, **buffers}, (images,))
        return logits

    @contextmanager
    def _by_batch_statistics(self) -> Iterator[None]:
        """Let batch-norm normalise by the batch at hand."""
        self.net.eval()
        try:
            for norm in self._norms.values():
                norm.training = True
            yield
        finally:
            self.net.eval()

    @contextmanager
    def _cumulative(self) -> Iterator[None]:
        """Let running statistics be plain averages, which torch calls a momentum of None."""
        usual = {owner: norm.momentum for owner, norm in self._norms.items()}
        try:
            for norm in self._norms.values():
                norm.momentum = None
            yield
        finally:
            for owner, norm in self._norms.items():
                norm.momentum = usual[owner]
