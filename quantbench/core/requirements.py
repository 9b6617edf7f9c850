"""What quantbench's extras ask for, against what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import InvalidRequirement, Requirement


def extras() -> list[str]:
    """Names of quantbench's extras, in the order of their declaration."""
    return metadata("quantbench").get_all("Provides-Extra") or []


def requirements(extra: str = "") -> list[Requirement]:
    """Of quantbench itself, or of one of its extras."""
    parsed = map(Requirement, requires("quantbench") or ())
    found = []
    for requirement in parsed:
        marker = requirement.marker
        base = marker is None or marker.evaluate({"extra": ""})
        if (not extra and base) or (
            extra and marker is not None and not base and marker.evaluate({"extra": extra})
        ):
            found.append(requirement)
    return found


def lacking(extra: str = "") -> list[str]:
    """What is not installed, or in a version that does not serve, in words."""
    found = []
    for requirement in requirements(extra):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            found.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} {installed} is not {requirement.specifier}")
    return found


def conflicts() -> list[str]:
    """What installed packages ask of each other and do not have, in words."""
    from importlib.metadata import distributions

    installed = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            installed[canonical(name)] = distribution
    found = []
    for name, distribution in sorted(installed.items()):
        for text in distribution.requires or ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # older than the standard; pip ignores it too
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            other = installed.get(canonical(requirement.name))
            if other is None:
                found.append(f"{name} needs {requirement.name}, which is not installed")
            elif not requirement.specifier.contains(other.version, prereleases=True):
                needs = f"{requirement.name}{requirement.specifier}"
                found.append(f"{name} needs {needs}, installed is {other.version}")
    return found


def canonical(name: str) -> str:
    """The name of a distribution as registries compare it."""
    return name.lower().replace("_", "-").replace(".", "-")
