"""The doors to the outside. They need the standard library only, so that every wing can use them.

terminal.py     makes foreign text safe for a terminal
files.py        files and folders that appear whole or not at all
lock.py         one run at a time in a folder
host.py         the private names of the host libraries that the code relies on, each with the reason
"""
