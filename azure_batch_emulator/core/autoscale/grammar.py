"""The syntax: statements with semicolons between them, `//` comments, C's operators with C's precedence."""

from functools import cache, lru_cache

from .errors import SYNTAX, TOO_LONG, AutoscaleError

MAX_BYTES = 8 * 1024
MAX_STATEMENTS = 100

# Lists of operators stay flat, so that a long sum is not a deep tree.
GRAMMAR = r"""
start: [statement] (";" [statement])*
statement: NAME "=" choice -> assignment
         | choice          -> expression
?choice: either ["?" choice ":" choice]
?either: both (OR both)*
?both: equality (AND equality)*
?equality: relation (EQUALITY relation)*
?relation: sum (RELATION sum)*
?sum: product (SIGN product)*
?product: unary (TIMES unary)*
?unary: (SIGN | NOT)* postfix
?postfix: atom
        | postfix "." NAME                 -> member
        | postfix "." NAME OPEN arguments ")" -> method
?atom: NUMBER -> number
     | STRING -> string
     | NAME OPEN arguments ")" -> call
     | NAME -> variable
     | "(" choice ")"
arguments: [choice ("," choice)*]
OPEN: "("
OR: "||"
AND: "&&"
EQUALITY: "==" | "!="
RELATION: "<=" | ">=" | "<" | ">"
SIGN: "+" | "-"
TIMES: "*" | "/"
NOT: "!"
NAME: /\$?[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/
STRING: /"[^"\r\n]*"/
COMMENT: /\/\/[^\r\n]*/
%ignore COMMENT
%ignore /[ \t\r\n\f\v]+/
"""


@cache
def _parser():
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


@lru_cache(maxsize=128)
def parse(formula: str):
    """The formula as a tree; an AutoscaleError when it is too long or is none.

    https://learn.microsoft.com/azure/batch/batch-automatic-scaling#autoscale-formulas
    """
    from lark.exceptions import UnexpectedEOF, UnexpectedInput

    if (size := len(formula.encode("utf-8", "replace"))) > MAX_BYTES:
        raise AutoscaleError(TOO_LONG, f"The formula has {size} bytes, and at most {MAX_BYTES} are allowed")
    try:
        tree = _parser().parse(formula)
    except UnexpectedInput as error:
        raise AutoscaleError(SYNTAX, *_explain(error, isinstance(error, UnexpectedEOF), formula)) from None
    if len(tree.children) > MAX_STATEMENTS:
        raise AutoscaleError(
            SYNTAX,
            f"The formula has {len(tree.children)} statements, and at most {MAX_STATEMENTS} are allowed",
        )
    return tree


def _explain(error, ended: bool, formula: str) -> tuple[str, tuple[int, int]]:
    token = getattr(error, "token", None)
    if ended or getattr(token, "type", "") == "$END":
        lines = formula.split("\n")
        return "Unexpected end of the formula", (len(lines), len(lines[-1]) + 1)
    found = str(token) if token is not None else formula[error.pos_in_stream]
    return f"Unexpected '{found}'", (error.line, error.column)
