#include "pipeline/live_exchanges.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <deque>
#include <new>

#include "gateway.hpp"
#include "support/allocations.hpp"
#include "support/identity_builder.hpp"

namespace sallyport::pipeline {
namespace {

using namespace std::chrono_literals;
using sallyport::testing::IdentityBuilder;

// An exchange that is under way for as long as it lives.
struct Long {
  Long(TestWorker& worker, identity::IdentityPtr identity) : entry(worker.live, std::move(identity), peer, interruption) {}
  http::Peer peer;
  upstream::Interruption interruption;
  LiveExchanges::Entry entry;
  [[nodiscard]] bool ended() const { return interruption.fired(); }
};

class LiveExchangesTest : public ::testing::Test {
 protected:
  // As the worker does twice, and whatever was asked meanwhile.
  void look(int times = 2) {
    for (int i = 0; i < times; ++i) {
      worker_.live.look_through();
      worker_.context.restart();
      worker_.context.poll();
    }
  }
  void revoke(store::Revocation::Kind kind, std::string value) {
    worker_.clock.advance(10ms);
    store::Revocation revocation;
    revocation.kind = kind;
    revocation.value = std::move(value);
    revocation.keep_for = 1h;
    ASSERT_TRUE(worker_.run(worker_.store.revoke(std::move(revocation))));
    worker_.clock.advance(10ms);
  }
  identity::IdentityPtr jwt(std::string subject = "alice") {
    return IdentityBuilder().subject(std::move(subject)).issued_at(testing::kNow).token_id("id-1").build();
  }
  identity::IdentityPtr session_identity(const std::string& cookie) {
    auto settings = std::make_shared<const authenticate::SessionSettings>();
    return std::get<identity::IdentityPtr>(worker_.run(worker_.sessions.ask_own(cookie, settings)).outcome);
  }

  identity::IdentityPtr token_identity(const issue::EdgeKeysPtr& edge, const issue::TokenPair& pair) {
    const auto plan = authenticate::make_default_plan({edge->issuer()}, std::make_shared<authenticate::SessionSettings>());
    const identity::AuthOutcome outcome = worker_.tokens.authenticate({pair.access, 1, false}, plan, worker_.clock.wall_now());
    return std::get<identity::IdentityPtr>(outcome);
  }

