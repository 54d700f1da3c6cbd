"""The Batch account as a resource of Azure Resource Manager: what azure-mgmt-batch and templates see.

The pools are those of the Batch service, in other shapes.
https://learn.microsoft.com/rest/api/batchmanagement/
"""
