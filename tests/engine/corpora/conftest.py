"""A hub on this machine, and files as data sets publish them."""

import hub_stand_in
import pytest


@pytest.fixture
def hub():
    with hub_stand_in.running() as server:
        yield server


@pytest.fixture
def finish():
    return hub_stand_in.finish


@pytest.fixture
def table():
    return hub_stand_in.table


@pytest.fixture
def wav():
    return hub_stand_in.wav
