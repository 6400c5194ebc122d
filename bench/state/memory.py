"""How much memory a byte of live data takes, when a tenth of all keys was written again and compacted."""

KEY_BYTES = 30
VALUE_BYTES = 1024


def measure(make_node, make_client, keys):
    node = make_node("memory")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        client.store(max(1, keys // 10))
        client.compact()
        if "tidemark_versions" in node.metrics():
            node.wait(lambda metrics: metrics["tidemark_versions"] == keys)
        status = node.status()
        heap = status["resident_bytes"] - status["shared_bytes"]
        return {"keys": keys, "live_bytes": keys * (KEY_BYTES + VALUE_BYTES),
                "files_bytes": node.memory_files_bytes, "heap_bytes": heap,
                "resident_bytes": status["resident_bytes"],
                "disk_bytes": node.disk_bytes()}
    finally:
        node.remove()


def table(rows):
    lines = ["| keys of 1 KiB | server | live data, MB | on tmpfs, MB | on the heap, MB | resident, MB | memory / live data |",
             "|---|---|---|---|---|---|---|"]
    for server, row in rows:
        # etcd's memory is a mapped file: what is resident counts.
        used = max(row["resident_bytes"], row["files_bytes"] + row["heap_bytes"]) if server == "Tidemark" \
            else row["resident_bytes"]
        lines.append(f"| {row['keys']:,} | {server} | {row['live_bytes'] / 1e6:,.0f} | {row['files_bytes'] / 1e6:,.0f} | "
                     f"{row['heap_bytes'] / 1e6:,.0f} | {row['resident_bytes'] / 1e6:,.0f} | "
                     f"{used / row['live_bytes']:.2f} |")
    return "\n".join(lines)
