"""Every error that the service can answer with: code, HTTP status and text, in one table.

Raise `BatchError(code, ...)` anywhere; the HTTP rim turns it into the documented body.
https://learn.microsoft.com/rest/api/batchservice/batch-status-and-error-codes
"""

from collections.abc import Iterable

CATALOGUE: dict[str, tuple[int, str]] = {
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "MultipleConditionHeadersNotSupported": (400, "Multiple condition headers are not supported."),
    "MissingRequiredHeader": (400, "A required HTTP header was not specified."),
    "MissingRequiredProperty": (400, "A required property was not specified in the request body."),
    "MissingRequiredQueryParameter": (
        400,
        "A query parameter that's mandatory for this request is not specified.",
    ),
    "UnsupportedQueryParameter": (
        400,
        "One of the query parameters specified in the request URI is not supported.",
    ),
    "InvalidHeaderValue": (
        400,
        "The value provided for one of the HTTP headers was not in the correct format.",
    ),
    "InvalidPropertyValue": (
        400,
        "The value provided for one of the properties in the request body is invalid.",
    ),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "OutOfRangeQueryParameterValue": (
        400,
        "A query parameter specified in the request URI is outside the permissible range.",
    ),
    "PropertyCannotBeUpdated": (
        400,
        "A property that cannot be updated was specified as part of the request.",
    ),
    "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
    "InvalidRequestBody": (400, "The specified Request Body is not syntactically valid."),
    "InvalidAuthenticationInfo": (
        400,
        "The authentication information is not provided in the correct format.",
    ),
    "InvalidRestAPIForAccountSetting": (
        400,
        "The request is for a feature that this account does not have.",
    ),
    "UnsupportedRequestVersion": (400, "The specified api version string is invalid."),
    "InvalidAutoScalingSettings": (400, "The specified auto-scaling settings are not valid."),
    "AutoScalingFormulaSyntaxError": (400, "The specified auto-scaling formula has a syntax error."),
    "AutoScalingFormulaTooLong": (400, "The specified auto-scaling formula exceeds lengths limit."),
    "UnsupportedProperty": (400, "A property used in the request is not supported."),
    "TaskDependencyListTooLong": (400, "The list of task ids that the task depends on is too long."),
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
        "correctly including the signature.",
    ),
    "InsufficientAccountPermissions": (
        403,
        "The account being accessed does not have sufficient permissions to execute this operation.",
    ),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "PoolNotFound": (404, "The specified pool does not exist."),
    "NodeNotFound": (404, "The specified node does not exist."),
    "JobNotFound": (404, "The specified job does not exist."),
    "TaskNotFound": (404, "The specified task does not exist."),
    "FileNotFound": (404, "The specified file does not exist."),
    "JobScheduleNotFound": (404, "The specified job schedule does not exist."),
    "StorageAccountNotFound": (404, "The specified storage account does not exist."),
    "ApplicationNotFound": (404, "The specified application does not exist."),
    "ApplicationPackageNotFound": (404, "The specified application package does not exist."),
    "NodeUserNotFound": (404, "The specified node user does not exist."),
    "UnsupportedHttpVerb": (405, "The resource doesn't support the specified HTTP verb."),
    "OperationInvalidForCurrentState": (
        409,
        "The specified operation is not valid for the current state of the resource.",
    ),
    "InvalidApplicationPackageReferences": (
        409,
        "One or more of the specified application package references are invalid.",
    ),
    "ApplicationPackageExists": (
        409,
        "The specified application package already exists, and its application does not allow updates.",
    ),
    "ApplicationQuotaReached": (409, "The application quota for the account has been reached."),
    "ApplicationPackageQuotaReached": (409, "The package quota for the application has been reached."),
    "PoolExists": (409, "The specified pool already exists."),
    "PoolBeingCreated": (409, "The specified pool is being created."),
    "PoolBeingDeleted": (409, "The specified pool is being deleted."),
    "PoolBeingResized": (409, "The specified pool is being resized."),
    "PoolQuotaReached": (409, "The pool quota for the account has been reached."),
    "JobScheduleExists": (409, "The specified job schedule already exists."),
    "JobScheduleBeingDeleted": (
        409,
        "The specified job schedule has been marked for deletion and is being reclaimed.",
    ),
    "JobScheduleBeingTerminated": (409, "The specified job schedule is being terminated."),
    "JobScheduleCompleted": (409, "The specified job schedule is already in completed state."),
    "JobScheduleDisabled": (409, "The specified job schedule is disabled."),
    "JobWithSameIdExists": (
        409,
        "A job with the specified job schedule id exists. Job and job schedule cannot have the same id.",
    ),
    "JobScheduleWithSameIdExists": (
        409,
        "A job schedule with the specified job id exists. Job and job schedule cannot have the same id.",
    ),
    "JobExists": (409, "The specified job already exists."),
    "JobBeingDeleted": (409, "The specified job is being deleted."),
    "JobBeingTerminated": (409, "The specified job is being terminated."),
    "JobCompleted": (409, "The specified job is already in a completed state."),
    "JobDisabled": (409, "The specified job is disabled."),
    "JobNotActive": (409, "The specified job is not in active state."),
    "JobPreparationTaskNotSpecified": (409, "The specified job does not have a job preparation task."),
    "TaskExists": (409, "The specified task already exists."),
    "TaskCompleted": (409, "The specified task is already in a completed state."),
    "TaskNotCompleted": (409, "The specified task is not in a completed state."),
    "TaskSucceeded": (409, "The specified task has completed successfully and cannot be reactivated."),
    "TaskFilesUnavailable": (409, "The files of the specified task are unavailable."),
    "TaskFilesCleanedup": (409, "The files of the specified task have been cleaned up."),
    "TaskIdSameAsJobPreparationTask": (409, "The specified task id is same as the job preparation task."),
    "TaskIdSameAsJobReleaseTask": (409, "The specified task id is same as the job release task."),
    "ActiveJobAndScheduleQuotaReached": (
        409,
        "Active job and job schedule quota for the account has been reached.",
    ),
    "NodeBeingCreated": (409, "The specified node is being created."),
    "NodeBeingStarted": (409, "The specified node is being started."),
    "NodeBeingRebooted": (409, "The specified node is being rebooted."),
    "NodeUserExists": (409, "The specified node user already exists."),
    "NodeStateUnusable": (409, "The state of the specified node is unusable."),
    "NodeAlreadyInTargetSchedulingState": (
        409,
        "The specified node is already in the target scheduling state.",
    ),
    "OperationNotValidOnNode": (409, "The specified operation is not valid on the node."),
    "OperationNotValidOnPool": (409, "The specified operation is not valid on the pool."),
    "MissingContentLengthHeader": (411, "Content-Length HTTP header was not specified."),
    "RequestBodyTooLarge": (413, "The size of the request body exceeds the maximum permitted limit."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InternalError": (500, "Server encountered an internal error. Please try again after some time."),
    "TooManyRequests": (429, "Request failed as server encountered too many requests. Please try again."),
    "ServerBusy": (503, "The server is currently unable to receive requests. Please retry your request."),
    "TooManyEnableAutoScaleRequests": (
        503,
        "Enable auto-scale requests for the same pool must be separated by at least 30 seconds.",
    ),
    # The emulator's own: the real service has no such answer, and that is the point of it.
    "NotImplementedByEmulator": (
        501,
        "The Azure Batch emulator does not have this yet; the real service does.",
    ),
}


