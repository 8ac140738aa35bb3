// What others have to say about an answer: fields that are ours, cookies that are not the upstream's, interceptors, interruptions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using testing::answering;
using testing::FakeExchange;
using testing::kOk;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::Worker;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kEstablishing =
    "HTTP/1.1 200 OK\r\nX-Auth-Establish: e30\r\nSet-Cookie: theirs=1\r\nContent-Length: 2\r\n\r\nok";

const std::vector<std::string> kOurCookies{"__Host-session", "__Host-access", "session"};

// What a policy makes of an answer's fields.
Fields fields_of(const std::string& answer, const std::function<void(AnswerPolicy&)>& change) {
  ScriptedUpstream server({answering(answer)});
  Worker worker(server);
  FakeExchange exchange;
  auto pending = worker.begin(exchange, change);
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::answered);
  return exchange.fields;
}

class Interceptor final : public AnswerInterceptor {
 public:
  explicit Interceptor(bool relays) : relays_(relays) {}
  Task<bool> on_answer(const http::ResponseHead& head, std::vector<http::Field>& add) override {
    ++calls;
    status = head.status;
    for (const http::Field& field : head.fields) {
      if (field.name == "X-Auth-Establish") establishment = field.value;
    }
    if (during) during();
    if (executor) co_await yield_turn(*executor);
    add.push_back({"Set-Cookie", "added=1", http::FieldId::set_cookie});
    co_return relays_;
  }
  int calls = 0;
  int status = 0;
  std::string establishment;
  std::function<void()> during;
  std::optional<Executor> executor;

 private:
  bool relays_;
};

TEST(AnswerHook, AddsFieldsBehindThoseOfTheUpstream) {
  const std::vector<http::Field> ours{{"Set-Cookie", "__Host-access=new", http::FieldId::set_cookie},
                                      {"Set-Cookie", "__Host-refresh=new", http::FieldId::set_cookie}};
  const Fields fields = fields_of("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n", [&](AnswerPolicy& policy) {
    policy.add = ours;
    policy.our_cookies = kOurCookies;
  });
  const Fields expected{
      {"Set-Cookie", "a=1"}, {"X-Request-Id", "id-1"}, {"Set-Cookie", "__Host-access=new"}, {"Set-Cookie", "__Host-refresh=new"}};
  EXPECT_EQ(fields, expected) << "our own cookies are not subject to the check of theirs";
}

TEST(AnswerHook, F12_DropsAnUpstreamsSetCookieOfOurNames) {
  struct Row {
    const char* name;
    const char* line;
  };
  constexpr Row kRows[] = {
      {"exactly ours", "session=evil"},
      {"with attributes", "__Host-session=evil; Path=/; Secure"},
      {"spaces around the name", "  session  = evil"},
      {"a tab before the equals sign", "session\t=evil"},
      {"cleared", "session=; Max-Age=0"},
      {"without a value", "session"},
      {"a nameless cookie that comes back as ours", "=session=evil"},
      {"a nameless cookie with spaces", " = session=evil; Path=/"},
      {"the access cookie", "__Host-access=evil"},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    const Fields fields =
        fields_of("HTTP/1.1 200 OK\r\nSet-Cookie: " + std::string(row.line) + "\r\nSet-Cookie: other=1\r\nContent-Length: 0\r\n\r\n",
                  [](AnswerPolicy& policy) { policy.our_cookies = kOurCookies; });
    const Fields expected{{"Set-Cookie", "other=1"}, {"X-Request-Id", "id-1"}};
    EXPECT_EQ(fields, expected);
  }
}

TEST(AnswerHook, F12_KeepsEveryOtherSetCookieAsItCame) {
  const std::vector<std::string> kept{
      "a=1",
      "a=2; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
      "Session=theirs",
      "session2=theirs",
      "xsession=theirs",
      "other=session=1",
      "other=\"session\"; Comment=session=x",
      "__Host-Session=theirs",
      "",
      "weird;session=1",
  };
  std::string answer = "HTTP/1.1 200 OK\r\n";
  Fields expected;
  for (const std::string& line : kept) {
    answer += "Set-Cookie: " + line + "\r\n";
    expected.emplace_back("Set-Cookie", line);
  }
  expected.emplace_back("X-Request-Id", "id-1");
  const Fields fields = fields_of(answer + "Content-Length: 0\r\n\r\n", [](AnswerPolicy& policy) { policy.our_cookies = kOurCookies; });
  EXPECT_EQ(fields, expected);
}

