"""CPU, memory and latency of the gateway beside its peers on the same job, in one interleaved run. load-tests/README.md tells how to read it.

    material.py    keys, tokens, sessions and the certificate that everybody uses
    peers.py       HAProxy, nginx, Apache: their configurations
    gateway.py     ours
    world.py       who runs where; started when somebody is first looked at
    measure.py     one visit of one target: what it cost, and that every answer was right
    targets.py     who is compared with whom, in groups
    report.py      tables, JSON, plots
"""