class BatchError(Exception):
    """An answer of the service other than success; knows its code, status, text and details."""

    def __init__(
        self,
        code: str,
        values: Iterable[tuple[str, str]] = (),
        *,
        status: int | None = None,
        message: str | None = None,
    ) -> None:
        known_status, known_message = CATALOGUE[code]
        self.code = code
        self.status = status or known_status
        self.message = message or known_message
        self.values = tuple(values)
        details = "; ".join(f"{key}: {value}" for key, value in self.values)
        super().__init__(f"{code}: {self.message}" + (f" ({details})" if details else ""))

    def body(self, request_id: str, time: str) -> dict:
        """The error's JSON value; `request_id` and `time` go into the text, as the service does it."""
        text = f"{self.message}\nRequestId:{request_id}\nTime:{time}"
        body: dict = {"code": self.code, "message": {"lang": "en-US", "value": text}}
        if self.values:
            body["values"] = [{"key": key, "value": value} for key, value in self.values]
        return body


def unsupported_property(name: str, reason: str) -> BatchError:
    return BatchError("UnsupportedProperty", [("PropertyName", name), ("Reason", reason)])


def invalid_property(name: str, value: object, reason: str) -> BatchError:
    return BatchError(
        "InvalidPropertyValue",
        [("PropertyName", name), ("PropertyValue", str(value)), ("Reason", reason)],
    )


def missing_property(name: str) -> BatchError:
    return BatchError("MissingRequiredProperty", [("PropertyName", name)])


def invalid_query(name: str, value: object, reason: str) -> BatchError:
    return BatchError(
        "InvalidQueryParameterValue",
        [("QueryParameterName", name), ("QueryParameterValue", str(value)), ("Reason", reason)],
    )