  TestWorker worker_;
};

TEST_F(LiveExchangesTest, KnowsThoseThatAreUnderWay) {
  EXPECT_EQ(worker_.live.size(), 0U);
  {
    const Long one(worker_, jwt());
    {
      const Long two(worker_, jwt());
      const Long three(worker_, jwt());
      EXPECT_EQ(worker_.live.size(), 3U);
    }
    EXPECT_EQ(worker_.live.size(), 1U);
  }
  EXPECT_EQ(worker_.live.size(), 0U);
}

TEST_F(LiveExchangesTest, LetsThemBeWhileTheirCallersStand) {
  const Long by_token(worker_, jwt());
  const Long by_session(worker_, session_identity(worker_.sign_in()));
  look(5);
  EXPECT_FALSE(by_token.ended());
  EXPECT_FALSE(by_session.ended());
}

TEST_F(LiveExchangesTest, EndsThoseWhoseIdentityHasExpired) {
  const Long long_lived(worker_, jwt());
  const Long short_lived(worker_, IdentityBuilder().expires_at(testing::kNow + 1min).build());
  worker_.clock.advance(1min - 1ms);
  look();
  EXPECT_FALSE(short_lived.ended());
  worker_.clock.advance(1ms);
  look(1);
  EXPECT_TRUE(short_lived.ended());
  EXPECT_FALSE(long_lived.ended());
}

TEST_F(LiveExchangesTest, EndsThoseWhoseSubjectOrTokenIsRevoked) {
  const Long alice(worker_, jwt());
  const Long bob(worker_, IdentityBuilder().subject("bob").issued_at(testing::kNow).token_id("id-2").build());
  const Long carol(worker_, IdentityBuilder().subject("carol").issued_at(testing::kNow).token_id("id-3").build());
  look();
  revoke(store::Revocation::Kind::subject, "alice");
  look(1);
  EXPECT_TRUE(alice.ended());
  EXPECT_FALSE(bob.ended());
  revoke(store::Revocation::Kind::token_id, "id-2");
  look(1);
  EXPECT_TRUE(bob.ended());
  EXPECT_FALSE(carol.ended());
  revoke(store::Revocation::Kind::everything, "");
  look(1);
  EXPECT_TRUE(carol.ended());
}

TEST_F(LiveExchangesTest, EndsThoseWhoseSessionOrFamilyIsRevoked) {
  const std::string cookie = worker_.sign_in();
  const Long by_session(worker_, session_identity(cookie));
  const Long other(worker_, session_identity(worker_.sign_in()));
  revoke(store::Revocation::Kind::session, worker_.session_handle(cookie));
  look(1);
  EXPECT_TRUE(by_session.ended());
  EXPECT_FALSE(other.ended());

  const issue::EdgeKeysPtr edge = testing::test_edge_keys();
  const Long by_token(worker_, token_identity(edge, *worker_.issue_tokens(edge)));
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge);
  const Long by_other_token(worker_, token_identity(edge, *pair));
  look();
  revoke(store::Revocation::Kind::family, pair->family);
  look(1);
  EXPECT_TRUE(by_other_token.ended());
  EXPECT_FALSE(by_token.ended());
}

TEST_F(LiveExchangesTest, EndsThoseWhoseSessionIsGoneWithoutARevocation) {
  const std::string cookie = worker_.sign_in();
  const Long one(worker_, session_identity(cookie));
  const Long same(worker_, session_identity(cookie));
  const Long other(worker_, session_identity(worker_.sign_in()));
  look();
  worker_.store.remove_session(worker_.keys->open_session_id(cookie)->key);  // as an operator would, in the store itself
  const std::size_t asked = worker_.store.calls("find_session");
  look(1);
  EXPECT_TRUE(one.ended());
  EXPECT_TRUE(same.ended());
  EXPECT_FALSE(other.ended());
  EXPECT_EQ(worker_.store.calls("find_session"), asked + 1) << "one question for both";
}

TEST_F(LiveExchangesTest, AsksNothingAboutThoseThatAreSoonOver) {
  const std::string cookie = worker_.sign_in();
  const identity::IdentityPtr identity = session_identity(cookie);
  worker_.sessions.everything_changed();  // memory knows nothing
  const std::size_t asked = worker_.store.calls("find_session");
  const Long exchange(worker_, identity);
  look(1);
  EXPECT_EQ(worker_.store.calls("find_session"), asked);
  look(1);
  EXPECT_EQ(worker_.store.calls("find_session"), asked + 1);
}

// Newest first, the oldest would never have its turn.
TEST_F(LiveExchangesTest, G08_EndsTheOldestOfMoreSessionsThanAreAskedAboutAtOnce) {
  const std::string cookie = worker_.sign_in();
  const Long oldest(worker_, session_identity(cookie));
  std::deque<Long> younger;
  for (std::size_t i = 0; i < LiveExchanges::kQuestionsMax + 50; ++i) younger.emplace_back(worker_, session_identity(worker_.sign_in()));
  look();
  worker_.sessions.everything_changed();  // memory knows nothing
  worker_.store.remove_session(worker_.keys->open_session_id(cookie)->key);
  look(4);
  EXPECT_TRUE(oldest.ended());
  EXPECT_TRUE(std::ranges::none_of(younger, &Long::ended));
}

TEST_F(LiveExchangesTest, G08_ThoseThatCameWithinARoundWaitForTheNext) {
  const std::string cookie = worker_.sign_in();
  const Long oldest(worker_, session_identity(cookie));
  look();
  worker_.sessions.everything_changed();
  worker_.store.remove_session(worker_.keys->open_session_id(cookie)->key);
  std::deque<Long> younger;
  for (int looked = 0; looked < 8; ++looked) {
    for (std::size_t i = 0; i < LiveExchanges::kQuestionsMax; ++i) younger.emplace_back(worker_, session_identity(worker_.sign_in()));
    worker_.sessions.everything_changed();
    look(1);
  }
  EXPECT_TRUE(oldest.ended());
}

TEST_F(LiveExchangesTest, SessionsThatMemoryKnowsTakeNoTurnOfOthers) {
  const std::string cookie = worker_.sign_in();
  const Long oldest(worker_, session_identity(cookie));
  std::deque<Long> younger;
  for (std::size_t i = 0; i < LiveExchanges::kQuestionsMax + 50; ++i) younger.emplace_back(worker_, session_identity(worker_.sign_in()));
  look();
  worker_.store.remove_session(worker_.keys->open_session_id(cookie)->key);
  look(1);
  EXPECT_TRUE(oldest.ended());
}

// An application may let somebody else sign in under the same session id.
TEST_F(LiveExchangesTest, ASessionThatBecomesSomebodyElsesEndsForTheFormerOnly) {
  auto settings = std::make_shared<authenticate::SessionSettings>();
  settings->foreign.emplace();
  settings->foreign->subject = testing::need(JsonPointer::parse("/user/id"));
  settings->foreign->secrets.emplace_back(std::string(32, 'f'));
  const Sha256 digest = hmac_sha256(Secret(std::string(32, 'f')), "id-1");
  std::string signature = base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  while (signature.ends_with('=')) signature.pop_back();
  const auto arrive = [&](std::string_view record) {
    worker_.store.put_foreign("sess:", "id-1", record);
    return std::get<identity::IdentityPtr>(worker_.run(worker_.sessions.ask_foreign("s:id-1." + signature, settings)).outcome);
  };
  const Long alice(worker_, arrive(R"({"cookie":{"expires":null,"originalMaxAge":null},"user":{"id":"alice"}})"));
  const Long bob(worker_, arrive(R"({"cookie":{"expires":null,"originalMaxAge":null},"user":{"id":"bob"}})"));
  look(4);
  EXPECT_TRUE(alice.ended());
  EXPECT_FALSE(bob.ended());
}

TEST_F(LiveExchangesTest, AnOutageEndsNothing) {
  const std::string cookie = worker_.sign_in();
  const Long exchange(worker_, session_identity(cookie));
  worker_.store.fail_with(Fault::unavailable);
  worker_.store.hear(false);
  worker_.sessions.everything_changed();
  look(3);
  EXPECT_FALSE(exchange.ended());
}

TEST_F(LiveExchangesTest, AsksAboutASessionOnceAtATime) {
  const std::string cookie = worker_.sign_in();
  const Long exchange(worker_, session_identity(cookie));
  look();
  worker_.sessions.everything_changed();
  worker_.store.hang();
  const std::size_t asked = worker_.store.calls("find_session");
  look(4);
  EXPECT_EQ(worker_.store.calls("find_session"), asked + 1);
  worker_.store.remove_session(worker_.keys->open_session_id(cookie)->key);
  worker_.store.release();
  look(2);
  EXPECT_TRUE(exchange.ended());
}

TEST_F(LiveExchangesTest, SurvivesEntriesThatLeaveWhileTheyAreLookedThrough) {
  // Newest first: ending the newest removes the next one, at which the walk stands already. Nothing of it is left to be walked over.
  struct Next {
    alignas(Long) std::array<unsigned char, sizeof(Long)> storage{};
    Long* exchange = nullptr;
    void leave() {
      std::exchange(exchange, nullptr)->~Long();
      storage.fill(0);
    }
  } next;
  const Long last(worker_, IdentityBuilder().expires_at(testing::kNow).build());
  next.exchange = new (next.storage.data()) Long(worker_, jwt());
  Long newest(worker_, IdentityBuilder().expires_at(testing::kNow).build());
  newest.interruption.arm([](void* owner) noexcept { static_cast<Next*>(owner)->leave(); }, &next);
  look(1);
  EXPECT_TRUE(newest.ended());
  EXPECT_TRUE(last.ended());
  EXPECT_EQ(next.exchange, nullptr);
  EXPECT_EQ(worker_.live.size(), 2U);
}

TEST_F(LiveExchangesTest, EntriesMayOutliveTheList) {
  // In storage of the test's own, so that a late touch can be seen.
  alignas(LiveExchanges) std::array<unsigned char, sizeof(LiveExchanges)> storage{};
  auto* list = new (storage.data()) LiveExchanges({worker_.revocations, worker_.sessions, worker_.clock, worker_.tasks});
  const http::Peer peer;
  upstream::Interruption one;
  upstream::Interruption two;
  auto first = std::make_unique<LiveExchanges::Entry>(*list, jwt(), peer, one);
  auto second = std::make_unique<LiveExchanges::Entry>(*list, jwt(), peer, two);
  list->~LiveExchanges();
  storage.fill(0xEE);
  const auto untouched = storage;
  first.reset();
  second.reset();
  EXPECT_EQ(storage, untouched);
  EXPECT_FALSE(one.fired());
}

TEST_F(LiveExchangesTest, AllocatesNothingForAnExchange) {
  const identity::IdentityPtr identity = jwt();
  const std::size_t before = test::allocations();
  {
    const Long exchange(worker_, identity);
  }
  EXPECT_EQ(test::allocations(), before);
}

// The whole road: a long answer of a session that is revoked.
class LongAnswerTest : public GatewayTest {
 protected:
  LongAnswerTest() { upstream_.hold_after("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun"); }

