"""What a usual classifier reaches when it may see every image of a task's classes but the query."""

import torch
from jaxtyping import Float, Int64
from sklearn.svm import SVC
from torch import Tensor

from carryover.core.block import Tensors
from carryover.data.episodes import Episodes, ImageEpisodes


def ceilings(episodes: Episodes, drawn: Tensors, shots: int) -> Float[Tensor, " tasks"]:
    """Fit a support vector machine to each task, and give its accuracies on the queries, as fractions in float32.

    It is a mark to compare with, not a bound: a meta-trained net may pass it where classes have few images.
    Raises ValueError for tasks of numbers, whose targets have no noise: the least error is 0.
    """
    if not isinstance(episodes, ImageEpisodes):
        raise ValueError("a ceiling is fitted to the images of a task's classes: leave it out for sinusoids")
    found = []
    for number in range(len(drawn["positions"])):
        task = episodes.tasks({"positions": drawn["positions"][number : number + 1]}, shots)
        images, labels = episodes.pool(drawn, shots, number)
        found.append(predict(images, labels, task.query_x[0]) == task.query_y[0].cpu())
    return torch.stack(found).float().mean(-1)


def predict(
    images: Float[Tensor, "n *shape"], labels: Int64[Tensor, " n"], asked: Float[Tensor, "query *shape"]
) -> Int64[Tensor, " query"]:
    """Fit a support vector machine as scikit-learn does by default, to flattened images; give labels on the CPU.

    Its radial kernel, of gamma 1 / (pixels * variance), is made on the device of the images: scikit-learn's own has the
    same values but is slow for images of many pixels.
    """
    images, asked = images.flatten(1), asked.flatten(1)
    gamma = 1 / (images.shape[1] * images.var(correction=0)).clamp(min=1e-12)
    between, across = (
        (-gamma * torch.cdist(each, images) ** 2).exp().cpu().numpy() for each in (images, asked)
    )
    machine = SVC(kernel="precomputed").fit(between, labels.cpu().numpy())
    return torch.from_numpy(machine.predict(across))
