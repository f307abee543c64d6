"""What a mapping leaves to choose, and how its words are to be understood.

    [choices]
    escalation_priorities = ["high", "urgent"]
    escalation_groups = []

    [meanings]
    escalation = ["priority raised to {escalation_priorities}", "group changed to {escalation_groups}"]

Wherever the mapping writes "$escalation_priorities" the chosen values stand. The import says: escalation = priority
raised to high, urgent. (A phrase about an empty choice is left out.) A mapping of one's own may start from one that
comes with Ebbtide (`extends`) and choose differently; nothing of it need be copied.
"""

import difflib
import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from models.errors import ContractError

_CHOICE = re.compile(r"\$([a-z][a-z0-9_]*)")

#: Name -> the chosen text, or the chosen texts.
Choices = Mapping[str, str | tuple[str, ...]]


def extended(plain: Mapping[str, Any], base: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`base` with what `plain` says differently: tables of keys are merged, everything else is replaced. Raises
    `ContractError` for a choice the base does not offer."""
    offered, chosen = base.get("choices", {}), plain.get("choices", {})
    for choice in chosen if isinstance(chosen, dict) else ():
        if choice not in offered:
            near = difflib.get_close_matches(choice, offered, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"its choices are {', '.join(offered) or 'none'}."
            raise ContractError(
                f"The mapping {name} chooses {choice!r}, which {plain['extends']} does not offer; {hint}"
            )
    return _merged(base, {key: value for key, value in plain.items() if key != "extends"})


def _merged(base: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in plain.items()
    }
    return {**base, **both}


def settle(plain: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The mapping with its choices filled in, and what its words mean. Raises `ContractError` for a choice that is not
    declared, or declared and used nowhere."""
    choices = _choices(plain.get("choices", {}), name)
    body = {key: value for key, value in plain.items() if key not in ("choices", "meanings")}
    if not choices:
        return body, _meanings(plain.get("meanings", {}), choices, name)
    used: set[str] = set()
    filled = {key: _filled(value, choices, used, name) for key, value in body.items()}
    idle = [choice for choice in choices if choice not in used]
    if idle:
        raise ContractError(f"The mapping {name} offers the choice {idle[0]!r} and uses ${idle[0]} nowhere.")
    return filled, _meanings(plain.get("meanings", {}), choices, name)


def _choices(plain: Any, name: str) -> dict[str, str | tuple[str, ...]]:
    if not isinstance(plain, dict):
        raise ContractError(f"choices in the mapping {name} must be a table of keys.")
    texts = {choice: _texts(value, f"the choice {choice!r} of the mapping {name}") for choice, value in plain.items()}
    return {choice: value if isinstance(value, str) else texts[choice] for choice, value in plain.items()}


def _texts(value: Any, place: str) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ContractError(f"{place[0].upper()}{place[1:]} must be text in quotes, or a list of it.")
    return tuple(items)


def _filled(value: Any, choices: Choices, used: set[str], name: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, choices, used, name) for key, item in value.items()}
    if isinstance(value, list):
        together: list[Any] = []
        for item in value:
            filled = _filled(item, choices, used, name)
            spliced = isinstance(item, str) and isinstance(filled, list)
            together += filled if spliced else [filled]
        return together
    found = _CHOICE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    if found[1] not in choices:
        raise ContractError(f"The mapping {name} uses {value}, and [choices] has no {found[1]!r}.")
    used.add(found[1])
    chosen = choices[found[1]]
    return chosen if isinstance(chosen, str) else list(chosen)


def _meanings(plain: Any, choices: Choices, name: str) -> dict[str, str]:
    if not isinstance(plain, dict):
        raise ContractError(f"meanings in the mapping {name} must be a table of keys.")
    return {word: _said(word, phrases, choices, name) for word, phrases in plain.items()}


def _said(word: str, phrases: Any, choices: Choices, name: str) -> str:
    told = []
    for phrase in _texts(phrases, f"the meaning of {word!r} in the mapping {name}"):
        asked = [field for _, field, _, _ in Formatter().parse(phrase) if field]
        unknown = [field for field in asked if field not in choices]
        if unknown:
            raise ContractError(f"The meaning of {word!r} in the mapping {name} names no choice: {unknown[0]!r}.")
        if all(choices[field] for field in asked):
            told.append(phrase.format(**{field: ", ".join(_texts(choices[field], "")) for field in asked}))
    return ", or ".join(told) or "nothing: no rule is chosen"
