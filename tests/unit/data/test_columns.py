"""The schema of a table: its line for the user, and its round trip through JSON."""

from __future__ import annotations

import json

from qstore_ray.data.columns import Column, TableSchema

SCHEMA = TableSchema(
    features=(Column("age"), Column("alone", "boolean"), Column("sex", "category", ("f", "m"))),
    label="survived",
    group="family",
    left_out=(("Unnamed: 0", "the index that pandas wrote"),),
    missing=("?",),
    parts=(("train", "train.csv"), ("test", "test.csv")),
)


def test_the_schema_survives_json():
    assert TableSchema.from_dict(json.loads(json.dumps(SCHEMA.to_dict()))) == SCHEMA


def test_the_line_names_label_features_what_was_left_out_and_the_parts():
    assert SCHEMA.line() == (
        "label survived; 3 features: age, alone (true/false), sex (category); group family; "
        "left out: Unnamed: 0 (the index that pandas wrote); "
        "parts: train from train.csv, test from test.csv"
    )


def test_a_long_line_is_cut():
    wide = TableSchema(tuple(Column(f"f{i}") for i in range(1000)))
    assert wide.line().endswith("f10, f11, …")


def test_columns_that_are_left_out_for_one_reason_are_said_together():
    out = (("name", "excluded"), ("id", "numbers the rows"), ("ticket", "excluded"))
    table = TableSchema((Column("age"),), left_out=out)
    assert table.line().endswith("left out: name, ticket (excluded), id (numbers the rows)")
