"""Resource Manager's errors: its own, and how it passes on those of the Batch service.

https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
"""

from ..protocol.errors import BatchError


class ManagementError(Exception):
    """A refusal of Resource Manager itself, before the Batch service has seen the request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


def property_cannot_be_updated(name: str) -> BatchError:
    """`name` as the Batch service calls it; the answer calls it as the resource does."""
    shown = {
        "virtualMachineConfiguration": "deploymentConfiguration",
        "enableInterNodeCommunication": "interNodeCommunication",
    }.get(name, name)
    return BatchError(
        "PropertyCannotBeUpdated",
        [
            ("Reason", "A property that cannot be updated was specified as part of the request."),
            ("PropertyName", shown),
            ("PropertyPath", f"properties.{shown}"),
        ],
    )


def body(error: BatchError | ManagementError, request_id: str, time: str) -> dict:
    """The JSON value of an error's answer."""
    if isinstance(error, ManagementError):
        return {"error": {"code": error.code, "message": error.message}}
    return {
        "error": {
            "code": error.code,
            "message": f"{error.message}\nRequestId:{request_id}\nTime:{time}",
            "target": "BatchAccount",
            "details": [{"code": key, "message": value} for key, value in error.values],
        }
    }


def unknown_property(path: str) -> BatchError:
    return BatchError(
        "InvalidRequestBody",
        [("Reason", f"The property '{path}' does not exist on a pool."), ("PropertyPath", path)],
    )
