"""The Prefect flows: the same backup as `chatlake backup`, in batches that Prefect runs and shows.

Importing this package sets the few Prefect settings that a run needs, unless the user has set them.
So import it before Prefect itself.
"""

from chatlake.flows.defaults import set_defaults

set_defaults()
