"""What can be wrong with a formula, in the service's codes and its `Line L, Col C: ...` style."""

from typing import NoReturn

SYNTAX = "AutoScalingFormulaSyntaxError"
TOO_LONG = "AutoScalingFormulaTooLong"
EVALUATION = "AutoScalingFormulaEvaluationError"
INSUFFICIENT = "InsufficientSampleData"

_MESSAGES = {
    SYNTAX: "The specified auto-scaling formula has a syntax error",
    TOO_LONG: "The specified auto-scaling formula exceeds lengths limit",
    EVALUATION: "Autoscale evaluation failed due to an error in the formula",
    INSUFFICIENT: "Autoscale evaluation failed due to insufficient sample data",
}


class AutoscaleError(Exception):
    """A formula that can't be read or evaluated; `place` is (line, column), both from 1, None for the whole."""

    def __init__(self, code: str, reason: str, place: tuple[int, int] | None = None) -> None:
        self.code = code
        self.message = _MESSAGES[code]
        self.detail = f"Line {place[0]}, Col {place[1]}: {reason}" if place else reason
        super().__init__(f"{self.message}: {self.detail}")


class Mistake(Exception):
    """A wrong operand or argument, told by a table that does not know the place; the interpreter adds it."""

    def __init__(self, reason: str, code: str = EVALUATION) -> None:
        self.reason, self.code = reason, code
        super().__init__(reason)


def mistake(reason: str) -> NoReturn:
    raise Mistake(reason)
