"""Stands in for torchvision where it is missing: enough to be imported, and of no use otherwise."""

from torchvision import models as models
