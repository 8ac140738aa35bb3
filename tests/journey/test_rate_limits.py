"""Rate limits, networks and overload through the whole gateway."""
import time
import unittest

from support.gateway import GatewayCase
from support.http_client import ask_together, request
from support.sessions import SessionCase

LIMIT = {"requests": 3, "per": "1h"}


def route(name: str, access: str = "public", **rules) -> dict:
    return {"name": name, "match": {"path": f"/{name}/**"}, "access": access, "upstream": "service"} | rules


class RateLimits(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        for listener in configuration["listeners"]:
            if listener["name"] == "plain":
                listener["trusted_proxies"] = ["127.0.0.1"]
        policies["routes"] += [
            route("by-address", rate_limits=[{"by": "address"} | LIMIT]),
            route("by-client", rate_limits=[{"by": "address"} | LIMIT]),
            route("dodging", rate_limits=[{"by": "address"} | LIMIT]),
            route("by-subject", "authenticated", rate_limits=[{"by": "subject"} | LIMIT]),
            route("by-route", "authenticated", rate_limits=[{"by": "route"} | LIMIT]),
            route("failing", "authenticated", rate_limits=[{"by": "failed_authentication"} | LIMIT]),
            route("sign-in", rate_limits=[{"by": "failed_authentication"} | LIMIT]),
            route("half-read", rate_limits=[{"by": "failed_authentication"} | LIMIT]),
            route("at-once", rate_limits=[{"by": "failed_authentication"} | LIMIT]),
            route("preflighted", "authenticated", cors="pass", rate_limits=[{"by": "route"} | LIMIT]),
            route("refilled", rate_limits=[{"by": "address", "requests": 1000, "per": "1s", "burst": 1}]),
            route("denied", deny=["127.0.0.0/8"], allow=["0.0.0.0/0"]),
            route("elsewhere", allow=["192.0.2.0/24"]),
            route("here", allow=["127.0.0.1"]),
        ]

    def statuses(self, count: int, target: str, *headers: str, **options) -> list[int]:
        return [self.ask("GET", target, *headers, **options).status for _ in range(count)]

    def test_an_address_gets_its_requests_and_then_429(self):
        answers = [self.ask("GET", "/by-address/x") for _ in range(5)]
        self.assertEqual([each.status for each in answers], [200, 200, 200, 429, 429])
        self.assertEqual([each.header("RateLimit-Remaining") for each in answers], ["2", "1", "0", "0", "0"])
        self.assertEqual(answers[0].header("RateLimit-Limit"), "3")
        refused = answers[-1]
        self.assertLessEqual(1190, int(refused.header("Retry-After")))
        self.assertLessEqual(int(refused.header("Retry-After")), 1200)
        self.assertEqual(refused.header("Content-Type"), "application/problem+json")
        self.assertEqual(len(self.oracle.seen), 3)
        self.assertEqual(self.gateway.metrics()['sallyport_rate_limited_total{route="by-address",by="address"}'], 2)
        self.gateway.wait_for_line("audit", lambda line: line["reason"] == "rate_limited" and line["route"] == "by-address")

    def test_m10_forwarding_headers_do_not_dodge_the_limit(self):
        statuses = [self.ask("GET", "/dodging/x", f"X-Forwarded-For: 198.51.100.{i}", f"Forwarded: for=198.51.100.{i}",
                             f"X-Real-IP: 198.51.100.{i}").status for i in range(6)]
        self.assertEqual(statuses, [200, 200, 200, 429, 429, 429])

    def test_m10_behind_a_trusted_proxy_the_client_is_limited_not_the_proxy(self):
        for client in ("198.51.100.1", "198.51.100.2"):
            # What stands to the left of the hop that the proxy saw is anybody's word.
            statuses = [self.ask("GET", "/by-client/x", f"X-Forwarded-For: 203.0.113.{i}, {client}", tls=False).status for i in range(5)]
            self.assertEqual(statuses, [200, 200, 200, 429, 429], client)

    def test_m10_an_ipv6_network_is_one_client(self):
        statuses = [self.ask("GET", "/by-client/x", f"X-Forwarded-For: 2001:db8:1:2::{i}", tls=False).status for i in range(1, 6)]
        self.assertEqual(statuses, [200, 200, 200, 429, 429])

    def test_a_subject_is_limited_and_another_is_not(self):
        alice, bob = self.stand.token(sub="alice"), self.stand.token(sub="bob")
        self.assertEqual(self.statuses(4, "/by-subject/x", token=alice), [200, 200, 200, 429])
        self.assertEqual(self.statuses(1, "/by-subject/x", token=bob), [200])

    def test_who_may_not_use_a_route_does_not_use_it_up(self):
        self.assertEqual(self.statuses(9, "/by-route/x"), [401] * 9)
        self.assertEqual(self.statuses(4, "/by-route/x", token=self.stand.token()), [200, 200, 200, 429])

    def test_failed_authentication_is_limited_before_any_verification_and_successes_do_not_count(self):
        good = self.stand.token()
        self.assertEqual(self.statuses(6, "/failing/x", token=good), [200] * 6)
        self.assertEqual(self.statuses(4, "/failing/x", token=good[:-8] + "AAAAAAAA"), [401, 401, 401, 429])
        self.assertEqual(self.statuses(1, "/failing/x", token=good), [429], "the address is refused, whatever it shows")

    def test_sign_ins_that_the_service_refuses_count(self):
        self.oracle.answer = lambda *_: b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        self.assertEqual(self.statuses(4, "/sign-in/x"), [401, 401, 401, 429])

    def test_who_leaves_with_the_head_of_a_refusal_has_failed_too(self):
        def only_a_head(_, connection):
            connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 20\r\n\r\nno")
            time.sleep(0.3)  # the client is gone by then
            return b"x" * 18
        self.oracle.answer = only_a_head
        statuses = []
        for _ in range(4):
            with self.stand.connect() as connection:
                connection.send(request("GET", "/half-read/x"))
                statuses.append(connection.read_head().status)
        self.assertEqual(statuses, [401, 401, 401, 429])

    def answers_at_once(self, count: int, client: str) -> list[int]:
        """All of them are sent before the upstream has answered one."""
        asked = request("GET", "/at-once/x", f"X-Forwarded-For: {client}")
        return sorted(each.status for each in ask_together([self.stand.plain_address], [asked] * count))

    def test_guesses_at_once_are_no_more_than_guesses_in_turn(self):
        def refuse(*_):
            time.sleep(0.3)
            return b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        self.oracle.answer = refuse
        self.assertEqual(self.answers_at_once(20, "198.51.100.1"), [401] * 3 + [429] * 17)
        self.assertEqual(len(self.oracle.seen), 3)

    def test_good_requests_at_once_wait_for_each_other_and_pass(self):
        def answer(*_):
            time.sleep(0.1)
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.oracle.answer = answer
        self.assertEqual(self.answers_at_once(9, "198.51.100.2"), [200] * 9)

    def test_preflights_that_the_upstream_answers_are_limited_and_use_up_nothing_else(self):
        preflight = ("Origin: https://app.example", "Access-Control-Request-Method: GET")
        statuses = [self.ask("OPTIONS", "/preflighted/x", *preflight).status for _ in range(5)]
        self.assertEqual(statuses, [200, 200, 200, 429, 429])
        self.assertEqual(self.statuses(4, "/preflighted/x", token=self.stand.token()), [200, 200, 200, 429])

    def test_a_bucket_fills_again(self):
        self.assertEqual(self.ask("GET", "/refilled/x").status, 200)
        self.assertEqual(self.ask("GET", "/refilled/x").status, 200)

    def test_routes_without_limits_say_nothing(self):
        self.assertIsNone(self.ask("GET", "/public/x").header("RateLimit-Limit"))

    def test_networks_are_judged_before_credentials(self):
        self.assertEqual(self.ask("GET", "/denied/x").status, 403)
        self.assertEqual(self.ask("GET", "/elsewhere/x").status, 403)
        self.assertEqual(len(self.oracle.seen), 0)
        self.assertEqual(self.ask("GET", "/here/x").status, 200)


class LimitsOfEveryRoute(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["rate_limits"] = [{"by": "address", "requests": 4, "per": "1h"}]

    def test_every_request_counts_own_endpoints_and_unknown_paths_too(self):
        statuses = [self.ask("GET", target).status for target in
                    ("/public/a", "/nowhere", "/.gateway/session", "/optional/a", "/public/b", "/nowhere", "/.gateway/session")]
        self.assertEqual(statuses, [200, 404, 401, 200, 429, 429, 429])


class ExactLimits(SessionCase):
    """Two gateways over one Redis."""
    redis_options, replicas = [], 1

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        policies["routes"] += [
            route("exact", "authenticated", rate_limits=[{"by": "subject", "exact": True} | LIMIT]),
            route("exact-failing", "authenticated", rate_limits=[{"by": "failed_authentication", "exact": True} | LIMIT]),
            route("own-count", "authenticated", rate_limits=[{"by": "subject"} | LIMIT]),
        ]

    def turns(self, target: str, token: str, count: int) -> list[int]:
        return [self.with_token(token, target, gateway).status for _, gateway in zip(range(count), self.stand.gateways * count)]

    def test_gateways_that_share_a_redis_count_together(self):
        alice, bob = self.stand.token(sub="alice"), self.stand.token(sub="bob")
        self.assertEqual(self.turns("/exact/x", alice, 6), [200, 200, 200, 429, 429, 429])
        self.assertEqual(self.turns("/exact/x", bob, 1), [200])
        self.assertEqual(self.turns("/own-count/x", alice, 8), [200] * 6 + [429] * 2)
        self.assertNotIn(b"alice", b"".join(self.redis.keys("*rate*")))

    def test_failed_authentication_is_counted_together(self):
        good = self.stand.token()
        self.assertEqual(self.turns("/exact-failing/x", good[:-8] + "AAAAAAAA", 6), [401, 401, 401, 429, 429, 429])

    def test_without_its_redis_a_gateway_decides_alone_and_says_so(self):
        carol = self.stand.token(sub="carol")
        self.redis.pause()
        try:
            statuses = [self.with_token(carol, "/exact/x").status for _ in range(5)]
        finally:
            self.redis.resume()
        self.assertEqual(statuses, [200, 200, 200, 429, 429])
        self.assertEqual(self.metric("sallyport_rate_limit_decided_alone_total", route="exact"), 3)
        self.wait_for_store()


class Overload(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["overload"] = {"requests": 1, "memory": "1GiB"}

    def test_one_request_too_many_is_refused_fast_and_the_other_ends(self):
        with self.stand.connect() as slow:
            # Its body never comes, so it stays under way.
            slow.send(b"POST /public/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
            answer = self.wait_for_refusal()
            self.assertIsNotNone(answer.header("Retry-After"))
            slow.send(b"hello")
            self.assertEqual(slow.read_response("POST").status, 200)
        self.assertEqual(self.ask("GET", "/public/after").status, 200)
        self.assertGreaterEqual(self.gateway.metrics()['sallyport_overload_refused_total{reason="requests"}'], 1)

    def wait_for_refusal(self):
        for _ in range(200):
            answer = self.ask("GET", "/public/x")
            if answer.status == 503:
                return answer
        raise AssertionError("nobody was refused")


if __name__ == "__main__":
    unittest.main()
