"""The Prefect flows: the same backup as `chatlake backup`, in batches that Prefect runs and shows.

Importing this package sets the few Prefect settings that a run here needs, where the user has set
none: it has to come before Prefect itself.
"""

from chatlake.flows.defaults import set_defaults

set_defaults()
