#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every answer of umbrad, and every body that it takes, is what a JSON Schema says that it is."""
import glob
import json
import os

import jsonschema

from daemon_fixture import Umbrad, endless, run_tests, shipped, wait_for

umbrad = Umbrad({
    "auto": endless(mode="auto"),
    "two": endless(mode="shadow", cpus=2),
    "bare": endless(mode="bare"),
    "ends": shipped("hello", "", processor="zen2"),
    "lost": {"image": "/nonexistent"},
}, files={"costs": b"[zen2]\nexit = 40000\n"}, policy="costs = costs")

schemas, routes = {}, []
asked = set()  # "METHOD path" of the routes that were


def load():
    index = umbrad.ask("/schemas/").json()
    for entry in index["schemas"]:
        answer = umbrad.ask(entry["path"])
        assert answer.status == 200 and answer.type == "application/schema+json"
        schemas[entry["name"]] = answer.json()
        assert answer.json()["title"] == entry["title"]
    routes.extend(index["routes"])


def validator(name):
    return jsonschema.Draft202012Validator(schemas[name])


def parts(schema, where=""):
    """Each schema within @schema, with where it is."""
    yield where, schema
    for key in ("properties", "$defs"):
        for name, part in schema.get(key, {}).items():
            yield from parts(part, f"{where}/{name}")
    if "items" in schema:
        yield from parts(schema["items"], where + "/items")
    for part in schema.get("anyOf", ()):
        yield from parts(part, where + "/anyOf")


def each_schema_is_one():
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == f"{name}.json"


def installed_schemas_are_the_served_ones():
    installed = {os.path.basename(path)[:-5]: path for path in glob.glob("schemas/*.json")}
    assert installed.keys() == schemas.keys()
    for name, path in installed.items():
        with open(path, encoding="utf-8") as file:
            assert json.load(file) == schemas[name], name


def each_object_is_closed():
    for name, schema in schemas.items():
        for where, part in parts(schema):
            if where.endswith("/kvm_other"):  # its names are the kernel's
                assert part["additionalProperties"]["type"] == "integer", name
            elif part.get("type") == "object":
                assert part["additionalProperties"] is False, (name, where)
                assert part["properties"], (name, where)
                assert set(part.get("required", ())) <= set(part["properties"]), (name, where)


def each_property_says_what_it_is():
    for name, schema in schemas.items():
        for where, part in parts(schema):
            for key, one in part.get("properties", {}).items():
                assert len(one.get("description", "")) > 1, (name, where, key)


def each_number_has_a_unit():
    units = set()
    for name, schema in schemas.items():
        for where, part in parts(schema):
            if part.get("type") in ("integer", "number"):
                assert part.get("x-unit"), (name, where)
                units.add(part["x-unit"])
    assert {"cycles", "ns", "bytes", "instructions", "one"} <= units


def ask(route, path, **how):
    """What @route answers under @path, which it is asked for with these headers and this body."""
    asked.add(f"{route['method']} {route['path']}")
    answer = umbrad.ask(path, route["method"], local=route["method"] == "PUT", **how)
    if answer.status >= 400:
        assert answer.type == "application/problem+json", (path, answer.type)
        validator("problem").validate(answer.json())
        assert answer.json()["status"] == answer.status
    elif "answer" in route:
        assert answer.type == "application/json", (path, answer.type)
        validator(route["answer"]).validate(answer.json())
    return answer


def paths_of(route):
    """The route's path with each id that there is, and one that there is not."""
    if route["path"].startswith("/schemas/"):
        ids = ["guest.json", "nothing"]
    else:
        ids = [*umbrad.guests, "nobody"]
    return [route["path"].replace("{id}", one) for one in ids] if "{id}" in route["path"] else \
        [route["path"]]


def gets():
    return [route for route in routes if route["method"] == "GET"]


def every_get_answers_as_its_schema_says():
    umbrad.wait_state("ends", "ended")
    wait_for(lambda: len(umbrad.guest("auto")["decisions"]) > 2, 30)
    wait_for(lambda: umbrad.guest("auto")["decisions"][0]["after"], 30)
    for route in gets():
        for path in paths_of(route):
            answer = ask(route, path)
            missing = path.endswith(("nobody", "nothing")) or "nobody/" in path
            if "translate" not in path:
                assert answer.status == (404 if missing else 200), (path, answer.status)


