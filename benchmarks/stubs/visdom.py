"""Stands in for visdom, which adv-lib imports for plots that no benchmark draws."""


class Visdom:
    def __init__(self, *args: object, **options: object) -> None:
        raise ImportError("visdom is not installed here; run without a callback")
