"""Which routes a route file has, and a sample of them. No more of the file is read here than ids and towns; the workers read the rest."""

from __future__ import annotations

import itertools
from typing import Dict, List, Sequence
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from .errors import InvalidRouteFile


def pick(path: str | None, most: int) -> Sequence[int | None]:
    """At most ``most`` route ids of the file, of all towns in turn; without a file one None, a farm's first route."""
    if path is None:
        return [None]
    towns: Dict[str, List[int]] = {}
    try:
        for route in parse(path).getroot().findall("route"):
            towns.setdefault(str(route.get("town")), []).append(int(str(route.get("id"))))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InvalidRouteFile(f"{path}: no route file of Bench2Drive's format ({error})") from None
    turns = itertools.zip_longest(*towns.values())
    ids = [one for turn in turns for one in turn if one is not None]
    if not ids:
        raise InvalidRouteFile(f"{path}: there is no <route> in it")
    return ids[:most]
