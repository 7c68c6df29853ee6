"""The doors to the outside: what foreign text passes on its way to a terminal, and files that appear whole or not.

They need the standard library only, so that every wing can use them.
"""
