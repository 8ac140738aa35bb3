"""What must hold when everything happens at once: two gateways, one Redis, many requests, and gateways that are killed in the middle.

SALLYPORT_RACE_ROUNDS (default 3) and SALLYPORT_RACE_REQUESTS (default 200) make it longer; SALLYPORT_RACE_SEED repeats the random points
of a run.
"""
import json
import os
import random
import threading
import time

from support.gateway import PATIENCE, main
from support.http_client import Closed, Connection, Response, ask_together, bearer, request
from support.sessions import (ACCESS, FORM, REFRESH, SESSION, SessionCase, claims_within, family_handle, form, generation_of, set_cookies,
                              sign_in_body)

ROUNDS = int(os.environ.get("SALLYPORT_RACE_ROUNDS", 3))
REQUESTS = int(os.environ.get("SALLYPORT_RACE_REQUESTS", 200 // PATIENCE))
SEED = int(os.environ.get("SALLYPORT_RACE_SEED", time.time_ns() % 1_000_000))


class RaceCase(SessionCase):
    redis_options, replicas = ["appendonly yes", "appendfsync always"], 1

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)


class RefreshRace(RaceCase):
    def test_H02_an_expired_access_cookie_everywhere_at_once_is_one_rotation(self):
        """Acceptance 3: 1 rotation, 0 refused users, every answer carries the same successor."""
        for number in range(ROUNDS):
            with self.subTest(f"round {number}, seed {SEED}"):
                browser = self.sign_in_with_tokens(f"racer-{number}")
                self.expire_access(browser)
                rotated = sum(self.metric("sallyport_refresh_total", gateway, result="rotated") for gateway in self.stand.gateways)
                data = request("GET", "/api/race", *browser.lines())
                answers = ask_together(self.addresses(), [data] * REQUESTS)
                self.assertEqual({answer.status for answer in answers}, {200})
                for answer in answers:
                    self.assert_subject(answer, f"racer-{number}")
                self.assertEqual(len({claims_within(set_cookies(answer)[ACCESS].value)["jti"] for answer in answers}), 1)
                successors = {set_cookies(answer)[REFRESH].value for answer in answers}
                self.assertEqual(len(successors), 1)
                successor = successors.pop()
                self.assertEqual(generation_of(successor), 2)
                now = sum(self.metric("sallyport_refresh_total", gateway, result="rotated") for gateway in self.stand.gateways)
                self.assertEqual(now - rotated, 1)
                self.refreshed(successor, self.stand.gateways[number % 2])

    def test_H06_H07_a_gateway_killed_at_a_random_point_locks_nobody_out(self):
        """The second gateway is killed while 2 x REQUESTS refresh at both; whoever lost an answer tries again at the first."""
        for number in range(ROUNDS):
            pairs = [self.token_pair(f"killed-{number}-{each}") for each in range(20)]
            bodies = [form(grant_type="refresh_token", refresh_token=pair["refresh_token"]) for pair in pairs]
            killer = threading.Timer(self.random.uniform(0, 0.12), self.other.kill)
            answers: dict[int, list[Response]] = {each: [] for each in range(20)}

            def ask(at: int) -> None:
                each, address = at % 20, self.addresses()[at % 2]
                try:
                    with Connection(address, timeout=20) as connection:
                        answers[each].append(connection.ask("POST", "/.gateway/refresh", FORM, body=bodies[each]))
                except (OSError, Closed):
                    pass  # the killed one's; the retry below is its client
            threads = [threading.Thread(target=ask, args=(at,)) for at in range(REQUESTS)]
            killer.start()
            for thread in threads:
                thread.start()
            for thread in [*threads, killer]:
                thread.join()
            for each, pair in enumerate(pairs):
                with self.subTest(f"round {number}, family {each}, seed {SEED}"):
                    retried = self.refresh_by_form(pair["refresh_token"])
                    got = [json.loads(answer.body)["refresh_token"] for answer in [*answers[each], retried]
                           if self.assertEqual(answer.status, 200, answer.body) is None]
                    self.assertEqual(len(set(got)), 1, "two live successors")
                    self.assertEqual(generation_of(got[0]), 2)
                    self.refreshed(got[0])
            self.other.start()

    def test_H11_a_store_killed_at_a_random_point_spends_nothing_twice(self):
        """Redis is killed while everybody refreshes, and comes back: each family has one successor, and nobody was refused."""
        for number in range(ROUNDS):
            pairs = [self.token_pair(f"outage-{number}-{each}") for each in range(20)]
            bodies = [form(grant_type="refresh_token", refresh_token=pair["refresh_token"]) for pair in pairs]
            got: list[set] = [set() for _ in pairs]
            odd: list = []

            def ask(at: int) -> None:
                each = at % len(pairs)
                with Connection(self.addresses()[at % 2], timeout=20) as connection:
                    answer = connection.ask("POST", "/.gateway/refresh", FORM, body=bodies[each])
                if answer.status == 200:
                    got[each].add(json.loads(answer.body)["refresh_token"])
                elif answer.status != 503:
                    odd.append((each, answer.status, answer.body))
            killer = threading.Timer(self.random.uniform(0, 0.1), self.redis.kill)
            threads = [threading.Thread(target=ask, args=(at,)) for at in range(REQUESTS)]
            killer.start()
            for thread in threads:
                thread.start()
            for thread in [*threads, killer]:
                thread.join()
            self.redis.start()
            for each, pair in enumerate(pairs):
                with self.subTest(f"round {number}, family {each}, seed {SEED}"):
                    answer = self.eventually(lambda: (found := self.refresh_by_form(pair["refresh_token"])).status != 503 and found,
                                             "an answer", 3)
                    got[each].add(self.assert_token_response(answer)["refresh_token"])
                    self.assertEqual(len(got[each]), 1, "two live successors")
                    self.assertEqual(generation_of(next(iter(got[each]))), 2)
            self.assertEqual(odd, [], f"seed {SEED}")
            self.wait_for_store()

    def test_H04_H05_theft_is_the_end_on_both(self):
        """Acceptance 4: inside the window the same successor, two generations old the end, on both gateways, audited once."""
        for number in range(ROUNDS):
            first = self.token_pair(f"theft-{number}")
            second = self.refreshed(first["refresh_token"])
            data = request("POST", "/.gateway/refresh", FORM, body=form(grant_type="refresh_token", refresh_token=first["refresh_token"]))
            again = ask_together(self.addresses(), [data] * 20)
            self.assertEqual({json.loads(answer.body).get("refresh_token") for answer in again}, {second["refresh_token"]})
            third = self.refreshed(second["refresh_token"], self.other)
            stolen = ask_together(self.addresses(), [data] * 20)
            for answer in stolen:
                self.assert_invalid_grant(answer)
            for gateway in self.stand.gateways:
                for pair in (first, second, third):
                    self.eventually(lambda: self.with_token(pair["access_token"], gateway=gateway).status == 401, "the family's end", 0.5)
                    self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"], gateway))
            time.sleep(0.3)
            told = [line for gateway in self.stand.gateways for line in gateway.log_lines("audit")
                    if "reused" in json.dumps(line) and family_handle(first["refresh_token"]) in json.dumps(line)]
            self.assertEqual(len(told), 1)

    def test_R05_kills_at_random_points_leave_the_store_whole(self):
        """Sessions, families and revocations that were acknowledged before a kill -9 are there after it."""
        for number in range(ROUNDS):
            acknowledged, stop = {"session": [], "family": [], "revoked": []}, threading.Event()

            def work(index: int) -> None:
                address = self.other.addresses["plain"]
                count = 0
                while not stop.is_set():
                    count += 1
                    name = f"r05-{number}-{index}-{count}"
                    try:
                        with Connection(address, timeout=20) as connection:
                            answer = connection.ask("POST", "/login", body=sign_in_body({"sub": name}))
                            acknowledged["session"].append((name, set_cookies(answer)[SESSION].value))
                            pair = json.loads(connection.ask("POST", "/token", body=sign_in_body({"sub": name})).body)
                            acknowledged["family"].append(pair)
                            gone = connection.ask("POST", "/login", body=sign_in_body({"sub": name}))
                            cookie = set_cookies(gone)[SESSION].value
                            if connection.ask("POST", "/.gateway/logout", f"Cookie: {SESSION}={cookie}",
                                              "Sec-Fetch-Site: same-origin").status == 204:
                                acknowledged["revoked"].append(cookie)
                    except (OSError, Closed, KeyError):
                        return
            threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(self.random.uniform(0.2, 0.6) * PATIENCE)
            self.other.kill()
            stop.set()
            for thread in threads:
                thread.join()
            began = time.monotonic()
            self.other.start()
            self.assertLess(time.monotonic() - began, 3 * PATIENCE)
            self.assertTrue(all(acknowledged.values()), "nothing was done before the kill")
            for gateway in self.stand.gateways:
                for name, cookie in acknowledged["session"]:
                    self.assert_subject(self.with_session(cookie, gateway=gateway), name)
                for cookie in acknowledged["revoked"]:
                    self.assertEqual(self.with_session(cookie, gateway=gateway).status, 401)
            for pair in acknowledged["family"]:
                self.refreshed(pair["refresh_token"])


class Mixed(RaceCase):
    def test_N09_clients_that_leave_never_get_or_cause_anothers_answer(self):
        """Each answer's identity is compared with its credential; half of the requests are cut off at a random byte or moment. The long
        form is load-tests/sessions/identity.py."""
        people = {}
        for number in range(24):
            name = f"person-{number}"
            people[name] = [f"Cookie: {SESSION}={self.sign_in(name).session}", bearer(self.token_pair(name)["access_token"])]
        wrong, served, stop_at = [], [0], time.monotonic() + (4 + ROUNDS) * PATIENCE

        def work(index: int) -> None:
            rng, connection = random.Random(SEED + index), None
            address = self.addresses()[index % 2]
            while time.monotonic() < stop_at:
                name = rng.choice(list(people))
                data = request("GET", f"/api/{name}", rng.choice(people[name]))
                try:
                    connection = connection or Connection(address, timeout=20)
                    if rng.random() < 0.5:
                        connection.send(data[:rng.randrange(1, len(data) + 1)])
                        if rng.random() < 0.5:
                            time.sleep(rng.random() * 0.003)
                        connection.close()
                        connection = None
                        continue
                    answer = connection.ask("GET", f"/api/{name}", data.decode().split("\r\n")[2])
                    seen = {key.lower(): value for key, value in json.loads(answer.body).get("headers", [])}
                    served[0] += 1
                    if answer.status != 200 or seen.get("x-auth-subject") != name:
                        wrong.append((name, answer.status, seen.get("x-auth-subject")))
                except (OSError, Closed) as error:
                    wrong.append((name, repr(error)))
                    connection = None
        churn_stop = threading.Event()

        def churn() -> None:  # keeps the store busy: nothing stays warm
            while not churn_stop.is_set():
                for key in self.redis.keys("*"):
                    if self.random.random() < 0.2:
                        self.redis.command("PEXPIRE", key, 3_600_000)
                time.sleep(0.01)
        threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
        churner = threading.Thread(target=churn)
        for thread in [*threads, churner]:
            thread.start()
        for thread in threads:
            thread.join()
        churn_stop.set()
        churner.join()
        self.assertEqual(wrong, [])
        self.assertGreater(served[0], 200)
        self.assertTrue(all(seen.header("X-Auth-Subject") == seen.target.rpartition("/")[2]
                            for seen in self.oracle.seen if seen.target.startswith("/api/person-")), "a service saw another's identity")


if __name__ == "__main__":
    print(f"SALLYPORT_RACE_SEED={SEED}", flush=True)
    main()