def every_query_answers_as_its_schema_says():
    route = next(one for one in gets() if one["path"].endswith("/decisions"))
    path = route["path"].replace("{id}", "auto")
    for query, status in (("limit=1", 200), ("limit=0", 200), ("before=3", 200),
                          ("limit=2&before=1000000", 200), ("limit=x", 400), ("limit=", 400),
                          ("before=-1", 400), ("limit=1&limit=1", 400), ("unheard=1", 400)):
        assert ask(route, f"{path}?{query}").status == status, query
    route = next(one for one in gets() if one["path"].endswith("/translate"))
    for guest, query, status in (("auto", "gva=0x1000", 200), ("two", "gva=0x0&cpu=1", 200),
                                 ("bare", "gva=0x400000&access=x&mode=bare", 200),
                                 ("auto", "gva=x", 400), ("auto", "", 400), ("ends", "gva=0x1", 409),
                                 ("lost", "gva=0x1", 409), ("auto", "gva=0x1&mode=fast", 422)):
        assert wait_for(lambda g=guest, q=query: not_too_often(
            ask(route, f"{route['path'].replace('{id}', g)}?{q}")), 20).status == status, query


def not_too_often(answer):
    return None if answer.status == 429 else answer


def queries_are_documented():
    for route in routes:
        known = [one["name"] for one in route["parameters"]]
        assert len(known) == len(set(known))
        if route["method"] == "PUT":
            continue
        path = paths_of(route)[0]
        for name in (*known, "unheard_of"):
            answer = umbrad.ask(f"{path}?{name}=x")
            refused = b"no such parameter" in answer.body
            assert refused == (name not in known), (path, name, answer.body)


def every_put_takes_and_answers_what_its_schema_says():
    bodies = {
        "mode_request": ([{"mode": "ept"}, {"mode": "shadow"}, {"policy": "advise"},
                          {"policy": "pinned"}],
                         [{}, {"mode": "fast"}, {"mode": "ept", "policy": "auto"}, {"mode": 1},
                          {"colour": "ept"}, {"policy": None}]),
        "host_request": ([{"frozen": True}, {"frozen": False}], [{}, {"frozen": 1}, {"cold": True}]),
    }
    for route in routes:
        if route["method"] != "PUT":
            continue
        good, bad = bodies[route["request"]]
        path = route["path"].replace("{id}", "two")
        for body in good:
            assert validator(route["request"]).is_valid(body), body
            assert ask(route, path, body=json.dumps(body)).status == 200, body
        for body in bad:
            assert not validator(route["request"]).is_valid(body), body
            assert ask(route, path, body=json.dumps(body)).status == 422, body
        for body, headers, status in ((b"[]", {}, 400), (b"{", {}, 400), (b" " * 5000, {}, 413),
                                      (b"{}", {"Content-Type": "text/plain"}, 415),
                                      (b"{}", {"Origin": "http://evil.example"}, 403)):
            assert ask(route, path, body=body, headers=headers).status == status, body
    switched = next(one for one in routes if one.get("request") == "mode_request")
    for guest, status in (("bare", 409), ("ends", 409), ("lost", 409), ("nobody", 404)):
        path = switched["path"].replace("{id}", guest)
        assert ask(switched, path, body='{"mode":"ept"}').status == status, guest


def every_problem_is_one():
    for path, how, status in (
            ("/nowhere", {}, 404), ("/metrics", {"method": "DELETE"}, 405),
            ("/metrics", {"headers": {"Host": "evil.example"}}, 421),
            ("/metrics", {"headers": {"Accept-Encoding": "*;q=0"}}, 406),
            ("/" + "a" * 2000, {}, 414), ("/%00", {}, 400),
            ("/api/v1/host", {"method": "PUT", "body": "{}"}, 403)):
        answer = umbrad.ask(path, **how)
        assert (answer.status, answer.type) == (status, "application/problem+json"), path
        validator("problem").validate(answer.json())


def guests_of_each_state_were_seen():
    seen = {guest["state"] for guest in umbrad.ask("/api/v1/guests").json()["guests"]}
    assert {"running", "ended", "failed"} <= seen, seen
    lost = umbrad.guest("lost")
    assert "instructions" not in lost and lost["collectors"][0]["state"].startswith("degraded: ")
    assert umbrad.guest("auto")["collectors"] == [{"name": "soft", "state": "ok"}]


def every_route_was_asked():
    assert asked == {f"{route['method']} {route['path']}" for route in routes}


if __name__ == "__main__":
    with umbrad:
        load()
        run_tests((
            each_schema_is_one,
            installed_schemas_are_the_served_ones,
            each_object_is_closed,
            each_property_says_what_it_is,
            each_number_has_a_unit,
            every_get_answers_as_its_schema_says,
            every_query_answers_as_its_schema_says,
            queries_are_documented,
            every_put_takes_and_answers_what_its_schema_says,
            every_problem_is_one,
            guests_of_each_state_were_seen,
            every_route_was_asked,
        ))
