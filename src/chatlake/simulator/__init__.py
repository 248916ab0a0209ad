"""The stand-in API server: as the service answers, on loopback, with faults that have names."""

from chatlake.simulator.faults import Faults
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.server import Running, running, serve

__all__ = ["Faults", "Running", "Scenario", "running", "serve"]
