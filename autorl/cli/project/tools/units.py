"""An example tool pack: every function with @tool in this file is a tool of the pack `units`."""

from typing import Literal

from autorl import ToolError, tool

Unit = Literal["km", "mile", "kg", "pound", "metre", "foot"]

FACTORS = {
    ("mile", "km"): 1.609344, ("km", "mile"): 1 / 1.609344,
    ("pound", "kg"): 0.45359237, ("kg", "pound"): 1 / 0.45359237,
    ("foot", "metre"): 0.3048, ("metre", "foot"): 1 / 0.3048,
}


@tool
def convert(value: float, unit: Unit, to: Unit) -> str:
    """Convert a value from one unit to another.

    value: the number to convert
    unit: the unit it is in
    to: the unit that is wanted
    """
    if (unit, to) not in FACTORS:
        raise ToolError(f"a {unit} cannot be converted to a {to}")
    return f"{value:g} {unit} = {value * FACTORS[unit, to]:.3f} {to}"
