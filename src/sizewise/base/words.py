"""Numbers with what they count."""


def counted(number: float, name: str) -> str:
    """`1 symbol`, `2 symbols`. Args: `name`: in the singular, with a plural in s."""
    return f"{number:.0f} {name}{'' if number == 1 else 's'}"