TEST(AnswerHook, SaysThatAnUpstreamEstablishedUnasked) {
  struct Row {
    const char* name;
    std::string field;
    bool is_established;
  };
  const Row kRows[] = {
      {"the header", "X-Auth-Establish: e30\r\n", true},
      {"an alias of it", "x_auth.establish: e30\r\n", true},
      {"empty", "X-Auth-Establish:\r\n", true},
      {"named by Connection", "Connection: X-Auth-Establish\r\nX-Auth-Establish: e30\r\n", true},
      {"none", "X-Auth-Established: e30\r\n", false},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    ScriptedUpstream server({answering("HTTP/1.1 200 OK\r\n" + row.field + "Content-Length: 2\r\n\r\nok")});
    Worker worker(server);
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, ForwardStatus::answered);
    EXPECT_EQ(result.established_unasked, row.is_established);
    EXPECT_EQ(exchange.field("X-Auth-Establish"), "(none)");
  }
}

TEST(AnswerHook, ShowsTheInterceptorTheHeadAndRelaysWithWhatItAdds) {
  ScriptedUpstream server({answering(std::string(kEstablishing))});
  Worker worker(server);
  Interceptor interceptor(true);
  interceptor.executor = worker.context().get_executor();
  FakeExchange exchange;
  interceptor.during = [&] { EXPECT_FALSE(exchange.started()) << "nothing may have gone down yet"; };
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::answered);
  EXPECT_FALSE(result.established_unasked);
  EXPECT_EQ(interceptor.calls, 1);
  EXPECT_EQ(interceptor.status, 200);
  EXPECT_EQ(interceptor.establishment, "e30");
  EXPECT_EQ(exchange.written, "ok");
  const Fields expected{{"Set-Cookie", "theirs=1"}, {"X-Request-Id", "id-1"}, {"Set-Cookie", "added=1"}};
  EXPECT_EQ(exchange.fields, expected);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

TEST(AnswerHook, AnInterceptorIsAskedOnceWhateverCameBeforeTheAnswer) {
  ScriptedUpstream server({answering("HTTP/1.1 103 Early Hints\r\n\r\n" + std::string(kEstablishing))});
  Worker worker(server);
  Interceptor interceptor(true);
  FakeExchange exchange;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::answered);
  EXPECT_EQ(interceptor.calls, 1);
  EXPECT_EQ(interceptor.status, 200);
}

TEST(AnswerHook, AWithheldAnswerSendsNothingAndKeepsACleanConnection) {
  ScriptedUpstream server({answering(std::string(kEstablishing))});
  Worker worker(server);
  for (int i = 0; i < 3; ++i) {
    Interceptor interceptor(false);
    FakeExchange exchange;
    auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
    const ForwardResult result = worker.finish(*pending);
    EXPECT_EQ(result.status, ForwardStatus::withheld);
    EXPECT_EQ(result.upstream_status, 200);
    EXPECT_FALSE(exchange.started());
    EXPECT_FALSE(exchange.aborted);
    EXPECT_FALSE(exchange.closes);
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  EXPECT_EQ(server.connections(), 1);
  FakeExchange next;
  EXPECT_EQ(worker.forward(next).status, ForwardStatus::answered);
  EXPECT_EQ(next.written, "ok") << "nothing of a withheld answer may be left for the next request";
}

TEST(AnswerHook, AWithheldAnswerWaitsALittleForItsBody) {
  Worker* worker = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
    while (!peer.read_head().empty()) {
      peer.write("HTTP/1.1 200 OK\r\nX-Auth-Establish: e30\r\nContent-Length: 20000\r\n\r\n");
      worker->settle();
      peer.write(std::string(10'000, 'a'));
      worker->settle();
      peer.write(std::string(10'000, 'b'));
    }
  }});
  Worker owned(server);
  worker = &owned;
  for (int i = 0; i < 3; ++i) {
    Interceptor interceptor(false);
    FakeExchange exchange;
    auto pending = owned.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
    EXPECT_EQ(owned.finish(*pending).status, ForwardStatus::withheld);
    EXPECT_EQ(owned.upstream().idle_connections(), 1U);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(AnswerHook, AWithheldAnswerDoesNotWaitForAnEndlessBody) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.write("400\r\n" + std::string(1024, 'x') + "\r\n")) {
    }
  }});
  Worker worker(server);
  Interceptor interceptor(false);
  FakeExchange exchange;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::withheld);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Interruption, WhileAWithheldAnswerIsReadPast) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer.read_to_end();
  }});
  Worker worker(server);
  Interruption interruption;
  Interceptor interceptor(false);
  interceptor.during = [&] { boost::asio::post(worker.context(), [&] { interruption.fire(); }); };
  FakeExchange exchange;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) {
    policy.interceptor = &interceptor;
    policy.interruption = &interruption;
  });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::client_gone);
  EXPECT_TRUE(exchange.aborted);
}

