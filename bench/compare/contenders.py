"""Who is compared: which servers there are binaries of, and who takes part in which case."""

import sys

import cases
import servers

ALL = ("limit", "tidemark", "etcd", "etcd-debian")


def binary(arguments, contender):
    name = "bare_server" if contender == "limit" else contender.replace("-", "_")
    return getattr(arguments, f"{name}_binary")


def chosen(arguments):
    """(names, what is left out); who was asked for must be there."""
    asked = [name for name in arguments.contenders.split(",") if name]
    missing = [name for name in asked if name not in ALL or not binary(arguments, name)]
    if missing:
        sys.exit(f"no binary of {', '.join(missing)}; contenders are {', '.join(ALL)}")
    return (asked, []) if asked else by_default(arguments)


def by_default(arguments):
    """etcd's newest release where it could be built, else Debian's."""
    names = ["limit", "tidemark"]
    if arguments.etcd_binary:
        return [*names, "etcd"], []
    newest = "etcd's newest release: there is no binary of it, and no Go that could build one"
    if not arguments.etcd_debian_binary:
        return names, [newest, "Debian's etcd, which could stand in, is not here either"]
    no_stream = [case.name for case in cases.every() if case.needs_range_stream]
    return [*names, "etcd-debian"], [f"{newest}; Debian's older one is measured instead, "
                                     f"without {' and '.join(no_stream)}, for which it has no RangeStream"]


def takes_part(contender, case):
    if contender == "limit":
        return case.limit != ""
    if contender == "etcd-debian" and case.needs_range_stream:
        return False
    return case.group != cases.TRANSPORT or contender == "tidemark"


def make_server(arguments, contender, case, directory):
    if contender == "limit":
        return servers.bare(arguments.bare_server_binary, directory, case.limit == cases.DURABLE)
    if case.group == cases.TRANSPORT:
        return servers.bare(arguments.echo_server_binary, directory, is_durable=False)
    return servers.etcd_like(binary(arguments, contender), directory, case.tls)
