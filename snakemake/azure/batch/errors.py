"""What goes wrong with requests to the Batch service, in the user's words.

Whatever the SDK raises becomes a `BatchError`: one sentence with what was being done, the service's reason and the
option that helps, without a secret and without the SDK's exception behind it, whose text may hold one. Callers that
know what to do about some of them go by the service's code and the HTTP status.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.account import BatchAccount


class BatchError(WorkflowError):
    """A request that the service refused for good, or that never reached it.

    code, status: the service's, see https://learn.microsoft.com/rest/api/batchservice/batch-status-and-error-codes;
    empty and None where it has not answered.
    """

    def __init__(self, message: str, code: str = "", status: int | None = None):
        super().__init__(message)
        self.code = code
        self.status = status


@contextmanager
def explained(
    doing: str, account: BatchAccount, service: retry.Service, by_resource_manager: bool = False
) -> Iterator[None]:
    """Turns the SDK's exceptions into a `BatchError` that says what was being done: it follows `refused to`, as in
    `list the pools`."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    try:
        yield
    except HttpResponseError as e:
        code, text = _error_details(e)
        if by_resource_manager and e.status_code in (400, 401, 403, 404):
            raise BatchError(_resource_manager_refused(doing, code, text), code, e.status_code) from None
        if e.status_code in (401, 403) or isinstance(e, ClientAuthenticationError):
            raise BatchError(_credentials_refused(account, code, text), code, e.status_code) from None
        reason = ": ".join(filter(None, (code, text))) or f"HTTP status {e.status_code}"
        sentence = f"Azure Batch refused to {doing}: {reason.rstrip('.')}.{_option_for(text)}"
        raise BatchError(sentence, code, e.status_code) from None
    except (ServiceRequestError, ServiceResponseError):
        raise BatchError(_unreachable(doing, account, service)) from None
    except AzureError as e:
        raise BatchError(f"Azure Batch could not {doing}: {type(e).__name__}.") from None


def _error_details(error: Any) -> tuple[str, str]:
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


# What a refused property of a request is set by.
_OPTIONS = {
    "vmsize": "--az-batch-vm-size",
    "taskslotspernode": "--az-batch-slots-per-node",
    "containerimagenames": "--container-image",
    "imagereference": "--az-batch-os-image",
    "nodeagentskuid": "--az-batch-os-image",
    "targetdedicatednodes": "--az-batch-nodes",
}


def _option_for(text: str) -> str:
    """The sentence `Set --option.` for the property that a refusal speaks of, or nothing."""
    return next((f" Set {option}." for name, option in _OPTIONS.items() if name in text.lower()), "")


def _credentials_refused(account: BatchAccount, code: str, text: str) -> str:
    why = f" ({code}: {text.splitlines()[0]})" if text else f" ({code})" if code else ""
    if account.key is None:
        return (
            f"The Batch account {account.name} accepts no credentials that were found here{why}: set "
            "AZ_BATCH_ACCOUNT_KEY, or log in (az login) with an identity that has the role "
            "'Azure Batch Data Contributor' on the account ('Azure Batch Job Submitter' for --az-batch-pool-id)."
        )
    return (
        f"The Batch account {account.name} at {account.endpoint} refused the key{why}: set "
        "AZ_BATCH_ACCOUNT_KEY to one of its two keys (az batch account keys list) and check "
        "AZ_BATCH_ACCOUNT_NAME."
    )


def _unreachable(doing: str, account: BatchAccount, service: retry.Service) -> str:
    url = account.endpoint
    if service.has_answered:
        waited = retry.duration(service.patience.seconds)
        return (
            f"The Batch service at {url} does not answer any more (trying to {doing}; --az-batch-patience is "
            f"{waited}): check the network, and start again."
        )
    if url.startswith("http://"):
        return (
            f"No Batch emulator answers at {url} (trying to {doing}): start it with "
            "'azure-batch-emulator start', or set --az-batch-account-url."
        )
    return f"No Batch service answers at {url} (trying to {doing}): check --az-batch-account-url and the network."


def _resource_manager_refused(doing: str, code: str, text: str) -> str:
    reason = ": ".join(filter(None, (code, text))).rstrip(".")
    return (
        f"Azure Resource Manager, which makes pools with an identity, refused to {doing}: {reason}. Log in (az login) "
        "as somebody with 'Azure Batch Data Contributor' on the Batch account and 'Managed Identity Operator' "
        "on the identity, and check --az-batch-identity, --az-batch-registry-identity and --az-batch-subscription-id."
    )
