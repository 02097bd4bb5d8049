"""Every check on a small comparison that is fair, and on the same with one fault in it."""

from __future__ import annotations

import tomllib

import pytest
from oracles.audit_faults import (
    PLANTED,
    planted,
)
from oracles.runs import fair, run, table

from descentlab.analysis.audit import CHECKS, audit
from descentlab.sweep.study import study_from
from descentlab.train.spec import run_spec

SPEC = {"model": {"size": "tiny"}, "data": {"tokenizer": "byte", "sequence_length": 32},
        "training": {"steps": 100, "batch_size": 8}}  # fmt: skip


def test_a_fair_comparison_has_no_findings():
    assert audit(table(fair())) == []


def test_nothing_is_found_where_nothing_is():
    assert audit(table([])) == []
    assert audit(table([run("alone")])) == []


def test_there_is_a_fault_for_every_check():
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("check", list(CHECKS))
def test_a_planted_fault_is_found_by_its_check(check):
    found = [each for each in planted(check) if each.check == check]
    assert found
    assert all(each.runs and each.what and each.why and each.settle for each in found)


OTHERS = {
    "unequal-tokens": set(),
    "changed-between-methods": set(),
    "changed-within-a-method": set(),
    "schedule-floor": set(),
    "same-method": set(),
    "unequal-trials": set(),
    "optimum-on-an-edge": set(),
    "isolated-optimum": set(),
    "few-seeds": set(),
    "tuned-on-its-judges": set(),
    "no-result": set(),
    "inexact-resume": set(),
    "sentinel-values": {"few-seeds", "not-on-record"},
    "budget-name": {"few-seeds", "not-on-record"},
    "missing-cells": {"few-seeds", "not-on-record", "unequal-trials"},
}
"""What else is found where a fault is planted: nothing, but for what imports are anyway."""


@pytest.mark.parametrize("check", list(OTHERS))
def test_a_planted_fault_raises_no_other_alarm(check):
    found = {each.check for each in planted(check)}
    assert found == {check, *OTHERS[check]}


@pytest.mark.parametrize("check", list(CHECKS))
def test_what_is_to_be_trained_is_a_study(check):
    for each in planted(check):
        if each.study:
            settings = tomllib.loads(each.study)
            own = settings.pop("run", {})
            training = {**SPEC["training"], **own.get("training", {})}
            spec = {**SPEC, "training": training}
            study = study_from({"name": "settle", "run": spec, **settings}, where=check)
            assert study.settings()
            for point in study.settings():
                run_spec(point, where=check)
