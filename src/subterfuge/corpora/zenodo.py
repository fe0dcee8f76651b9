"""Where IRMAS is kept for good: its record at Zenodo, the four archives, their checksums, their licence."""

from __future__ import annotations

from dataclasses import dataclass

BASE = "https://zenodo.org/records/1290750/files"

LICENCE = (
    "IRMAS is licensed CC BY-NC-SA 3.0: give credit, no commercial use, share alike "
    "(https://creativecommons.org/licenses/by-nc-sa/3.0/)."
)

CREDIT = (
    "Juan J. Bosch, Ferdinand Fuhrmann, Perfecto Herrera: IRMAS, a dataset for instrument recognition in "
    "musical audio signals. Zenodo, 2014, https://doi.org/10.5281/zenodo.1290750"
)


@dataclass(frozen=True)
class Archive:
    """One file of the record.

    Attributes
    ----------
    name : str
        Of the file; ``IRMAS-TrainingData.zip``.
    md5 : str
        Of its content, in hexadecimal, as the record states it.
    part : str
        ``training`` or ``testing``.
    """

    name: str
    md5: str
    part: str

    @property
    def folder(self) -> str:
        """Name of the folder that it is unpacked to."""
        return self.name.removesuffix(".zip")


ARCHIVES = (
    Archive("IRMAS-TrainingData.zip", "4fd9f5ed5a18d8e2687e6360b5f60afe", "training"),
    Archive("IRMAS-TestingData-Part1.zip", "5a2e65520dcedada565dff2050bb2a56", "testing"),
    Archive("IRMAS-TestingData-Part2.zip", "afb0c8ea92f34ee653693106be95c895", "testing"),
    Archive("IRMAS-TestingData-Part3.zip", "9b3fb2d0c89cdc98037121c25bd5b556", "testing"),
)


def url(archive: Archive, base: str = BASE) -> str:
    """Where an archive is to be had; ``base`` may be a mirror's folder.

    Examples
    --------
    >>> url(ARCHIVES[0])
    'https://zenodo.org/records/1290750/files/IRMAS-TrainingData.zip?download=1'
    """
    return f"{base.rstrip('/')}/{archive.name}?download=1"
