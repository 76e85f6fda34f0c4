"""Filters: which items a search may return, one language for Python, command line and API.

A filter is a list of conditions that must all hold. A condition is a string:

=====================================  ============================================================
``country=spain``                      equal
``country=spain|germany``              any of
``country!=spain``                     another value; with ``|`` none of them
``gsd<=0.5``                           also ``<``, ``>``, ``>=``
``gsd=0.3..0.5``                       numbers or dates, both ends included; one may be missing
``date=2020-01-01..2021-06``           a date is a period: to the end of June, in the whole of June
``tags=harbor|river``                  any of the tags
``tags=harbor+river``                  all of the tags
``classes[]=harbor+river``             the same for another attribute that is a list
``bbox=2.1,41.3,2.2,41.4``             west, south, east, north; west > east crosses 180 degrees
``near=24.94,60.17,500``               lon, lat and meters on the WGS 84 ellipsoid
``polygon=POLYGON((2 41, 3 41, ...))`` WKT or GeoJSON, holes and MULTIPOLYGON too; or ``@FILE``
=====================================  ============================================================

Values. An item that lacks the attribute never passes, not even ``!=``. A value that looks like a
number is compared with numbers as a number and with strings as a string: ``zone=07`` finds 7 and
``'07'``. ``true`` and ``false`` also find booleans. Strings are compared by code points, upper and
lower case differ. A list or dict attribute passes no comparison; ``tags=`` and ``NAME[]=`` look
into lists.

Dates. The attribute ``date`` is an ISO 8601 string. ``2021``, ``2021-06`` and ``2021-06-30`` stand
for the whole period: it holds every date whose text begins so. Write dates of one store in one
form and time zone, as they are compared as texts. No other attribute has periods.

Quotes. A value or name in double quotes is a JSON string: ``country="a|b"``. They are needed
around ``|``, in tags also ``+``, around blanks at an end, and where a value begins with a quote or
an operator. ``"bbox"=1`` is an attribute of that name.

Places. They look at the center, ``lon`` in -180..180 and ``lat`` in -90..90. Edges belong to a box,
a circle and a polygon, those of its holes too. Edges of a polygon are straight lines in longitude
and latitude. Across the antimeridian a polygon is cut in two there, as RFC 7946 asks, or its
longitudes go beyond 180.
"""

from urbancross_mm.structures.filters.columns import Column
from urbancross_mm.structures.filters.conditions import AnyOf, Compare, Tags
from urbancross_mm.structures.filters.filter import Condition, Filter, UnknownAttributeError
from urbancross_mm.structures.filters.places import Box, Near, Polygon

__all__ = [
    'AnyOf',
    'Box',
    'Column',
    'Compare',
    'Condition',
    'Filter',
    'Near',
    'Polygon',
    'Tags',
    'UnknownAttributeError',
]
