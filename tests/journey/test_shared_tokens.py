"""Hazards H with two gateways over one Redis: the script decides."""
import json
import time

from support.gateway import main
from support.http_client import ask_together, request
from support.sessions import ACCESS, FORM, SessionCase, claims_within, family_handle, form, generation_of


class SharedFamilies(SessionCase):
    """Two gateways, one Redis: the script decides."""
    redis_options, replicas = [], 1

    def test_H02_many_at_once_on_both_rotate_once(self):
        for number in range(3):
            pair = self.token_pair(f"spread-{number}")
            data = request("POST", "/.gateway/refresh", FORM, body=form(grant_type="refresh_token", refresh_token=pair["refresh_token"]))
            answers = ask_together(self.addresses(), [data] * 100)
            self.assertEqual([answer.status for answer in answers], [200] * 100)
            self.assertEqual(len({json.loads(answer.body)["refresh_token"] for answer in answers}), 1)
            self.assertEqual(len({claims_within(json.loads(answer.body)["access_token"])["jti"] for answer in answers}), 1)
            self.assertEqual(generation_of(json.loads(answers[0].body)["refresh_token"]), 2)

    def test_a_pair_of_one_is_a_pair_of_both(self):
        pair = self.token_pair("both")
        for number in range(6):
            gateway = self.stand.gateways[number % 2]
            self.assert_subject(self.with_token(pair["access_token"], gateway=gateway), "both")
            pair = self.refreshed(pair["refresh_token"], gateway)
        self.assertEqual(generation_of(pair["refresh_token"]), 7)

    def test_H03_H05_the_window_and_its_end_hold_on_both(self):
        first = self.token_pair("shared")
        second = self.refreshed(first["refresh_token"])
        self.assertEqual(self.refreshed(first["refresh_token"], self.other)["refresh_token"], second["refresh_token"])
        third = self.refreshed(second["refresh_token"], self.other)
        self.assert_invalid_grant(self.refresh_by_form(first["refresh_token"], self.other))
        for gateway in self.stand.gateways:
            for pair in (first, second, third):
                self.eventually(lambda: self.with_token(pair["access_token"], gateway=gateway).status == 401, "the end of the family", 0.5)
                self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"], gateway))
        for _ in range(3):
            self.assert_invalid_grant(self.refresh_by_form(first["refresh_token"]))
        time.sleep(0.3)
        told = [line for gateway in self.stand.gateways for line in gateway.log_lines("audit")
                if "reused" in json.dumps(line) and family_handle(first["refresh_token"]) in json.dumps(line)]
        self.assertEqual(len(told), 1, "one theft, one audit line")

    def test_H14_a_logout_that_races_a_refresh_wins(self):
        for number in range(10):
            browser = self.sign_in_with_tokens(f"racing-{number}")
            refresh = request("POST", "/.gateway/refresh", FORM,
                              body=form(grant_type="refresh_token", refresh_token=browser.refresh))
            logout = request("POST", "/.gateway/logout", *browser.lines(), body=b"")
            answers = ask_together(self.addresses(), [refresh, logout] * 2 if number % 2 else [logout, refresh] * 2)
            self.assertIn(204, [answer.status for answer in answers])
            handed_out = [json.loads(answer.body) for answer in answers if answer.status == 200]
            for pair in [*handed_out, {"refresh_token": browser.refresh, "access_token": browser.cookies[ACCESS]}]:
                for gateway in self.stand.gateways:
                    self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"], gateway))
                    self.eventually(lambda: self.with_token(pair["access_token"], gateway=gateway).status == 401, "the logout", 0.5)

    def test_H16_a_store_that_forgot_a_rotation_gives_no_second_life(self):
        first = self.token_pair("failover")
        before = self.redis.dump()
        family = family_handle(first["refresh_token"]).encode()
        second = self.refreshed(first["refresh_token"])
        self.redis.restore(before, lambda key: family in key)  # as after a failover that lost the last write
        self.assert_invalid_grant(self.refresh_by_form(second["refresh_token"]))  # never given out, says the store
        self.assert_invalid_grant(self.refresh_by_form(first["refresh_token"], self.other))
        self.eventually(lambda: self.with_token(second["access_token"], gateway=self.other).status == 401, "the end of the family", 0.5)

    def test_H16_a_store_that_forgot_a_rotation_lets_the_retry_through(self):
        first = self.token_pair("retrying")
        before = self.redis.dump()
        family = family_handle(first["refresh_token"]).encode()
        second = self.refreshed(first["refresh_token"])  # the answer was lost, and so was the write
        self.redis.restore(before, lambda key: family in key)
        self.assertEqual(self.refreshed(first["refresh_token"], self.other)["refresh_token"], second["refresh_token"])


if __name__ == "__main__":
    main()
