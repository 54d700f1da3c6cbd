"""What goes wrong with requests to the Batch service, and the option that helps."""

from typing import Any

from snakemake_interface_common.exceptions import WorkflowError


class BatchError(WorkflowError):
    """A request that the service refused for good, or that never reached it."""

    def __init__(self, message: str, code: str = "", status: int | None = None):
        super().__init__(message)
        self.code = code
        self.status = status


# What a refused property of a request is set by.
_OPTIONS = {
    "vmsize": "--az-batch-vm-size",
    "taskslotspernode": "--az-batch-slots-per-node",
    "containerimagenames": "--container-image",
    "imagereference": "--az-batch-os-image",
    "nodeagentskuid": "--az-batch-os-image",
    "targetdedicatednodes": "--az-batch-nodes",
}


def option_for(text: str) -> str:
    """The sentence `Set --option.` for the property that a refusal speaks of, or nothing."""
    return next((f" Set {option}." for name, option in _OPTIONS.items() if name in text.lower()), "")


def error_details(error: Any) -> tuple[str, str]:
    """Code and text of the service's error body, without the request id and time that follow the text."""
    body = getattr(error, "model", None) or getattr(error, "error", None)
    code = str(getattr(body, "code", None) or "")
    message = getattr(body, "message", None)
    text = str(getattr(message, "value", None) or message or "").partition("\nRequestId:")[0].strip()
    details = {
        str(getattr(v, "key", "")): str(getattr(v, "value", ""))
        for v in (getattr(body, "error_values", None) or [])
    }
    if reason := details.get("Reason") or details.get("Message"):
        named = " ".join(filter(None, (details.get("PropertyName"), details.get("PropertyValue"))))
        text = f"{text} ({named + ': ' if named else ''}{reason})"
    return code, text


def resource_manager_refused(doing: str, code: str, text: str) -> str:
    reason = ": ".join(filter(None, (code, text))).rstrip(".")
    return (
        f"Azure Resource Manager, which makes pools with an identity, refused to {doing}: {reason}. Log in (az login) "
        "as somebody with 'Azure Batch Data Contributor' on the Batch account and 'Managed Identity Operator' "
        "on the identity, and check --az-batch-identity, --az-batch-registry-identity and --az-batch-subscription-id."
    )
