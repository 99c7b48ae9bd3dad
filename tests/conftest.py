"""One Hypothesis profile: nothing in it depends on how fast the machine is. Clocks that a test drives; and ranks."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from processes import until

settings.register_profile("asapnb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("mutants", settings.get_profile("asapnb"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("asapnb")


@pytest.fixture
def a_second_per_version(monkeypatch):
    """The training time that a run's controller sees: as many seconds as versions, however fast the machine is."""
    from asapnb.engine.controller import Controller

    monkeypatch.setattr(Controller, "seconds", property(lambda self: float(self.totals.version)))


@pytest.fixture
def stops_when(monkeypatch):
    """Makes runs end, as Ctrl-C would, once a function of the controller is true: however long that takes."""
    from asapnb.engine.controller import Controller
    from asapnb.training.words import INTERRUPTED

    def stops_when(enough):
        tick = Controller.tick

        def look(self):
            hurry = tick(self)
            if enough(self):
                self.stop(INTERRUPTED)
            return hurry

        monkeypatch.setattr(Controller, "tick", look)

    return stops_when


@pytest.fixture
def in_step(monkeypatch):
    """A run waits for its callbacks, so that a callback knows where it is."""
    from asapnb.training.apart import Session

    tell = Session._tell

    def tell_and_wait(self, message):
        tell(self, message)
        until(lambda: self._deaf or not (self._messages or self._calling), pause=0.0005)

    monkeypatch.setattr(Session, "_tell", tell_and_wait)


@pytest.fixture(scope="session")
def four_kept():
    """See `mpi_runs.kept`."""
    pytest.importorskip("mpi4py")
    from mpi_runs import kept, train
    from problems import quadratic

    with kept(4) as found:
        found().call(train, quadratic, {"updates": 2}, size=2)  # so that one worker compiles for all
        yield found


@pytest.fixture
def four(four_kept):
    """Four ranks of MPI that do what they are told to; see `mpi_runs`."""
    return four_kept()
