#!/usr/bin/env python3
"""Prints the public half of private JWK Sets, joined into one.

    deploy/demo/public_keys.py FILE... > public.jwks.json
"""
import json
import sys

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

keys = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        keys += [{name: value for name, value in key.items() if name not in PRIVATE} for key in json.load(file)["keys"]]
json.dump({"keys": keys}, sys.stdout, indent=2)
print()
