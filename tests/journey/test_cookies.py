"""Hazards F that concern tokens in cookies, through the whole gateway: what reads as our cookie, and what goes on to the service."""
from support.gateway import GatewayCase, main
from support.http_client import bearer


class Cookies(GatewayCase):
    def setUp(self):
        super().setUp()
        self.token = self.stand.token()

    def with_cookie(self, *values: str, target: str = "/api/x"):
        return self.ask("GET", target, *(f"Cookie: {value}" for value in values))

    def assert_no_credential(self, *values: str) -> None:
        with self.nothing_upstream():
            self.assert_problem(self.with_cookie(*values), 401)

    def test_F01_fields_that_hold_no_cookie_are_harmless(self):
        self.assertEqual(self.with_cookie(f"access_token={self.token}").status, 200)
        for value in (";", "=", ";;=;", ",;=", "   ", ";" * 8_000, "= ;= ;", "a", "a;b;c"):
            with self.subTest(value[:20]):
                self.assert_no_credential(value)
                self.assertEqual(self.with_cookie(value, target="/public/x").status, 200)

    def test_F02_two_cookies_of_our_name_are_refused(self):
        good, other = f"access_token={self.token}", f"access_token={self.stand.token(sub='bob')}"
        for name, values in {"one field": [f"{good}; {other}"], "two fields": [good, other], "good first": [f"{good}; access_token=bad"],
                             "good last": [f"access_token=bad; {good}"]}.items():
            with self.subTest(name), self.nothing_upstream():
                self.assertIn(self.with_cookie(*values).status, (400, 401))

    def test_F04_the_name_is_exact_and_the_value_unquoted(self):
        for value in (f"ACCESS_TOKEN={self.token}", f"Access_Token={self.token}", f'access_token="{self.token}"',
                      f'access_token="{self.token}\\""', f"$Version=1; $access_token={self.token}"):
            with self.subTest(value[:16]):
                self.assert_no_credential(value)

    def test_F05_foreign_bytes_in_the_value_are_refused(self):
        for character in (",", " ", "\x80", "\\", '"'):
            with self.subTest(repr(character)):
                self.assert_no_credential(f"access_token={self.token[:20]}{character}{self.token[20:]}")
        for character in ("\0", "\x01", "\x7f"):
            with self.subTest(repr(character)), self.nothing_upstream():
                self.assertEqual(self.with_cookie(f"access_token={self.token[:20]}{character}{self.token[20:]}").status, 400)

    def test_F06_only_the_exact_name_is_ours(self):
        for value in (f"xaccess_token={self.token}", f"access_token ={self.token}", f"\taccess_token2={self.token}",
                      f"=access_token={self.token}",
                      "access_token=", f"access_tokenx={self.token}"):
            with self.subTest(value[:16]):
                self.assert_no_credential(value)
        self.assertEqual(self.with_cookie(f"other=1; access_token={self.token}; last=2").status, 200)

    def test_F07_cookies_over_the_limit_are_431(self):
        self.assertEqual(self.with_cookie("; ".join(f"c{number:03}={'x' * 34}" for number in range(180)), target="/public/x").status, 200)
        with self.nothing_upstream():
            self.assert_problem(self.with_cookie("a=" + "x" * 17_000, target="/public/x"), 431)

    def test_F09_our_cookie_stays_here_and_the_others_arrive_untouched(self):
        others = 'theme=dark; q="quoted"; empty=; __Host-x=1'
        for value in (f"access_token={self.token}; {others}", f"{others}; access_token={self.token}",
                      f"theme=dark; access_token={self.token}; q=\"quoted\"; empty=; __Host-x=1"):
            self.assertEqual(self.with_cookie(value).status, 200)
            seen = self.oracle.last
            self.assertEqual(seen.header("Cookie"), others)
            self.assertNotIn(self.token.encode(), seen.raw_head)
        self.assertEqual(self.with_cookie(f"access_token={self.token}").status, 200)
        self.assertEqual(self.oracle.last.all("Cookie"), [])
        self.assertEqual(self.with_cookie(f"{others}; access_token={self.token}", target="/public/x").status, 200)
        self.assertEqual(self.oracle.last.header("Cookie"), others)

    def test_F09_a_route_may_pass_credentials_on(self):
        self.assertEqual(self.ask("GET", "/passing/x", bearer(self.token)).status, 200)
        self.assertEqual(self.oracle.last.header("Authorization"), f"Bearer {self.token}")
        self.assertEqual(self.with_cookie(f"access_token={self.token}", target="/passing/x").status, 200)
        self.assertEqual(self.oracle.last.header("Cookie"), f"access_token={self.token}")

    def test_F12_set_cookie_lines_of_the_service_stay_apart(self):
        self.oracle.answer = lambda *_: b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2, c\r\nContent-Length: 0\r\n\r\n"
        response = self.ask("GET", "/public/x")
        self.assertEqual(response.all("Set-Cookie"), ["a=1; Path=/", "b=2, c"])


if __name__ == "__main__":
    main()
