"""Worlds from seeds."""

import random
from functools import lru_cache

from autorl.errors import UsageError

from .naming import Names
from .operations import TREATMENTS
from .rules import CarrierOfZone, CountedInSmall, Rule, Treated, TruckBooked
from .world import MOST, NUMBERS, Slip, State, Unit, World


@lru_cache(maxsize=256)
def world(name: str) -> World:
    """The world `w0`, `w1`, ... of that number, the same one on every machine."""
    if not is_name(name):
        raise UsageError(f"'{name}' is no world of the warehouse", "Worlds are named w0, w1, w2 and so on")
    chance = random.Random(f"warehouse/{name}")
    names = Names(chance)
    goods, zones = names.draw(5, "CVC"), names.draw(4, "CVCV")
    treatments = chance.sample(TREATMENTS, 2)
    extras = chance.sample(("returns", "cancel", "look", "book"), chance.randint(0, 3))
    has_carriers, has_units = chance.random() < 0.4 and "book" not in extras, chance.random() < 0.25
    carriers = names.draw(3, "CVC") if has_carriers else ()
    unit = Unit(*names.draw(2, "CVC"), chance.choice((4, 5, 6, 8, 10, 12))) if has_units else None
    trucks = dict(zip(zones, chance.sample(NUMBERS, len(zones)), strict=True)) if "book" in extras else {}

    first, second = treatments
    rules: list[Rule] = [Treated("ship", first, "zone", tuple(sorted(zones[:2])), told=False),
                         Treated("ship", second, "zone", tuple(sorted(zones[1:3])), told=chance.random() < 0.3)]
    operations = ["pick", *treatments, "ship", "close"]
    if "returns" in extras:
        operations += ["check", "store"]
        rules.append(Treated("store", "check", "good", tuple(sorted(goods[:2])), told=chance.random() < 0.3))
    operations += [extra for extra in ("cancel", "look", "book") if extra in extras]
    if carriers:
        rules.append(CarrierOfZone(tuple((zone, chance.choice(carriers)) for zone in zones), chance.random() < 0.3))
    if trucks:
        rules.append(TruckBooked(told=chance.random() < 0.5))
    if unit:
        rules.append(CountedInSmall(told=chance.random() < 0.5))
    chance.shuffle(operations)
    meanings = ("number", "good", "zone", "carrier", "truck", "count")
    words = {**dict(zip(operations, names.draw(len(operations), "CVCV"), strict=True)),
             **dict(zip(meanings, names.draw(len(meanings), "CVC"), strict=True))}
    stock = tuple((good, chance.randint(200, 400)) for good in goods)
    slips = tuple(Slip(number, kind, chance.choice(goods), chance.randint(1, MOST), chance.choice(zones))
                  for number, kind in zip(sorted(chance.sample(NUMBERS, 6)), 3 * ("order", "return"),
                                           strict=True))
    return World(name, words, tuple(operations), goods, zones, carriers, trucks, unit, tuple(rules),
                 State(stock, slips))


def is_name(name: str) -> bool:
    return name[:1] == "w" and name[1:].isdecimal() and name == f"w{int(name[1:])}"
