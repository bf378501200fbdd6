import itertools

import numpy as np
import torch

from autopytorch_lite.training.calibration import faster_precision
from autopytorch_lite.training.stack_plan import TrainingSize, seconds_per_epoch, stack_groups


def sizes(n, seed=0, keys=("a",)):
    rng = np.random.default_rng(seed)
    widths = 2 ** rng.uniform(6, 10, n)
    batches = 2 ** rng.uniform(4, 9, n)
    return [
        TrainingSize((5, int(width), int(width / 2), 2), int(batch), keys[number % len(keys)])
        for number, (width, batch) in enumerate(zip(widths, batches, strict=True))
    ]


def test_every_training_is_in_one_group_of_its_key():
    found = sizes(60, keys=("a", "b"))
    groups = stack_groups(found, 2000, 4000, max_networks=8)
    assert sorted(itertools.chain(*groups)) == list(range(60))
    assert all(len({found[number].key for number in group}) == 1 for group in groups)
    assert max(map(len, groups)) <= 8


def test_small_networks_are_stacked_and_large_ones_of_unlike_width_are_not():
    narrow = [TrainingSize((5, 64, 32, 2), 64, "a") for _ in range(10)]
    assert [len(group) for group in stack_groups(narrow, 2000, 4000)] == [10]
    wide = [TrainingSize((5, 1024, 1024, 2), 512, "a"), TrainingSize((5, 64, 32, 2), 512, "a")]
    assert len(stack_groups(wide, 2000, 4000)) == 2


def test_groups_are_estimated_to_take_less_time_than_single_trainings():
    found = [size for size in sizes(1000) if max(size.widths) <= 128]
    alone = sum(seconds_per_epoch([size], 2000, 4000) for size in found)
    together = sum(
        seconds_per_epoch([found[number] for number in group], 2000, 4000) for group in stack_groups(found, 2000, 4000)
    )
    assert together < 0.8 * alone


def test_a_stack_is_no_longer_than_asked():
    found = [TrainingSize((5, 64, 32, 2), 64, "a") for _ in range(10)]
    limit = 3.5 * seconds_per_epoch(found[:1], 2000, 4000)
    for group in stack_groups(found, 2000, 4000, max_seconds=limit):
        assert seconds_per_epoch([found[number] for number in group], 2000, 4000) <= limit


def test_a_precision_is_chosen_by_measuring():
    assert faster_precision((1, 512, 64, 64), torch.device("cpu"), in_training=True) in ("float32", "bfloat16")
    assert torch.get_float32_matmul_precision() == "highest"
