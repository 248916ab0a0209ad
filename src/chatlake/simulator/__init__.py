"""The stand-in API server: as the service answers, on loopback, with faults that have names."""

from chatlake.simulator.scenario import Faults, Scenario
from chatlake.simulator.server import Running, running, serve

__all__ = ["Faults", "Running", "Scenario", "running", "serve"]
