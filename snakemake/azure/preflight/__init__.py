"""What is checked, looked up and packed before a run creates anything in Azure.

`options` checks the options that need no request, `account` asks the Batch account (for its images and quotas, and a
pool that is there) and for prices, `image` is about the container image and its registry, `storage` about the place for
the workflow's files, and `sources` packs the workflow itself. Each function raises a `WorkflowError` of one sentence
that names the option or variable to set.
"""
