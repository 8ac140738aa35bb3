#!/usr/bin/env python3
"""Prints one field of a JSON file.

    deploy/demo/field.py FILE NAME
"""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    print(json.load(file)[sys.argv[2]])