TEST(AnswerHook, AWithheldAnswerWithABodyOnItsWayClosesTheConnection) {
  for (const std::string body : {"Content-Length: 100000\r\n\r\nbegun", "Transfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
                                 "Transfer-Encoding: chunked\r\n\r\nbroken", "\r\nuntil close"}) {
    SCOPED_TRACE(body);
    std::string rest = "not read";
    ScriptedUpstream server({[&](Peer& peer) {
      peer.read_head();
      peer.write("HTTP/1.1 200 OK\r\n" + body);
      rest = peer.read_to_end();
    }});
    {
      Worker worker(server);
      Interceptor interceptor(false);
      FakeExchange exchange;
      auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
      const ForwardResult result = worker.finish(*pending);
      EXPECT_EQ(result.status, ForwardStatus::withheld);
      EXPECT_EQ(result.detail, "");
      EXPECT_FALSE(exchange.started());
      EXPECT_FALSE(exchange.aborted) << "the client still gets its answer";
      EXPECT_EQ(worker.upstream().idle_connections(), 0U);
    }
    server.stop();
    EXPECT_EQ(rest, "") << "the connection was closed at once";
  }
}

TEST(AnswerHook, AnEarlyAnswerIsInterceptedBeforeAnythingGoesDown) {
  std::promise<void> answered;
  std::shared_future<void> has_answered = answered.get_future().share();
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write(kEstablishing);
    answered.set_value();
    peer.read_to_end();
  }});
  Worker worker(server);
  Interceptor interceptor(false);
  FakeExchange exchange(http::Method::post, "POST");
  exchange.sized_body(1'000'000);
  exchange.may_keep_reading = true;
  exchange.end_is_buffered = false;
  for (int i = 0; i < 100; ++i) {
    exchange.body.push_back({.bytes = std::string(1'000, 'x'), .before = [&] { has_answered.wait(); }});
  }
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interceptor = &interceptor; });
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::withheld);
  EXPECT_EQ(interceptor.calls, 1);
  EXPECT_FALSE(exchange.started());
  EXPECT_TRUE(exchange.closes) << "the rest of the body stays unread";
}

// ---- Interruptions --------------------------------------------------------------------------------------------------------------------

TEST(Interruption, EndsAForwardingThatWaitsForASilentUpstream) {
  std::string rest = "not read";
  std::promise<void> asked;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    asked.set_value();
    rest = peer.read_to_end();
  }});
  {
    Worker worker(server);
    FakeExchange exchange;
    Interruption interruption;
    auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interruption = &interruption; });
    std::future<void> was_asked = asked.get_future();
    worker.run_until([&] { return was_asked.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    EXPECT_FALSE(pending->result.has_value());
    interruption.fire();
    EXPECT_TRUE(exchange.aborted) << "at once, not when the upstream next says something";
    const ForwardResult result = worker.finish(*pending);
    EXPECT_EQ(result.status, ForwardStatus::client_gone);
    EXPECT_FALSE(exchange.started());
    EXPECT_EQ(worker.upstream().idle_connections(), 0U);
  }
  server.stop();
  EXPECT_EQ(rest, "");
}

TEST(Interruption, CutsAnAnswerThatHasBegun) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n");
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange;
  Interruption interruption;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interruption = &interruption; });
  worker.run_until([&] { return exchange.written == "event" && exchange.flushes > 0; });
  interruption.fire();
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::client_gone);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.finished) << "a cut answer must not look complete";
}

TEST(Interruption, AKeptConnectionThatIsInterruptedIsNotTriedAgain) {
  std::atomic<int> requests = 0;
  const ScriptedUpstream::Script script = [&](Peer& peer) {
    while (!peer.read_head().empty()) {
      if (++requests == 1) peer.write(kOk);
    }
  };
  ScriptedUpstream server({script, script});
  Worker worker(server);
  FakeExchange first;
  ASSERT_EQ(worker.forward(first).status, ForwardStatus::answered);
  FakeExchange exchange;
  Interruption interruption;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interruption = &interruption; });
  worker.run_until([&] { return requests == 2; });
  interruption.fire();
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::client_gone);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Interruption, FiredBeforehandAsksNobody) {
  ScriptedUpstream server({answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  Interruption interruption;
  interruption.fire();
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interruption = &interruption; });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::client_gone);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_EQ(server.connections(), 0);
}

TEST(Interruption, WhileTheInterceptorThinksNothingGoesDown) {
  ScriptedUpstream server({answering(std::string(kEstablishing))});
  Worker worker(server);
  Interruption interruption;
  Interceptor interceptor(true);
  interceptor.during = [&] { interruption.fire(); };
  interceptor.executor = worker.context().get_executor();
  FakeExchange exchange;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) {
    policy.interceptor = &interceptor;
    policy.interruption = &interruption;
  });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::client_gone);
  EXPECT_FALSE(exchange.started());
  EXPECT_TRUE(exchange.aborted);
}

TEST(Interruption, HasNoEffectOnceTheAnswerIsComplete) {
  ScriptedUpstream server({answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  Interruption interruption;
  auto pending = worker.begin(exchange, [&](AnswerPolicy& policy) { policy.interruption = &interruption; });
  EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::answered);
  interruption.fire();
  EXPECT_TRUE(interruption.fired());
  EXPECT_FALSE(exchange.aborted);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

}  // namespace
}  // namespace sallyport::upstream
