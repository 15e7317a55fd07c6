"""The installed version, for what runs too often to ask the package's metadata, which takes as long as all the rest."""

VERSION = "0.2.0"
