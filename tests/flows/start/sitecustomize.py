"""Python reads this as it starts, where `tests.flows.migrated.environment` names its folder.

Importing Prefect makes hundreds of thousands of objects that all stay. Looking for garbage among
them takes an eighth of the time, so it is done less often.
"""

import gc

gc.set_threshold(100_000, 50, 100)