  template <class Condition>
  void run_until(Condition condition) {
    while (!condition() && worker_.context.run_one() != 0) {
    }
  }
  // Returns when the answer has begun; its body never comes whole.
  void begin(test::FakeExchange& exchange) {
    open();
    boost::asio::co_spawn(worker_.context, pipeline_.handle(exchange), [this](std::exception_ptr) { done_ = true; });
    worker_.context.restart();
    run_until([&] { return !exchange.body().empty(); });
  }
  void revoke_alice() {
    worker_.clock.advance(10ms);
    bool revoked = false;
    boost::asio::co_spawn(worker_.context, worker_.revoker.revoke_subject("alice"),
                          [&](std::exception_ptr, Result<void> result) { revoked = bool(result); });
    run_until([&] { return revoked; });
  }

  bool done_ = false;
};

TEST_F(LongAnswerTest, G08_EndsWithItsSession) {
  test::FakeExchange exchange(request("GET", "/api/x", {session_cookie(worker_.sign_in())}));
  begin(exchange);
  EXPECT_EQ(worker_.live.size(), 1U);
  worker_.live.look_through();
  EXPECT_FALSE(exchange.aborted());
  revoke_alice();
  worker_.live.look_through();
  run_until([&] { return done_; });
  EXPECT_TRUE(exchange.aborted());
  EXPECT_FALSE(exchange.finished());
  EXPECT_EQ(worker_.live.size(), 0U);
  EXPECT_THAT(access_.text(), ::testing::HasSubstr(R"("reason":"caller_ended")"));
}

TEST_F(LongAnswerTest, OfASignInDoesNotEndWithTheSessionThatItReplaces) {
  upstream_.hold_after("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + establishment(R"({"sub":"alice"})") + "\r\nbegun");
  test::FakeExchange exchange(request("POST", "/step-up", {session_cookie(worker_.sign_in()), same_origin()}));
  begin(exchange);
  EXPECT_EQ(worker_.store.calls("end_session"), 1U);
  worker_.clock.advance(10ms);
  worker_.live.look_through();
  EXPECT_FALSE(exchange.aborted());
  upstream_.hang_up();
  run_until([&] { return done_; });
}

}  // namespace
}  // namespace sallyport::pipeline
