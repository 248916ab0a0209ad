"""The pure core: API objects, flattening, paging, partitions, manifests. No I/O."""
