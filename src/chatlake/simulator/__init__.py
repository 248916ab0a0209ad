"""The simulated API server: responds like the service, on loopback, with named faults."""

from chatlake.simulator.faults import Faults
from chatlake.simulator.scenario import Scenario
from chatlake.simulator.server import Running, running, serve

__all__ = ["Faults", "Running", "Scenario", "running", "serve"]
