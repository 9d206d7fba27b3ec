"""A family's members by name: built in, declared by another package, or registered by hand.

    OPTIMIZERS: Registry[type[Config]] = Registry(
        "optimizer",
        {"adam": "qstore_ray.learn.optimizers.adam:Adam"},
        entry_points="qstore_ray.optimizers",
    )
    OPTIMIZERS["adam"]      the class; its module is imported now, not before
    list(OPTIMIZERS)        all names, sorted; nothing is imported

A member of another package is declared in that package's pyproject.toml, and is then known to every
process that has it installed, the workers of a cluster included:

    [project.entry-points."qstore_ray.optimizers"]
    mine = "my_package.optimizers:Mine"

`register` is for a notebook or a test: the name is known in this process alone.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from qstore_ray.errors import ConfigError, MissingDependencyError, unknown_name_error

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The members of one family, by name.

    Args:
        kind: what a member is, as an error calls it: "optimizer".
        built_in: name → "module:attribute".
        entry_points: the group in which other packages declare members; empty if none can.
        field: the configuration field that names a member, for errors.
        forms: the attributes that a member's class has; if there are several sets, one of them.
        base: the class that a member is derived from, for errors; empty if none is needed.
        meant: names that people try, with the member that each of them means, for errors.
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str],
        *,
        entry_points: str = "",
        field: str = "",
        forms: Sequence[tuple[str, ...]] = (),
        base: str = "",
        meant: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = entry_points
        self.field = field
        self._forms = tuple(forms)
        self._base = base
        self._meant = dict(meant or {})
        self._built_in = dict(built_in)
        self._registered: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """The member of that name; its module is imported here.

        Raises:
            UnknownNameError: the family has no such member.
            MissingDependencyError: another package declares it, and it cannot be imported.
            ConfigError: what another package declares is no member of this family.
        """
        if name in self._registered:
            return self._registered[name]
        if name in self._built_in:
            found: T = _imported(self._built_in[name])
            return found
        declared = self._declared()
        if name not in declared:
            meant = self._meant.get(str(name).lower(), "")
            raise unknown_name_error(self.kind, name, self, field=self.field, meant=meant)
        member = self._loaded(declared[name])
        self._check(name, member)
        return member

    def __iter__(self) -> Iterator[str]:
        """All names, sorted."""
        return iter(sorted({*self._registered, *self._built_in, *self._declared()}))

    def __len__(self) -> int:
        """The number of members."""
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        """Whether a member has that name; nothing is imported."""
        return name in self._registered or name in self._built_in or name in self._declared()

    def name_of(self, member: T) -> str | None:
        """The name under which the family has `member`, or None; nothing is imported."""
        for name, known in self._registered.items():
            if known is member:
                return name
        declared = {name: entry.value for name, entry in self._declared().items()}
        places = {**declared, **self._built_in}
        return next((name for name, place in places.items() if _is_at(member, place)), None)

    def register(self, name: str, member: T) -> None:
        """Make `member` known as `name` in this process; the same pair again changes nothing.

        Raises:
            ConfigError: the name belongs to another member, or this is no member of the family.
        """
        if self._registered.get(name) is member:
            return
        if name in self:
            raise ConfigError(
                f"a {self.kind} of this name exists",
                field="name",
                value=name,
                fix="Choose another name.",
            )
        self._check(name, member)
        self._registered[name] = member

    def unregister(self, name: str) -> None:
        """Remove a member that `register` added."""
        self._registered.pop(name, None)

    def built_in(self) -> Mapping[str, str]:
        """Name → "module:attribute" of the members that come with this package."""
        return dict(self._built_in)

    def _check(self, name: str, member: object) -> None:
        """Refuse what cannot be called, and a class without the attributes of the family.

        A function that builds a member is not called to look at what it returns.

        Raises:
            ConfigError: it is one of those.
        """
        article = "an" if self.kind[0] in "aeiou" else "a"
        if not callable(member):
            raise ConfigError(
                f"{article} {self.kind} is registered as a class, or a function that returns one",
                field=self.field,
                value=name,
                fix=f"Register the class, here {type(member).__name__}, and not an object of it.",
            )
        if not isinstance(member, type) or not self._forms:
            return
        missing = [[part for part in form if not hasattr(member, part)] for form in self._forms]
        if all(missing):
            forms = ", or ".join(map(_listed, self._forms))
            add = f"Add {_listed(min(missing, key=len))} to {member.__name__}"
            raise ConfigError(
                f"{article} {self.kind} has {forms}",
                field=self.field,
                value=name,
                fix=f"{add}, and derive it from {self._base}." if self._base else f"{add}.",
            )

    def _declared(self) -> Mapping[str, EntryPoint]:
        return _declared_in(self.group, _installed()) if self.group else {}

    def _loaded(self, entry: EntryPoint) -> T:
        try:
            return entry.load()  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as exc:
            raise MissingDependencyError(
                f"the {self.kind} is declared as {entry.value}, which cannot be imported: {exc}",
                field=self.field,
                value=entry.name,
                fix="Install or repair the package that declares it.",
            ) from exc


def _installed() -> tuple[tuple[str, int, int], ...]:
    """The folders that packages are imported from; it changes when a package comes or goes."""
    found = []
    for place in sys.path:
        try:
            status = os.stat(place or ".")  # noqa: PTH116 - for each name of each configuration
        except OSError:
            continue  # Python passes over it, too
        found.append((place, status.st_ino, status.st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=32)
def _declared_in(
    group: str, _installed: tuple[tuple[str, int, int], ...]
) -> Mapping[str, EntryPoint]:
    """Where 200 packages are installed, to read what they declare takes 30 ms."""
    return {entry.name: entry for entry in entry_points(group=group)}


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _is_at(member: object, place: str) -> bool:
    """Whether it is what stands there; a module that nobody has imported holds no known object."""
    module, _, attribute = place.partition(":")
    return getattr(sys.modules.get(module), attribute, None) is member


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
