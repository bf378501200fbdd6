"""Training 5 epochs, storing, loading and continuing to 15 must equal training 15, bit by bit."""

import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.networks.realmlp import RealMLP
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import optimizers, schedules
from autopytorch_lite.training.checkpoint import TENSORS_FILE, VALUES_FILE
from autopytorch_lite.training.regularization import Mixup, Standard
from autopytorch_lite.training.stopping import EarlyStopping

OPTIMIZERS = {
    "sgd": optimizers.sgd(0.05, weight_decay=1e-3, momentum=0.9),
    "sgd_without_momentum": optimizers.sgd(0.05, momentum=0.0),
    "adam": optimizers.adam(0.01, weight_decay=1e-3),
    "adamw": optimizers.adamw(0.01),
    "rmsprop": optimizers.rmsprop(0.003, momentum=0.5),
}
SCHEDULES = {
    "constant": schedules.constant(),
    "cosine_annealing": schedules.cosine_annealing(),
    "short_cosine": schedules.cosine_annealing(T_max=7),
    "warm_restarts": schedules.cosine_annealing_warm_restarts(T_0=3),
    "alternating_cosine": schedules.alternating_cosine(T_max=3),
    "cyclic": schedules.cyclic(cycle_length=4),
    "exponential": schedules.exponential(),
    "step": schedules.step(step_size=4),
    "cosine_with_warmup": schedules.cosine_with_warmup(),
    "one_cycle": schedules.one_cycle(),
    "cosine_log": schedules.cosine_log(),
    "plateau": schedules.plateau(patience=0, factor=0.5, threshold=0.1),
    "adaptive": schedules.adaptive(T_max=4, patience=1, threshold=0.2),
}
NETWORKS = {
    "mlp": {"backbone": "mlp", "num_layers": 3},
    "dropout": {"backbone": "mlp", "num_layers": 3, "max_dropout": 0.5},
    "resnet": {
        "backbone": "resnet",
        "num_groups": 2,
        "blocks_per_group": 1,
        "max_dropout": 0.4,
        "use_shake_shake": True,
        "use_shake_drop": True,
        "max_shake_drop_probability": 0.5,
    },
}
TECHNIQUES = {"standard": Standard(), "mixup": Mixup(0.8)}

