"""Networks, if they were here: adv-lib imports this for a distance that no benchmark uses."""


def __getattr__(name: str) -> object:
    raise AttributeError(f"torchvision.models.{name} was asked for, but torchvision is not installed here")
