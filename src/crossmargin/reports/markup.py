"""HTML and SVG elements whose text is escaped unless it already is markup.

Names of accounts and instruments are other people's data. Here escaping is what happens by itself: a plain `str` is
text, only what `element` made is `Markup`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_VOID = frozenset({"meta", "br", "hr", "col", "link"})
_CLOSED = frozenset({"rect", "line", "path", "circle"})


class Markup(str):
    """Text that is safe to put into a page as it is."""

    __slots__ = ()


Content: TypeAlias = str | Iterable["Content"] | None
"""A string, markup, nothing, or any nesting of these."""


def escaped(content: Content) -> str:
    """`content` with every plain string escaped, run together."""
    if content is None:
        return ""
    if isinstance(content, Markup):
        return str(content)
    if isinstance(content, str):
        return escape(content, quote=True)
    return "".join(escaped(part) for part in content)


def join(*contents: Content) -> Markup:
    """Several contents as one piece of markup."""
    return Markup(escaped(contents))


def element(name: str, /, *contents: Content, **attributes: str | float | bool | None) -> Markup:
    """An element; `class_` and `aria_label` become `class` and `aria-label`, `None` and `False` are left out.

    Examples
    --------
    >>> element("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(attribute)
        else:
            shown = f"{value:.10g}" if isinstance(value, float) else str(value)
            parts.append(f'{attribute}="{escape(shown, quote=True)}"')
    start = " ".join(parts)
    if name in _VOID:
        return Markup(f"<{start}>")
    if name in _CLOSED and not contents:
        return Markup(f"<{start}/>")
    return Markup(f"<{start}>{escaped(contents)}</{name}>")
