import pytest
import torch

from carryover.core.rng import generator
from carryover.sparse.masks import MaskRule, keep_top, masks_of, num_kept, top_mask

DRAW = generator(0, "masks")


def block(*shapes: tuple[int, ...], num_nets: int = 3) -> dict[str, torch.Tensor]:
    return {f"layer{i}": torch.randn(num_nets, *shape, generator=DRAW) for i, shape in enumerate(shapes)}


def test_a_mask_has_the_shape_and_the_type_of_its_scores():
    for dtype in (torch.float32, torch.float64):
        scores = torch.randn(2, 3, 4, generator=DRAW, dtype=torch.float64).to(dtype)
        mask = keep_top(scores, 0.5)
        assert mask.shape == scores.shape
        assert mask.dtype == dtype
        assert set(mask.unique().tolist()) == {0, 1}


def test_making_a_mask_leaves_the_scores_alone():
    scores = torch.randn(40, generator=DRAW)
    before = scores.clone()
    for rule in ("exact", "authors"):
        keep_top(scores, 0.3, rule)
    assert torch.equal(scores, before)


def test_each_layer_is_ranked_on_its_own():
    scores = block((4, 5), (7,))
    scores["layer1"] += 100
    masks = masks_of(scores, MaskRule(0.5))
    assert masks["layer0"].flatten(1).sum(1).tolist() == [10] * 3
    assert masks["layer1"].sum(1).tolist() == [4] * 3


def test_absolute_ranking_keeps_the_largest_magnitudes():
    mask = masks_of({"a": torch.tensor([[-3.0, 1, -0.1, 2]])}, MaskRule(0.5, rank="absolute"))["a"]
    assert mask.tolist() == [[1, 0, 0, 1]]


def test_nothing_is_kept_at_sparsity_one_and_everything_at_zero():
    scores = torch.randn(9, generator=DRAW)
    assert not keep_top(scores, 1.0).any()
    assert keep_top(scores, 0.0).all()
    assert keep_top(scores, 1.0, "authors").nonzero().item() == scores.argmax()


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_global_scope_keeps_its_count_over_all_layers(sparsity):
    scores = block((4, 5), (7,), (3, 3))
    masks = masks_of(scores, MaskRule(sparsity, scope="global"))
    counts = torch.stack([m.flatten(1).sum(1) for m in masks.values()]).sum(0)
    assert counts.tolist() == [num_kept(36, sparsity)] * 3
    kept = torch.cat([scores[n][masks[n] == 1] for n in scores])
    assert len(kept) == counts.sum()


def test_global_scope_ranks_all_layers_together():
    scores = block((4, 5), (7,))
    masks = masks_of(scores, MaskRule(0.5, scope="global"))
    together = torch.cat([scores["layer0"].flatten(1), scores["layer1"]], dim=1)
    joined = torch.cat([masks["layer0"].flatten(1), masks["layer1"]], dim=1)
    assert torch.equal(joined.bool(), top_mask(together, num_kept(27, 0.5)))


@pytest.mark.parametrize("rank", ["raw", "absolute"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.91])
def test_global_scope_never_empties_a_layer(rank, sparsity):
    scores = block((4, 5), (7,), (3, 3))
    scores["layer1"] = scores["layer1"] * 1e-6 - (10 if rank == "raw" else 0)
    masks = masks_of(scores, MaskRule(sparsity, rank, "global"))
    ranked = scores["layer1"].abs() if rank == "absolute" else scores["layer1"]
    assert all(m.flatten(1).any(1).all() for m in masks.values())
    assert masks["layer1"].gather(1, ranked.argmax(1, keepdim=True)).all()
    counts = torch.stack([m.flatten(1).sum(1) for m in masks.values()]).sum(0)
    assert counts.tolist() == [num_kept(36, sparsity)] * 3


def test_a_global_sparsity_that_cannot_keep_a_weight_in_every_layer_is_refused():
    with pytest.raises(
        ValueError, match=r"sparsity 0\.95 with scope 'global' keeps 2 weights, fewer than the 3"
    ):
        masks_of(block((4, 5), (7,), (3, 3)), MaskRule(0.95, scope="global"))


def test_a_net_whose_scores_are_not_numbers_leaves_the_masks_of_the_others():
    scores = block((4, 5))
    expected = masks_of(scores, MaskRule(0.5))["layer0"].clone()
    scores["layer0"][1] = torch.nan
    masks = masks_of(scores, MaskRule(0.5))["layer0"]
    assert torch.equal(masks[[0, 2]], expected[[0, 2]])
