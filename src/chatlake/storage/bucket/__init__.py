"""A lake in a bucket: S3, Google Cloud Storage, Azure, and the lease that locks it."""
