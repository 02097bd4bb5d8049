"""``--resume``: a run that cannot go on is told apart from the one that was likely meant."""

from __future__ import annotations

import pytest

from descentlab.errors import ConfigError
from descentlab.runs.identity import make_run
from descentlab.runs.resumable import SHOWN, differences, has_checkpoint, require_checkpoint
from descentlab.runs.store import Result

DATA, OTHER_DATA = "a" * 64, "b" * 64
MODEL = {"layers": 2, "width": 16}


def planned(*, data=DATA, lr=0.1, **identity):
    whole = {"model": MODEL, "optimizer": {"method": "adam", "lr": lr}, "seed": 0, **identity}
    return make_run(identity=whole, settings={}, data_sha256=data)


def interrupted(store, run, name="step-00000003"):
    folder = store.register(run)
    (folder.attempt(1).checkpoints / name).mkdir(parents=True)
    return folder


def refused(store, run) -> str:
    with pytest.raises(ConfigError) as error:
        require_checkpoint(store, run)
    assert error.value.exit_code == 2
    return str(error.value)


def test_a_run_with_a_checkpoint_may_go_on(store):
    interrupted(store, planned())
    require_checkpoint(store, planned())


def test_so_may_one_whose_only_checkpoint_is_damaged_to_be_told_that(store):
    interrupted(store, planned(), "corrupt-step-00000003")
    require_checkpoint(store, planned())


def test_so_may_one_that_has_its_result(store):
    store.register(planned())
    store.claim(planned().run_id).finish(Result(outcome="ok", generation=1, steps=1, tokens=1))
    require_checkpoint(store, planned())


def test_in_an_empty_store_there_is_nothing_to_go_on_with(store):
    said = refused(store, planned())
    assert said == (
        f"run {planned().run_id}: there is no checkpoint of it in {store.root}; leave --resume "
        "out to begin at the first step"
    )


def test_a_run_without_a_checkpoint_is_not_one_to_go_on_with(store):
    assert not has_checkpoint(store.register(planned(lr=0.2)))
    assert "leave --resume out to begin at the first step" in refused(store, planned())


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (planned(lr=0.2), "optimizer.lr is 0.2, not 0.1"),
        (
            planned(optimizer={"method": "sgd", "lr": 0.1}),
            "optimizer.method is 'sgd', not 'adam'",
        ),
        (planned(model={**MODEL, "layers": 3}), "model.layers is 3, not 2"),
        (planned(model={"layers": 2}), "model.width is None, not 16"),
        (planned(data=OTHER_DATA), "its tokens are bbbbbbbbbbbb…, not aaaaaaaaaaaa…"),
    ],
)
def test_what_differs_is_told(store, other, difference):
    interrupted(store, other)
    said = refused(store, planned())
    assert f"the nearest, {other.run_id}, is another run: {difference}; give its" in said


def test_the_nearest_is_the_one_that_differs_in_least(store):
    interrupted(store, planned(lr=0.2, seed=1))
    nearest = interrupted(store, planned(seed=1))
    assert f"the nearest, {nearest.run_id}, is another run: seed is 1, not 0;" in refused(
        store, planned()
    )


def test_a_finished_run_is_not_gone_on_with(store):
    other = planned(lr=0.2)
    interrupted(store, other)
    store.claim(other.run_id).finish(Result(outcome="ok", generation=2, steps=1, tokens=1))
    assert "the nearest" not in refused(store, planned())


def test_a_damaged_run_is_passed_over(store):
    interrupted(store, planned(lr=0.2)).spec.write_text("{")
    other = interrupted(store, planned(lr=0.3))
    assert f"the nearest, {other.run_id}," in refused(store, planned())


def test_many_differences_are_counted(store):
    changes = {f"setting{n}": n for n in range(SHOWN + 2)}
    other = make_run(identity={**planned().identity, **changes}, settings={}, data_sha256=DATA)
    interrupted(store, other)
    assert len(differences(other, planned())) == SHOWN + 2
    assert f"setting{SHOWN - 1} is {SHOWN - 1}, not None; and 2 more; give" in refused(
        store, planned()
    )