# every optimiser with every schedule; networks and techniques take turns, so that all pairs occur
COMBINATIONS = [
    (optimizer, schedule, list(NETWORKS)[(i + j) % 3], list(TECHNIQUES)[(i + j // 3) % 2])
    for (i, optimizer), (j, schedule) in itertools.product(enumerate(OPTIMIZERS), enumerate(SCHEDULES))
]


def assert_same_training(one, other):
    for name, curve in one.record.curves.items():
        if name != "seconds":
            assert curve == other.record.curves[name], name
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    if one.plan.early_stopping is not None:
        assert (one.record.val_predictions == other.record.val_predictions).all()


@pytest.mark.parametrize(("optimizer", "schedule", "network_name", "technique"), COMBINATIONS)
def test_continuing_equals_not_stopping(
    optimizer, schedule, network_name, technique, table, network, make_trainer, tmp_path
):
    def new():
        return make_trainer(
            network(**NETWORKS[network_name]),
            optimizer=OPTIMIZERS[optimizer],
            schedule=SCHEDULES[schedule],
            batch_technique=TECHNIQUES[technique],
            early_stopping=EarlyStopping(patience=30),
        )

    whole = new()
    whole.fit(*table, 15)
    first = new()
    first.fit(*table, 5)
    first.save_checkpoint(tmp_path)
    second = new()
    second.load_checkpoint(tmp_path)
    torch.rand(3)  # the program's own random state has no influence
    second.fit(*table, 15)
    assert_same_training(whole, second)
    assert torch.equal(
        whole.predict_outputs(table[1].dense, table[1].codes), second.predict_outputs(table[1].dense, table[1].codes)
    )


def test_average_clipping_and_fading_dropout_are_continued(table, make_trainer, tmp_path):
    def new():
        with seeded_rng(7):
            backbone = RealMLP(4, n_layers=2, width=8, activation="mish", dropout=0.3)
            net = TabularNetwork(None, backbone, backbone.new_head(3))
        return make_trainer(
            net,
            optimizer=OPTIMIZERS["adamw"],
            schedule=SCHEDULES["cosine_log"],
            early_stopping=EarlyStopping(patience=30),
            average_half_life=1.5,
            gradient_clip=0.1,
        )

    whole, first, second = new(), new(), new()
    whole.fit(*table, 15)
    first.fit(*table, 5)
    first.save_checkpoint(tmp_path)
    second.load_checkpoint(tmp_path)
    second.fit(*table, 15)
    assert_same_training(whole, second)
    rows = table[1].dense, table[1].codes
    assert torch.equal(whole.predict_outputs(*rows), second.predict_outputs(*rows))


def test_a_checkpoint_without_an_average_does_not_fit_a_plan_with_one(table, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(*table, 1)
    trainer.save_checkpoint(tmp_path)
    with pytest.raises(HistoryError, match="does not fit"):
        make_trainer(average_half_life=1.0).load_checkpoint(tmp_path)


def test_continuing_in_the_same_process_is_exact_too(table, make_trainer):
    whole, stepwise = make_trainer(), make_trainer()
    whole.fit(*table, 6)
    for n_epochs in range(1, 7):
        stepwise.fit(*table, n_epochs)
    assert_same_training(whole, stepwise)


def test_early_stopping_is_continued(table, make_trainer, tmp_path):
    """The best weights come from before the checkpoint, and training stays stopped after it."""
    scores = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    def scripted(predictions, targets):
        return next(scores) if len(targets) == 30 else 0.0

    plan = {"score": scripted, "early_stopping": EarlyStopping(patience=3)}
    first = make_trainer(**plan)
    first.fit(*table, 3)
    expected = first.predict_outputs(table[1].dense, table[1].codes)
    first.save_checkpoint(tmp_path)
    second = make_trainer(**plan)
    second.load_checkpoint(tmp_path)
    record = second.fit(*table, 15)
    assert (record.n_epochs, record.kept_epoch, record.stopped_early) == (5, 2, True)
    assert torch.equal(second.predict_outputs(table[1].dense, table[1].codes), expected)
    second.save_checkpoint(tmp_path)
    third = make_trainer(**plan)
    third.load_checkpoint(tmp_path)
    assert third.fit(*table, 15).n_epochs == 5


def test_a_checkpoint_from_before_cross_fitting_is_continued(table, make_trainer, tmp_path):
    first, second = (make_trainer(early_stopping=EarlyStopping(patience=30)) for _ in range(2))
    first.fit(*table, 3)
    first.save_checkpoint(tmp_path)
    values = json.loads((tmp_path / VALUES_FILE).read_text())
    del values["crossfit_best"]
    (tmp_path / VALUES_FILE).write_text(json.dumps(values))
    second.load_checkpoint(tmp_path)
    assert second.record.val_predictions is None
    assert second.fit(*table, 4).val_predictions.shape == (30, 3)


def test_checkpoint_is_tensors_and_json_only(table, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(*table, 2)
    trainer.save_checkpoint(tmp_path / "new" / "folder")
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == sorted([TENSORS_FILE, VALUES_FILE])
    values = json.loads((tmp_path / "new" / "folder" / VALUES_FILE).read_text())
    assert len(values["curves"]["val_score"]) == 2
    assert "network/head.weight" in load_file(tmp_path / "new" / "folder" / TENSORS_FILE)


def test_missing_damaged_and_foreign_checkpoints_are_named(table, network, make_trainer, tmp_path):
    trainer = make_trainer()
    with pytest.raises(HistoryError, match="No readable"):
        trainer.load_checkpoint(tmp_path)
    trainer.fit(*table, 1)
    trainer.save_checkpoint(tmp_path)
    with pytest.raises(HistoryError, match="does not fit"):
        make_trainer(network(num_layers=5)).load_checkpoint(tmp_path)
    values = tmp_path / VALUES_FILE
    values.write_text(values.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(HistoryError, match="format 99"):
        make_trainer().load_checkpoint(tmp_path)
    (tmp_path / TENSORS_FILE).write_bytes(b"torn")
    with pytest.raises(HistoryError, match="No readable"):
        make_trainer().load_checkpoint(tmp_path)
