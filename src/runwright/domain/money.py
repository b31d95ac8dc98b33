"""Count money in whole micro-USD (millionths of a dollar): sums are exact, and nothing is rounded twice."""

from decimal import Decimal, InvalidOperation

MICRO = 1_000_000
_LONGEST_AMOUNT = 40


def usd(micro: int) -> float:
    """Return dollars to show; never to count with."""
    return micro / MICRO


def micro(amount: str) -> int:
    """Read a decimal text of dollars, exactly: ``"0.15"`` is 150 000.

    Raises `ValueError` for what is no finite decimal, and for a fraction of a micro-dollar, which would have to round.
    """
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError("not a decimal number") from None
    # An exponent makes a short text a long number: none of ours has so many digits.
    if not value.is_finite() or abs(value.adjusted()) > _LONGEST_AMOUNT or len(amount) > _LONGEST_AMOUNT:
        raise ValueError("not an amount of money")
    numerator, denominator = value.as_integer_ratio()
    whole, rest = divmod(numerator * MICRO, denominator)
    if rest:
        raise ValueError("finer than a millionth of a dollar")
    return whole
